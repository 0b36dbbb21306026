"""Java tools at work: started, spoken to, stopped in time, their failures explained."""

import logging
import math
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, NoReturn, TypeVar

from captioner.errors import InputError

LOG_TAIL_LINES = 15  # of the tool's log, shown in an error
LINES_AHEAD = 100  # sent before their answers are read; METEOR answers with some 120 bytes

Result = TypeVar("Result")

log = logging.getLogger(__name__)


class ToolHangsError(InputError):
    """A tool gave no answer in its time."""


def twice_if_it_hangs(run: Callable[[Path], Result], scratch: Path) -> Result:
    """Run a tool in a new folder of `scratch`, and once more in another one if it hangs."""
    try:
        return run(_new_folder(scratch))
    except ToolHangsError as error:
        log.warning("%s\nTrying once more.", error)
        return run(_new_folder(scratch))


def _new_folder(scratch: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=scratch))


class Crew:
    """The Java processes of one job, whatever thread started them: killed when it ends."""

    def __init__(self) -> None:
        self._members: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._is_over = False

    def add(self, process: "subprocess.Popen[bytes]") -> None:
        """Count in a process that was just started."""
        with self._lock:
            self._members.append(process)
            if self._is_over:
                process.kill()

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._is_over = True
            for process in self._members:
                process.kill()  # does nothing to one that has ended


class JavaProcess:
    """One Java tool at work in a folder of its own; killed at the end whatever happened.

    With `talks` the tool is spoken to line by line (`ask`, `read_line`); otherwise what it prints
    is had at its end (`finish`). A wait of more than `timeout_s` seconds for either ends in its
    death (`ToolHangsError`). Every failure is an `InputError` with the end of the tool's log.
    """

    def __init__(
        self,
        tool: str,
        command: list[str],
        folder: Path,
        timeout_s: float,
        *,
        talks: bool = False,
        crew: Crew | None = None,
    ):
        self.tool = tool
        self.timeout_s = timeout_s
        self._log = folder / "log.txt"
        self._output = folder / "output.txt"
        with self._log.open("wb") as to_log, self._output.open("wb") as to_output:
            self._process = subprocess.Popen(
                command,
                cwd=folder,  # Java's crash reports land in its working directory
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else to_output,
                stderr=to_log,
            )
        if crew is not None:
            crew.add(self._process)
        self._timed_out = False
        self._deadline = math.inf  # of the wait that is on
        self._is_over = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def ask(self, line: str) -> str:
        """Send one line, return the answer's line."""
        return self.ask_many([line])[0]

    def ask_many(self, lines: Sequence[str]) -> list[str]:
        """Send lines, return the answers, one line each.

        Some lines are sent before their answers are read: that spares both sides waiting. The
        answers to as many must fit a pipe (64 KiB on Linux), or both would wait for ever.
        """
        pipe = _open(self._process.stdin)
        answers = []
        for start in range(0, len(lines), LINES_AHEAD):
            some = lines[start : start + LINES_AHEAD]
            try:
                with self._time_limit():
                    pipe.write("".join(f"{line}\n" for line in some).encode())
                    pipe.flush()
            except BrokenPipeError:
                self._fail()
            answers += [self.read_line() for _ in some]
        return answers

    def read_line(self) -> str:
        """Return the next line of the tool's output."""
        with self._time_limit():
            line = _open(self._process.stdout).readline()
        if not line.endswith(b"\n"):
            self._fail()
        return line.decode().strip()

    def finish(self) -> str:
        """Wait for the tool's successful end; return what it printed."""
        with self._time_limit():
            code = self._process.wait()
        if code != 0:
            self._fail()
        return self._output.read_text(encoding="utf-8")

    @contextmanager
    def _time_limit(self) -> Iterator[None]:
        self._deadline = time.monotonic() + self.timeout_s
        try:
            yield
        finally:
            self._deadline = math.inf

    def _watch(self) -> None:
        while not self._is_over.wait(min(1, self.timeout_s / 4)):
            if time.monotonic() > self._deadline:
                self._timed_out = True
                self._process.kill()
                return

    def _fail(self) -> NoReturn:
        code = self._process.wait()
        text = self._log.read_text(encoding="utf-8", errors="replace")
        if self._timed_out:
            reason = f"gave no result within {self.timeout_s:g} s and was stopped; allow more time"
        elif "java.lang.OutOfMemoryError" in text:
            reason = "ran out of memory; allow its Java more"
        elif code < 0:
            reason = f"was killed by signal {-code}; on a machine short of memory that is the usual"
            reason += " reason: free some, or run fewer jobs at once"
        else:
            reason = f"failed with exit code {code}, expected 0"
        tail = "\n".join(text.splitlines()[-LOG_TAIL_LINES:]) or "(empty)"
        failure = ToolHangsError if self._timed_out else InputError
        raise failure(f"{self.tool} {reason}. The end of its Java log:\n{tail}")

    def __enter__(self) -> "JavaProcess":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # a line was still unsent
                    pipe.close()
        self._process.wait()


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "the process was not started with talks=True"
    return pipe
