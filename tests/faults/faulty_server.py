"""A local HTTP server that serves one payload and misbehaves as told."""

import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Behaviour:
    """What to do wrong; `requests` records (path, Range header) of each request."""

    payload: bytes = b""
    statuses: list[int] = field(default_factory=list)  # answered first, one per request
    drop_after: int | None = None  # bytes per answer, then the connection closes
    stall_s: float = 0  # once, before the second half of an answer
    ranges: bool = True
    content_type: str = "application/octet-stream"
    requests: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def serve(behaviour: Behaviour):
    """Yield the server's base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get("Range")
            behaviour.requests.append((self.path, asked))
            if behaviour.statuses and (status := behaviour.statuses.pop(0)) != 200:
                self.send_error(status)
                return
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0
            if not behaviour.ranges:
                start = 0
            elif start >= len(behaviour.payload) > 0:
                self.send_error(416)
                return
            body = behaviour.payload[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Type", behaviour.content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            sent = body[: behaviour.drop_after]
            half = len(sent) // 2
            self.wfile.write(sent[:half])
            stall_s, behaviour.stall_s = behaviour.stall_s, 0
            time.sleep(stall_s)
            self.wfile.write(sent[half:])

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
