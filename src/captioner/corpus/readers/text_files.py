"""What readers of captions share: decode a file, part a CSV, tell all its faults in one message."""

import csv
import io
from pathlib import Path

from captioner.errors import InputError

N_SHOWN = 10  # faults that a message tells


def decode(path: Path, what: str = "a CSV") -> str:
    """Read a text file in UTF-8, with or without byte order mark.

    Absent or in another encoding, it is an `InputError`; `what` was expected there.
    """
    try:
        return read_bytes(path, what).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}, line {line}: byte 0x{error.object[error.start]:02x} is not UTF-8; expected "
            f"{what} in UTF-8: save it again with that encoding"
        ) from None


def read_bytes(path: Path, what: str) -> bytes:
    """Read a file; where there is none, it is an `InputError`, and `what` was expected."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing; expected {what}: check the path, or put the file there"
        ) from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; expected {what}: check the path") from None


def read_csv(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read a CSV in UTF-8: the header, and each row that is not empty with its line number.

    An empty file has an empty header. Raises `InputError` for what is not a CSV.
    """
    lines = csv.reader(io.StringIO(decode(path), newline=""), strict=True)
    try:
        numbered = [(lines.line_num, row) for row in lines if row]
    except csv.Error as error:
        raise InputError(
            f"{path}, line {lines.line_num}: not a CSV ({error}); expected cells separated by "
            "commas, those with commas or quotes inside in double quotes"
        ) from error
    (_, header), *rows = numbered or [(1, [])]
    return header, rows


class Faults:
    """What is wrong with a file, gathered so that one message names the first ten."""

    def __init__(self, path: Path):
        self._path = path
        self._found: list[str] = []

    def add(self, fault: str, line: int | None = None) -> None:
        """Note a fault, with the line that it stands in where there is one."""
        self._found.append(f"  line {line}: {fault}" if line else f"  {fault}")

    def raise_if_any(self, what_to_do: str) -> None:
        """Raise one `InputError` if there are faults."""
        if self._found:
            shown = "\n".join(self._found[:N_SHOWN])
            hidden = len(self._found) - N_SHOWN
            more = f"\n  and {hidden} more" if hidden > 0 else ""
            raise InputError(
                f"{self._path} has faults ({len(self._found)}):\n{shown}{more}\n"
                f"What to do: {what_to_do}"
            )
