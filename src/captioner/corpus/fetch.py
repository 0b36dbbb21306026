"""Fetch one file of a registry: whole, with the right md5, or not at all."""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

import requests

from captioner.corpus.registry import Entry
from captioner.errors import InputError
from captioner.job import Progress

CHUNK_BYTES = 1 << 20
CONNECT_TIMEOUT_S = 15
STALL_TIMEOUT_S = 60  # no byte for so long: the connection is given up and resumed
ATTEMPTS = 5  # in a row without a new byte
BACKOFF_S = 1.0  # doubles with each of them
RETRIED_STATUS = {408, 429, 500, 502, 503, 504}

log = logging.getLogger(__name__)


class _TransientError(Exception):
    """A fault of the network or the server that another attempt may not meet."""


class _UnavailableError(Exception):
    """This source cannot give the file; another one may."""


def fetch(
    entry: Entry, destination: str | Path, mirrors: Sequence[str] = (), offline: bool = False
) -> None:
    """Put the file of `entry` at the path `destination`, verified by md5 and, where known, size.

    Sources are tried in order: each of `mirrors` (base URLs or local folders that hold the files
    by name), then the entry's url. A transfer that breaks off goes on where it stopped
    (`<file>.part`). A file already there is kept if its md5 is right; otherwise it is set aside
    as `<file>.corrupt`. With `offline`, only folders and `file:` URLs are read. `InputError`
    says what each source answered.
    """
    destination = Path(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    if destination.exists():
        found = _md5(destination).hexdigest()
        if found == entry.md5:
            log.info("%s is there already, md5 %s", destination, found)
            return
        aside = destination.with_name(destination.name + ".corrupt")
        destination.replace(aside)
        log.warning(
            "%s has md5 %s, expected %s: set aside as %s and fetched anew",
            destination, found, entry.md5, aside.name,
        )  # fmt: skip
    answers = []
    for source in _sources(entry, mirrors, offline):
        try:
            _fetch_from(source, entry, destination)
            return
        except _UnavailableError as answer:
            answers.append(f"  {source}: {answer}")
            log.warning("%s from %s: %s", entry.file, source, answer)
    what_to_do = f"check the registry's url, md5 and size, or put the file at {destination}"
    if offline:
        what_to_do = f"put the file at {destination}, or name a folder that holds it in `mirrors`"
    raise InputError(
        f"{entry.file} is missing" + (" and `offline` is on" if offline else "") + "\n"
        f"  url: {entry.url}\n  md5: {entry.md5}\n"
        + "".join(f"{answer}\n" for answer in answers)
        + f"What to do: {what_to_do}"
    )


def _sources(entry: Entry, mirrors: Sequence[str], offline: bool) -> list[str]:
    """Give the mirrors' addresses of the file, then its own url; no http one when offline."""
    sources = []
    for mirror in mirrors:
        if urlsplit(mirror).scheme in ("http", "https", "file"):
            sources.append(f"{mirror.rstrip('/')}/{quote(entry.file)}")
        else:
            sources.append((Path(mirror).absolute() / entry.file).as_uri())
    sources.append(entry.url)
    return [source for source in sources if not (offline and source.startswith("http"))]


def _fetch_from(source: str, entry: Entry, destination: Path) -> None:
    """Fetch, verify and rename; the partial file is kept only for a later resume."""
    part = destination.with_name(destination.name + ".part")
    resumed = part.exists()
    if urlsplit(source).scheme == "file":
        found = _copy(Path(url2pathname(urlsplit(source).path)), part, entry)
    else:
        found = _download(source, part, entry)
    if found != entry.md5:
        part.unlink()
        if resumed:  # the start may stem from another source or an older file
            log.warning("%s: md5 %s after a resume; fetched once more, whole", entry.file, found)
            return _fetch_from(source, entry, destination)
        raise _UnavailableError(f"the file there has md5 {found}, expected {entry.md5}")
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(destination)


def _copy(source: Path, part: Path, entry: Entry) -> str:
    """Copy a local file; return its md5."""
    if not source.is_file():
        raise _UnavailableError("no such file")
    size = source.stat().st_size
    _check_size(size, entry)
    _check_space(part, size)
    digest = hashlib.md5(usedforsecurity=False)
    with (
        source.open("rb") as read,
        part.open("wb") as write,
        Progress(size, entry.file, "B", scale=True) as progress,
    ):
        while chunk := read.read(CHUNK_BYTES):
            write.write(chunk)
            digest.update(chunk)
            progress.advance(len(chunk))
    return digest.hexdigest()


def _download(url: str, part: Path, entry: Entry) -> str:
    """Stream a URL into `part`, going on after faults; return the md5 of the whole."""
    failures, furthest = 0, _size(part)
    while True:
        try:
            return _stream(url, part, entry)
        except _TransientError as fault:
            failures = 0 if _size(part) > furthest else failures + 1
            furthest = max(furthest, _size(part))
            if failures >= ATTEMPTS:
                raise _UnavailableError(f"{fault}; given up after {failures} attempts") from None
            wait_s = BACKOFF_S * 2**failures
            log.warning(
                "%s: %s at byte %d; again in %.0f s", entry.file, fault, _size(part), wait_s
            )
            time.sleep(wait_s)


def _stream(url: str, part: Path, entry: Entry) -> str:
    """Make one request, for what `part` lacks; return the md5 of the whole."""
    offset = _size(part)
    headers = {"Accept-Encoding": "identity"}  # the bytes as published
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        with requests.get(
            url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT_S, STALL_TIMEOUT_S)
        ) as response:
            if response.status_code == 416:  # `part` is no beginning of the file
                part.unlink()
                raise _TransientError("HTTP 416 to a resume: started again")
            _check_answer(response, entry)
            if response.status_code == 200:
                offset = 0  # the server ignores ranges: the whole file comes
            length = response.headers.get("Content-Length")
            size = offset + int(length) if length else entry.size_bytes or 0
            if length:
                _check_size(size, entry)
            _check_space(part, size - offset)
            digest = _md5(part) if offset else hashlib.md5(usedforsecurity=False)
            with (
                part.open("ab" if offset else "wb") as file,
                Progress(size, entry.file, "B", scale=True) as progress,
            ):
                progress.advance(offset)
                for chunk in response.iter_content(CHUNK_BYTES):
                    file.write(chunk)
                    digest.update(chunk)
                    progress.advance(len(chunk))
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _TransientError(f"no answer, or none for {STALL_TIMEOUT_S} s ({error})") from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise _TransientError("the connection broke off") from error
    except requests.RequestException as error:
        raise _UnavailableError(str(error)) from error
    _check_size(_size(part), entry)
    return digest.hexdigest()


def _check_answer(response: requests.Response, entry: Entry) -> None:
    status = response.status_code
    if status in RETRIED_STATUS:
        raise _TransientError(f"HTTP {status} {response.reason}")
    if status not in (200, 206):
        raise _UnavailableError(f"HTTP {status} {response.reason}")
    kind = response.headers.get("Content-Type", "")
    if kind.startswith("text/html") and not entry.file.endswith((".html", ".htm")):
        raise _UnavailableError("an html page came in place of the file")


def _check_size(size: int, entry: Entry) -> None:
    if entry.size_bytes is not None and size != entry.size_bytes:
        raise _UnavailableError(
            f"the file there has {size} bytes, expected {entry.size_bytes} by the registry"
        )


def _check_space(part: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed_bytes > free:
        raise InputError(
            f"{part.parent} has {free / 1e9:.1f} GB free, {part.name} needs "
            f"{needed_bytes / 1e9:.1f} GB more: make room, the download goes on from there"
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _md5(path: Path) -> "hashlib._Hash":
    """Digest a file by md5: the published checksum, against faults of transfer only."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
