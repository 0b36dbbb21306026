"""What several commands share: argument types and exit codes."""

import argparse
from typing import TypeAlias

SOME_FAILED = 1
USAGE_ERROR = 2  # as argparse

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def positive(text: str) -> int:
    """Parse a whole number above 0."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number
