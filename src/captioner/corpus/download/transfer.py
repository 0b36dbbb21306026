"""Stream a URL into a part: patient with faults that pass, short with those that do not."""

import logging
import random
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import requests
from urllib3.exceptions import HTTPError

from captioner.corpus.download import part as parts
from captioner.corpus.download.part import Origin, Part
from captioner.job import Progress

CONNECT_TIMEOUT_S = 15
STALL_TIMEOUT_S = 60  # no byte for so long: the connection is given up, the transfer resumed
ATTEMPTS = 8  # in a row without a new byte: about two minutes
BACKOFF_S = 1.0  # doubles with each of them
BACKOFF_MAX_S = 60.0
RETRY_AFTER_MAX_S = 900.0  # a server that asks for more is asked again after that
SNIFFED_BYTES = 64

log = logging.getLogger(__name__)
T = TypeVar("T")


class TransientError(Exception):
    """A fault that another attempt may not meet; `wait_s` if the server said when to come back."""

    def __init__(self, message: str, wait_s: float | None = None):
        super().__init__(message)
        self.wait_s = wait_s


class UnavailableError(Exception):
    """This source cannot give the file; another one may."""


def persist(
    attempt: Callable[[], T],
    name: str,
    reached: Callable[[], int] = lambda: 0,
    attempts: int = ATTEMPTS,
) -> T:
    """Repeat `attempt` while it meets transient faults, with exponential back-off and jitter.

    `reached` tells how far it has come (bytes): the count of attempts starts over with each new
    byte. `UnavailableError` ends a series of `attempts` without one.
    """
    failures, furthest = 0, reached()
    while True:
        try:
            return attempt()
        except TransientError as fault:
            position = reached()
            failures = 1 if position > furthest else failures + 1
            furthest = max(furthest, position)
            if failures >= attempts:
                raise UnavailableError(f"{fault}; given up, attempt {failures}") from None
            wait_s = fault.wait_s
            if wait_s is None:
                backoff_s = min(BACKOFF_S * 2 ** (failures - 1), BACKOFF_MAX_S)
                wait_s = backoff_s * random.uniform(0.5, 1)
            where = f" at byte {position}" if position else ""
            log.warning("%s: %s%s; again in %.1f s", name, fault, where, wait_s)
            time.sleep(wait_s)


def get(session: requests.Session, url: str, headers: dict[str, str]) -> requests.Response:
    """Ask for a URL; give the answer if its status is a good one (2xx, or 416), body unread."""
    try:
        response = session.get(
            url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT_S, STALL_TIMEOUT_S)
        )
    except (requests.ConnectionError, requests.Timeout) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise UnavailableError(f"no trusted connection ({error})") from error
        raise TransientError(f"no answer ({error})") from error
    except requests.RequestException as error:
        raise UnavailableError(str(error)) from error
    status = response.status_code
    if response.ok or status == 416:
        return response
    response.close()
    answer = f"HTTP {status} {response.reason}"
    if status in (408, 429) or status >= 500:
        wait_s = _retry_after_s(response)
        if wait_s is not None and wait_s > RETRY_AFTER_MAX_S:
            answer += f", to come back in {wait_s:.0f} s; asked sooner"
            wait_s = RETRY_AFTER_MAX_S
        raise TransientError(answer, wait_s)
    raise UnavailableError(answer)


def download(
    url: str, part: Part, name: str, size_bytes: int | None, need: Callable[[int, int], None]
) -> None:
    """Append to `part` what it lacks of the file at `url`.

    `size_bytes` is what the file must have, if that is known. `need` is told the size and the
    missing bytes before they come, and raises if there is no room. `UnavailableError`: the url
    does not give the file. The part then holds what has come so far.
    """
    bar = _Bar(name)
    with requests.Session() as session, bar:
        transfer = _Transfer(session, url, part, name, size_bytes, need, bar)
        persist(transfer.go_on, name, lambda: part.size)


