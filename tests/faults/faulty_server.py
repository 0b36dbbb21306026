"""A local HTTP server that serves one payload and misbehaves as told."""

import hashlib
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Behaviour:
    """What to do wrong, and a record of what was asked and sent.

    By default: ranges and If-Range work, and an ETag stands in every answer.
    """

    payload: bytes = b""
    statuses: list[int] = field(default_factory=list)  # answered first, one per request
    retry_after: str | None = None  # a header of those
    drop_after: int | None = None  # bytes per answer, then the connection closes
    stall_s: float = 0  # once, before the second half of an answer
    chunk_bytes: int = 1 << 16
    delay_s: float = 0  # before each chunk
    ranges: bool = True
    range_shift: int = 0  # answers to ranges begin so many bytes later than asked
    etag: str | None = "md5"  # "md5": that of the payload, quoted; None: no such header
    last_modified: str | None = None
    content_length: int | str | None = "right"  # None: no such header, the close is the end
    content_type: str = "application/octet-stream"
    later: bytes | None = None  # the payload from the second answer on

    requests: list[tuple[str, str | None]] = field(default_factory=list)  # path, Range
    headers: list[dict[str, str]] = field(default_factory=list)
    sent: list[tuple[int, int]] = field(default_factory=list)  # first byte, number of bytes
    n_active: int = 0
    n_active_max: int = 0

    @property
    def n_bytes_sent(self) -> int:
        return sum(n_bytes for _, n_bytes in self.sent)

    def tag(self) -> str | None:
        if self.etag != "md5":
            return self.etag
        return f'"{hashlib.md5(self.payload, usedforsecurity=False).hexdigest()}"'


class _Handler(BaseHTTPRequestHandler):
    behaviour: Behaviour
    lock: threading.Lock

    def do_GET(self):
        behaviour = self.behaviour
        with self.lock:
            behaviour.requests.append((self.path, self.headers.get("Range")))
            behaviour.headers.append(dict(self.headers))
            status = behaviour.statuses.pop(0) if behaviour.statuses else 200
            behaviour.n_active += 1
            behaviour.n_active_max = max(behaviour.n_active_max, behaviour.n_active)
        try:
            if status == 200:
                self.give()
            else:
                self.refuse(status)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client was killed, or has seen enough
        finally:
            with self.lock:
                behaviour.n_active -= 1

    def refuse(self, status):
        self.send_response(status)
        if self.behaviour.retry_after is not None:
            self.send_header("Retry-After", self.behaviour.retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def give(self):
        behaviour = self.behaviour
        payload, tag = behaviour.payload, behaviour.tag()
        with self.lock:
            if behaviour.later is not None:
                behaviour.payload, behaviour.later = behaviour.later, None
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        same = condition is None or condition in (tag, behaviour.last_modified)
        ranged = bool(asked) and behaviour.ranges and same
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if ranged else 0
        if start >= len(payload) > 0:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(payload)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if ranged:
            start += behaviour.range_shift
        body = payload[start:]
        self.send_response(206 if ranged else 200)
        self.send_header("Content-Type", behaviour.content_type)
        if ranged:
            self.send_header("Content-Range", f"bytes {start}-{len(payload) - 1}/{len(payload)}")
        if behaviour.content_length is not None:
            right = behaviour.content_length == "right"
            self.send_header(
                "Content-Length", str(len(body) if right else behaviour.content_length)
            )
        for name, value in (("ETag", tag), ("Last-Modified", behaviour.last_modified)):
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        body = body[: behaviour.drop_after]
        record = len(behaviour.sent)
        behaviour.sent.append((start, 0))
        for position in range(0, len(body), behaviour.chunk_bytes):
            chunk = body[position : position + behaviour.chunk_bytes]
            if behaviour.stall_s and position + len(chunk) > len(body) // 2:
                half = len(body) // 2 - position
                self.wfile.write(chunk[:half])
                stall_s, behaviour.stall_s = behaviour.stall_s, 0
                time.sleep(stall_s)
                chunk = chunk[half:]
            time.sleep(behaviour.delay_s)
            self.wfile.write(chunk)
            behaviour.sent[record] = (start, position + len(chunk))

    def log_message(self, *_):
        pass


@contextmanager
def serve(behaviour: Behaviour):
    """Yield the server's base URL."""
    handler = type("Handler", (_Handler,), {"behaviour": behaviour, "lock": threading.Lock()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
