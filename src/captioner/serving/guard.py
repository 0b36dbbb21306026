"""Who may talk to the server, and what browsers may do with its answers."""

import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

HEADERS = {
    # The page loads nothing from elsewhere and no script of its own text; blob: is the sound that
    # the browser holds and plays.
    "content-security-policy": "default-src 'self'; media-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "cache-control": "no-store",
}
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z._-]+)(?::\d+)?")  # and nothing else beside it
SAFE_METHODS = ("GET", "HEAD")


class Guard:
    """Check Host and Origin before the application sees a request; add headers to all answers.

    A page elsewhere could reach a server of this machine through its visitor's browser: by a
    name of its own that it lets point here (DNS rebinding), which shows in Host, or by sending a
    request across (CSRF), which shows in Origin. Addresses are no names: they cannot be rebound.
    """

    def __init__(self, app: App, names: frozenset[str], *, addresses: bool):
        """Guard `app`, known by these host names, and by any address if `addresses`."""
        self._app, self._names, self._addresses = app, names, addresses

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        problem = self._problem(scope)
        if problem is None:
            await self._app(scope, receive, send_guarded)
            return
        status, text = problem
        body = json.dumps({"error": text}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send_guarded({"type": "http.response.start", "status": status, "headers": headers})
        await send_guarded({"type": "http.response.body", "body": body})

    def _problem(self, scope: Message) -> tuple[int, str] | None:
        """Give status and message of a request that is not let through."""
        if scope["type"] != "http":
            return 400, f"Found a request of type {scope['type']}, expected HTTP."
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not self._known(hosts[0]):
            return 400, (
                f"Found the header Host {', '.join(hosts) or 'missing'}, expected "
                f"{' or '.join(sorted(self._names))}: the name this server was started for."
            )
        if scope["method"] in SAFE_METHODS:
            return None
        for name, value in scope["headers"]:
            origin = value.decode("latin-1")
            if name == b"origin" and urlsplit(origin).netloc.lower() != hosts[0].lower():
                return 403, (
                    f"Found a request from a page of {origin}, expected one of this server's own "
                    "page: other sites may not use it."
                )
        return None

    def _known(self, host: str) -> bool:
        parts = HOST.fullmatch(host.lower())
        if parts is None:
            return False
        name = parts[1].strip("[]")
        return name in self._names or (self._addresses and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