class _Bar(Progress):
    """One bar for all attempts; its rate is that of what has really come."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic):
        super().__init__(0, name, "B", scale=True, clock=clock)

    def begin(self, position: int, total: int | None) -> None:
        """Go on from `position` of `total` bytes, which did not come now."""
        bar = self._bar
        bar.total = total
        bar.initial += position - bar.n
        bar.n = bar.last_print_n = position


class _Transfer:
    """The attempts to bring one part to its end."""

    def __init__(
        self,
        session: requests.Session,
        url: str,
        part: Part,
        name: str,
        size_bytes: int | None,
        need: Callable[[int, int], None],
        bar: _Bar,
    ):
        self._session = session
        self._url = url
        self._part = part
        self._name = name
        self._size = size_bytes
        self._need = need
        self._bar = bar

    def go_on(self) -> None:
        """Make one request, for what is missing."""
        part = self._part
        if self._size is not None and part.size > self._size:
            self._start_over(f"the part has {part.size} bytes, the file {self._size}")
        if self._size is not None and part.size == self._size:
            self._bar.begin(part.size, self._size)
            return
        with get(self._session, self._url, self._headers()) as response:
            try:
                self._receive(response)
            except HTTPError as error:
                raise TransientError(f"the connection broke off or stalled ({error})") from error

    def _headers(self) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}  # the bytes as published
        if self._part.size:
            headers["Range"] = f"bytes={self._part.size}-"
            origin = self._part.origin
            if origin and origin.url == self._url and origin.validator:
                headers["If-Range"] = origin.validator
        return headers

    def _receive(self, response: requests.Response) -> None:
        part = self._part
        start, total = _extent(response)
        if response.status_code == 416 and total == part.size > 0:
            return  # nothing is missing: the file's size was not known
        if response.status_code == 416:
            self._start_over(f"the server has no byte {part.size}")
            raise TransientError("HTTP 416 to a resume", wait_s=0)
        if None not in (total, self._size) and total != self._size:
            raise UnavailableError(f"the file there has {total} bytes, expected {self._size}")
        size = total if total is not None else self._size
        tags = response.headers
        origin = Origin(self._url, tags.get("ETag"), tags.get("Last-Modified"), size)
        first = self._first_bytes(response, start)
        if response.status_code == 206:
            if start != part.size:
                self._start_over(f"bytes from {start} came, {part.size} was asked for")
                raise TransientError("the answer to a resume was of no use", wait_s=0)
            if part.origin and part.origin.contradicts(origin):
                self._start_over("the file on the server has changed")
                raise TransientError("the file has changed since the transfer began", wait_s=0)
            log.info("%s: goes on at byte %d", self._name, part.size)
            part.resumed = True
        else:
            if part.size:
                log.warning("%s: the server sends it from the start, not a range", self._name)
            part.restart(origin)
        if size is not None:
            self._need(size, size - part.size)
        self._bar.begin(part.size, size)
        self._write(first, response, size)

    def _write(self, data: bytes, response: requests.Response, size: int | None) -> None:
        part = self._part
        while data:
            part.append(data)
            self._bar.advance(len(data))
            if size is not None and part.size > size:
                part.restart()
                raise UnavailableError(f"more than the {size} bytes of the file came")
            data = _read(response)
        if size is not None and part.size < size:
            raise TransientError(f"the connection broke off, {size - part.size} bytes too early")

    def _first_bytes(self, response: requests.Response, start: int) -> bytes:
        """Read the beginning of an answer; refuse a web page, whatever it is declared as."""
        data = _read(response)
        while 0 < len(data) < SNIFFED_BYTES and (more := _read(response)):
            data += more
        kind = response.headers.get("Content-Type", "")
        looks = start == 0 and re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html)", data, re.I)
        if (looks or kind.startswith("text/html")) and not re.search(r"\.html?$", self._name):
            raise UnavailableError("an html page came in place of the file")
        return data

    def _start_over(self, why: str) -> None:
        log.warning("%s: %s; fetched from the start", self._name, why)
        self._part.restart()


def _read(response: requests.Response) -> bytes:
    """Give what has come, as soon as anything has, so that a kill loses nothing."""
    data: bytes = response.raw.read1(parts.CHUNK_BYTES, decode_content=False)
    return data


def _extent(response: requests.Response) -> tuple[int, int | None]:
    """Return where the body starts in the file, and the size of the file (None: not told)."""
    length = response.headers.get("Content-Length", "")
    if response.status_code not in (206, 416):
        return 0, int(length) if length.isdecimal() else None
    told = response.headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", told.strip())
    if not found:
        return -1, None
    return int(found[1] or 0), int(found[2]) if found[2] else None


def _retry_after_s(response: requests.Response) -> float | None:
    """Return the seconds that Retry-After asks to wait: a number or a date (RFC 9110, 10.2.3)."""
    told = response.headers.get("Retry-After", "").strip()
    if told.isdecimal():
        return float(told)
    try:
        date = parsedate_to_datetime(told)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
