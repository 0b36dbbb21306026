"""What several commands share: arguments, exit codes, optional extras."""

import argparse
import os
import textwrap
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from captioner.errors import InputError, install_command

SOME_FAILED = 1
USAGE_ERROR = 2  # as argparse

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def positive(text: str) -> int:
    """Parse a whole number above 0."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def add_models(parser: argparse.ArgumentParser, help: str) -> None:
    """Add `--model DIR`, which may be given several times."""
    parser.add_argument(
        "--model", type=Path, required=True, action="append", metavar="DIR", help=help
    )


def spare_inputs(out: Path | None, inputs: Iterable[str | Path]) -> None:
    """Raise `InputError` where `--out` names a file that is read: it would be lost."""
    if out is None or not out.is_file():
        return
    place = os.path.realpath(out)
    for name in inputs:
        if os.path.realpath(name) == place:
            raise InputError(f"--out {out}: found it among what is read, expected another file.")


def need_extra(extra: str, *packages: str) -> None:
    """Raise `InputError` where packages of an optional extra are not installed."""
    if missing := [name for name in packages if find_spec(name) is None]:
        raise InputError(
            f"{extra}: found no {', '.join(missing)}, expected the packages of the extra. In the "
            f"project's folder: {install_command(extra)}."
        )


class HelpFormatter(argparse.HelpFormatter):
    """Wraps no word at a hyphen, and an example as a shell takes it: lines end in backslashes."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        before, example, command = text.partition("Example: ")
        paragraphs = [
            textwrap.wrap(part, width - 2, break_long_words=False, break_on_hyphens=False)
            for part in (before, example + command)
        ]
        filled = ["\n".join(paragraphs[0]), " \\\n  ".join(paragraphs[1])]
        return textwrap.indent("\n\n".join(filter(None, filled)), indent)
