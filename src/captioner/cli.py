"""The command `captioner`: for people with audio or predictions and no workflow."""

import argparse
import logging
import sys
from collections.abc import Sequence

from captioner.commands import caption, check_submission, compare, features, score, split
from captioner.commands.arguments import USAGE_ERROR
from captioner.errors import InputError
from captioner.job import exit_on_sigterm

COMMANDS = (caption, score, compare, features, split, check_submission)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code (2 for bad input, named on standard error)."""
    parser = argparse.ArgumentParser(prog="captioner", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    arguments = parser.parse_args(argv)
    exit_on_sigterm()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        exit_code: int = arguments.run(arguments)
        return exit_code
    except (InputError, OSError) as error:  # OSError names the file it could not use
        print(f"captioner: error: {error}", file=sys.stderr)
        return USAGE_ERROR


if __name__ == "__main__":
    sys.exit(main())
