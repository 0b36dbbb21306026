"""The application: the page, what the model is, and captions of a sound sent to it."""

import asyncio
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from captioner.serving.answering import Answerer
from captioner.serving.queries import Query
from captioner.serving.turns import StoppedError, Turns
from captioner.serving.uploads import Limits, RefusedError, check_announced, check_kind, receive

# All that is ever sent, by its address; read once, so that no address becomes a path.
PAGE = {
    "/": ("index.html", "text/html"),
    "/style.css": ("style.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/result.js": ("result.js", "text/javascript"),
    "/sending.js": ("sending.js", "text/javascript"),
    "/spectrogram.js": ("spectrogram.js", "text/javascript"),
    "/recording.js": ("recording.js", "text/javascript"),
    "/recorder.js": ("recorder.js", "text/javascript"),
    "/wav.js": ("wav.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
UPLOAD = "upload"  # the file's name; without a suffix, so that only its content tells what it is
CLIENT_GONE = 499  # nobody reads it; the number that proxies log


def build_app(answerer: Answerer, limits: Limits, scratch: Path) -> Starlette:
    """Give the application; uploads lie below `scratch` as long as they are needed."""
    turns = Turns(limits.n_requests)

    async def caption(request: Request) -> Response:
        query = Query.of(request.query_params.multi_items())
        check_kind(request.headers.get("content-type"))
        check_announced(request.headers.get("content-length"), limits)
        with turns.place(), TemporaryDirectory(dir=scratch) as folder:
            path = Path(folder, UPLOAD)
            try:
                await receive(request.stream(), path, limits)
                answer = await turns.take(
                    lambda stop: answerer.answer(path, query, stop), _gone(request)
                )
            except (ClientDisconnect, StoppedError):
                return Response(status_code=CLIENT_GONE)
            except asyncio.CancelledError:  # by the server alone, and nothing else is left to do
                return _json({"error": "The server has been ended. Start it and send again."}, 503)
        return _json(answer)

    async def about(_request: Request) -> Response:
        return _json(answerer.about())

    routes = [
        Route("/caption", caption, methods=["POST"]),
        Route("/about", about, methods=["GET"]),
        *(_static(address, name, kind) for address, (name, kind) in PAGE.items()),
    ]
    handlers: Mapping[Any, Any] = {RefusedError: _refused, HTTPException: _http, Exception: _failed}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False  # an address is one of these, or none
    return app


async def _gone(request: Request) -> None:
    """Wait until the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _static(address: str, name: str, kind: str) -> Route:
    content = files("captioner.serving").joinpath("page", name).read_bytes()

    async def send(_request: Request) -> Response:
        return Response(content, media_type=kind)

    return Route(address, send, methods=["GET"])


def _json(content: Mapping[str, Any], status: int = 200) -> Response:
    """Write as `captioner caption` does: UTF-8, not escaped."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n"
    return Response(text, status, media_type="application/json")


async def _refused(_request: Request, refusal: RefusedError) -> Response:
    response = _json({"error": refusal.message}, refusal.status)
    if refusal.status == 503:
        response.headers["retry-after"] = "5"
    return response


async def _http(request: Request, error: HTTPException) -> Response:
    known = "/, POST /caption and /about"
    found = f"{request.method} {request.url.path}"
    response = _json({"error": f"Found {found}, expected {known}."}, error.status_code)
    response.headers.update(error.headers or {})
    return response


async def _failed(_request: Request, _error: Exception) -> Response:
    return JSONResponse(
        {"error": "The server failed at this sound; its terminal tells why. Send another one."}, 500
    )
