"""Run the application on a socket until Ctrl-C."""

import errno
import ipaddress
import logging
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn

from captioner.errors import InputError
from captioner.serving.answering import Answerer
from captioner.serving.app import build_app
from captioner.serving.guard import Guard
from captioner.serving.uploads import Limits

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
MOST_CONNECTIONS = 64
GRACE_S = 2  # for the last answers to leave

log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """A server that ends at once: what is being captioned when Ctrl-C comes is given up."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer all requests that are open, and close."""
        for task in list(self.server_state.tasks):
            task.cancel()
        await super().shutdown(sockets)


def serve(folders: Sequence[Path], host: str, port: int, limits: Limits) -> None:
    """Caption uploads until a signal ends the process; port 0 takes a free one.

    Raises `InputError` where the models or the address cannot be used.
    """
    with _listen(host, port) as listening:
        local = is_local(host)
        if not local:
            log.warning(
                "--host %s: whoever reaches this machine there can use the server and hears of its "
                "model; it asks for no password and sends nothing encrypted.",
                host,
            )
        answerer = Answerer(folders, limits)
        with TemporaryDirectory(prefix="captioner-serve-") as scratch:
            app = Guard(
                build_app(answerer, limits, Path(scratch)),
                LOCAL_NAMES
                if local
                else LOCAL_NAMES | {host.lower(), socket.gethostname().lower()},
                addresses=not local,
            )
            config = uvicorn.Config(
                app,
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,  # nobody's word on who asks
                ws="none",
                lifespan="off",
                limit_concurrency=MOST_CONNECTIONS,
                timeout_graceful_shutdown=GRACE_S,
            )
            print(f"Captions at {_url(host, listening)} (Ctrl-C ends)", flush=True)
            Server(config).run(sockets=[listening])


def is_local(host: str) -> bool:
    """Say whether nobody but this machine reaches an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    """Give a listening socket, before the models are loaded: a port in use is told at once."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except socket.gaierror as error:
        raise InputError(
            f"--host {host}: found no such host ({error.strerror}), expected a name or an address "
            "of this machine, 127.0.0.1 for nobody else."
        ) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            found, advice = "found it in use", "End the other program or give another --port."
        else:
            found, advice = f"it cannot be used ({os.strerror(error.errno or 0)})", "Give others."
        raise InputError(
            f"--host {host} --port {port}: {found}, expected an address of this machine and a free "
            f"port. {advice}"
        ) from error


def _url(host: str, listening: socket.socket) -> str:
    port = listening.getsockname()[1]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
