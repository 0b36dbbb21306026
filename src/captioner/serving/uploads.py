"""Receive an upload: the raw body of a request, into one file of a fixed name, within limits."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1_000_000


class RefusedError(Exception):
    """A request that is not answered: an HTTP status, and what was found and expected."""

    def __init__(self, status: int, message: str):
        """Keep what the answer says."""
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True)
class Limits:
    """What one upload may take."""

    n_bytes: int
    duration_s: float
    silence_s: float = 20.0  # the longest wait for the next bytes
    upload_s: float = 600.0  # for the whole of it: a slot is not held by a trickle
    n_requests: int = 8  # uploading, waiting or captioned at one time

    @property
    def size_text(self) -> str:
        """Say how large an upload may be."""
        return f"{self.n_bytes / MEGABYTE:g} MB"


def check_announced(length: str | None, limits: Limits) -> None:
    """Refuse by the header Content-Length, before a byte of the body is read."""
    if length is not None and length.isascii() and length.isdigit():
        if int(length) > limits.n_bytes:
            raise _too_large(f"{int(length) / MEGABYTE:,.1f} MB", limits)
        if int(length) == 0:
            raise _empty()


def check_kind(kind: str | None) -> None:
    """Refuse a form by the header Content-Type: it would be read as the sound."""
    if (kind or "").lower().startswith("multipart/"):
        raise RefusedError(
            415,
            "Found a form (multipart), expected the sound itself as the body of the request: "
            "curl --data-binary @FILE.",
        )


async def receive(body: AsyncIterator[bytes], path: Path, limits: Limits) -> None:
    """Write a body to `path` as it comes; the header Content-Length is not believed.

    Raises `RefusedError` as soon as the body is too large or too slow, and where it is empty or the
    disk is full.
    """
    n_bytes = 0
    try:
        with path.open("xb") as file:
            async with asyncio.timeout(limits.upload_s):
                while (chunk := await _next(body, limits)) is not None:
                    n_bytes += len(chunk)
                    if n_bytes > limits.n_bytes:
                        raise _too_large(f"more than {limits.size_text}", limits)
                    file.write(chunk)
    except TimeoutError as error:
        raise RefusedError(
            408,
            f"Found {n_bytes:,} bytes and no end of the upload in time, expected it within "
            f"{limits.upload_s:g} s and without pauses of {limits.silence_s:g} s. Send it again.",
        ) from error
    except OSError as error:
        raise RefusedError(
            507, f"Found no room for the upload ({error.strerror}), expected some on the server."
        ) from error
    if n_bytes == 0:
        raise _empty()


async def _next(body: AsyncIterator[bytes], limits: Limits) -> bytes | None:
    async with asyncio.timeout(limits.silence_s):
        return await anext(body, None)


def _too_large(found: str, limits: Limits) -> RefusedError:
    return RefusedError(
        413,
        f"Found an upload of {found}, expected at most {limits.size_text}. Compress the sound "
        "(mp3, ogg), send a part of it, or start the server with a larger --max-mb.",
    )


def _empty() -> RefusedError:
    return RefusedError(
        422, "Found 0 bytes, expected a sound as the body of the request (wav, flac, ogg, mp3)."
    )
