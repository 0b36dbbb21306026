"""The command `captioner`: for people with audio or predictions and no workflow."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence

from captioner.commands import (
    caption,
    check_submission,
    compare,
    export,
    features,
    info,
    score,
    serve,
    split,
)
from captioner.commands.arguments import USAGE_ERROR, HelpFormatter
from captioner.errors import InputError
from captioner.job import exit_on_sigterm

COMMANDS = (caption, serve, info, score, compare, features, split, export, check_submission)

INTERRUPTED, BROKEN_PIPE = 128 + signal.SIGINT, 128 + signal.SIGPIPE


class Version(argparse.Action):
    """Tells the version; looked up when it is asked for alone, for that takes its time."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str):
        """Take no value."""
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print it and end."""
        from importlib.metadata import version

        print("captioner", version("aac-workflow"))
        parser.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code.

    2 for bad input, named on standard error; as of a program that a signal ends, without a word,
    130 for Ctrl-C and 141 where nobody reads standard output any more (`| head`).
    """
    parser = argparse.ArgumentParser(prog="captioner", description=__doc__)
    parser.add_argument("--version", action=Version, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    for subparser in commands.choices.values():
        subparser.formatter_class = HelpFormatter
    arguments = parser.parse_args(argv)
    exit_on_sigterm()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("torch").setLevel(logging.WARNING)  # it tells of its caches at Ctrl-C
    try:
        exit_code: int = arguments.run(arguments)
        sys.stdout.flush()  # here, and not at Python's end, where an error is a message
        return exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is unsent goes there
        return BROKEN_PIPE
    except (InputError, OSError) as error:  # OSError names the file it could not use
        print(f"captioner: error: {error}", file=sys.stderr)
        return USAGE_ERROR


if __name__ == "__main__":
    sys.exit(main())
