"""Taking turns across processes and workflows that share a folder: locks that die with a process.

The lock files stay, empty: removing one would let two processes hold "the same" lock.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PER_HOST = 4  # connections to one server; Zenodo answers guests 60 requests a minute
POLL_S = 0.5
REMINDER_S = 60  # between lines in the log of a process that waits

log = logging.getLogger(__name__)


@contextmanager
def exclusive(path: Path, name: str) -> Iterator[None]:
    """Hold the lock `path`; wait for whoever makes `name` now."""
    with _first_of([path], f"{name}: another process is at it; waiting"):
        yield


@contextmanager
def connection(folder: Path, host: str, limit: int | None = None) -> Iterator[None]:
    """Hold one of the `limit` (by default `PER_HOST`) connections to a host."""
    safe = "".join(c if c.isalnum() or c in "-." else "_" for c in host)
    n_slots = PER_HOST if limit is None else limit
    slots = [folder / f"{safe}.{number}.lock" for number in range(n_slots)]
    with _first_of(slots, f"{host}: {n_slots} files come from there now; waiting"):
        yield


@contextmanager
def _first_of(paths: list[Path], why: str) -> Iterator[None]:
    """Hold the first of some locks that is free."""
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    locks = [FileLock(path) for path in paths]
    said = float(-REMINDER_S)
    while True:
        for lock in locks:
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            try:
                yield
            finally:
                lock.release()
            return
        if time.monotonic() - said >= REMINDER_S:
            said = time.monotonic()
            log.info(why)
        time.sleep(POLL_S)
