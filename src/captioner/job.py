"""What every job needs: a log, atomic writes, a progress bar."""

import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from tqdm import tqdm

from captioner.errors import InputError

LOG_INTERVAL_S = 60  # a progress line a minute where no terminal shows the bar

log = logging.getLogger("captioner")


def start_logging(path: str | Path) -> None:
    """Send the log to `path`, warnings to standard error too, and uncaught exceptions to both.

    An `InputError` is one message without a traceback. Exit codes are Python's (1); a job that is
    told to end (SIGTERM) cleans up first.
    """
    exit_on_sigterm()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    to_file = logging.FileHandler(path, mode="w", encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    to_terminal = logging.StreamHandler()
    to_terminal.setLevel(logging.WARNING)
    to_terminal.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [to_file, to_terminal]
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)

    def excepthook(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if issubclass(kind, InputError):
            log.error("%s", error)
        else:
            log.critical("%s: %s", kind.__name__, error, exc_info=(kind, error, trace))

    sys.excepthook = excepthook


def exit_on_sigterm() -> None:
    """Turn SIGTERM into `SystemExit`, so that processes are stopped and temporary files removed."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` at the end, remove it on failure.

    Works for files and folders; an existing folder at `path` is replaced.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = Path(tempfile.mkdtemp(dir=path.parent, prefix=".writing-"))
    temporary = holder / path.name
    try:
        yield temporary
        if temporary.is_file():
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())  # the content reaches the disk before the name does
        if path.is_dir() and temporary.is_dir():
            path.rename(holder / "replaced")
        temporary.replace(path)
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN is refused (`ValueError`)."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


class Progress:
    """A progress bar with rate and time left; a line a minute in the log where none is seen.

    >>> with Progress(total=3, description="Clips", unit="clip") as progress:
    ...     progress.advance()
    """

    def __init__(
        self,
        total: int,
        description: str,
        unit: str,
        *,
        scale: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ):
        shown = sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            desc=description,
            unit=unit,
            unit_scale=scale,
            dynamic_ncols=True,
            file=sys.stderr if shown else open(os.devnull, "w"),  # noqa: SIM115, PTH123
        )
        self._clock = clock
        self._last_line = clock()

    def advance(self, n: int = 1, **figures: Any) -> None:
        """Move on by `n`; `figures` (a loss, say) stand behind the bar."""
        if figures:
            self._bar.set_postfix(figures, refresh=False)
        self._bar.update(n)
        if self._clock() - self._last_line >= LOG_INTERVAL_S:
            self._last_line = self._clock()
            log.info("%s", self._bar)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        log.info("%s", self._bar)
        self._bar.close()
