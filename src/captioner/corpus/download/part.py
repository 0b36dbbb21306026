"""The part of a file that has arrived: on disk, with its md5 and what its source told of it."""

import hashlib
import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from captioner.job import write_json

CHUNK_BYTES = 1 << 20
FOLLOW_S = 0.01  # how long the digest waits for more to be written


@dataclass(frozen=True)
class Origin:
    """What a server said of the file that a part is the beginning of."""

    url: str
    etag: str | None
    last_modified: str | None
    size_bytes: int | None

    @property
    def validator(self) -> str | None:
        """The value of If-Range; a weak ETag may not stand there (RFC 9110, section 13.1.5)."""
        strong = self.etag and not self.etag.startswith("W/")
        return self.etag if strong else self.last_modified

    def contradicts(self, other: "Origin") -> bool:
        """Tell whether `other` describes another file, as far as both know."""
        known = [(mine, theirs) for mine, theirs in self._facts(other) if mine and theirs]
        return any(mine != theirs for mine, theirs in known)

    def _facts(self, other: "Origin") -> list[tuple[object, object]]:
        facts: list[tuple[object, object]] = [(self.size_bytes, other.size_bytes)]
        if self.url == other.url:  # servers name and date their copies as they like
            facts += [(self.etag, other.etag), (self.last_modified, other.last_modified)]
        return facts


class Part:
    """`<file>.part`, written to as bytes arrive; `<file>.part.json` holds its `Origin`.

    Whatever has been handed to `append` outlives a kill of the process. The md5 is taken by a
    thread that reads behind the writing: what an earlier process left is read while the rest
    arrives, and nothing is read twice.
    """

    def __init__(self, path: Path):
        self.path = path
        self.origin = _read_origin(self._origin_path)
        self._file = path.open("ab", buffering=0)
        self.size = self._file.tell()
        self.resumed = self.size > 0  # pieced together from more than one answer
        self._digest = _Follower(path)

    @property
    def _origin_path(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def append(self, data: bytes) -> None:
        """Write at the end; `OSError` if the disk is full, and what went in before stays."""
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            self.size += written
            view = view[written:]

    def restart(self, origin: Origin | None = None) -> None:
        """Throw away what is there; what comes next is from `origin`."""
        self._digest.abandon()
        self._file.truncate(0)
        self.size, self.resumed, self.origin = 0, False, origin
        self._origin_path.unlink(missing_ok=True)
        if origin:
            write_json(self._origin_path, asdict(origin))
        self._digest = _Follower(self.path)

    def finish(self) -> str:
        """Bring all to the disk and return the md5 of the whole."""
        os.fsync(self._file.fileno())
        return self._digest.result()

    def rename(self, target: Path) -> None:
        """Give the file its name, which only whole files have."""
        self.path.replace(target)
        self._origin_path.unlink(missing_ok=True)
        _sync_folder(target.parent)

    def discard(self) -> None:
        """Remove the part."""
        self.path.unlink(missing_ok=True)
        self._origin_path.unlink(missing_ok=True)

    def __enter__(self) -> "Part":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._digest.abandon()
        self._file.close()
        if self.size == 0:
            self.discard()


class _Follower:
    """The md5 of a growing file, by a thread of its own (reading and hashing free the GIL)."""

    def __init__(self, path: Path):
        self._path = path
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._ended = threading.Event()
        self._abandoned = False
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def result(self) -> str:
        """Return the digest of the file as it is now."""
        self._ended.set()
        self._thread.join()
        if self._error:
            raise self._error
        return self._md5.hexdigest()

    def abandon(self) -> None:
        """Stop at once."""
        self._abandoned = True
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        try:
            with self._path.open("rb", buffering=0) as file:
                buffer = bytearray(CHUNK_BYTES)
                while not self._abandoned:
                    ended = self._ended.is_set()  # before the read: then nothing comes after it
                    n_bytes = file.readinto(buffer) or 0
                    self._md5.update(memoryview(buffer)[:n_bytes])
                    if n_bytes < len(buffer):  # the writer was caught up with
                        if ended and n_bytes == 0:
                            return
                        self._ended.wait(FOLLOW_S)
        except OSError as error:
            self._error = error


def md5_of(path: Path) -> str:
    """Return the md5 of a file: the published checksum, against faults of transfer only."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _read_origin(path: Path) -> Origin | None:
    """Read what was noted beside a part; None if that is not there or not readable."""
    try:
        return Origin(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _sync_folder(folder: Path) -> None:
    """Bring a new name to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
