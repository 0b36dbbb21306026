"""`captioner caption`: captions of audio files by a trained system."""

import argparse
import sys
from pathlib import Path

from captioner.commands.arguments import SOME_FAILED, Commands, positive
from captioner.errors import InputError

BATCH_SIZE = 16  # files read before the first caption is printed


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "caption",
        help="caption audio files with a trained system",
        description="Prints FILE<TAB>CAPTION for each file, in order. Files that cannot be read "
        "are named on standard error; the others still run, and the exit code is 1.",
        epilog="Example: captioner caption --model results/synthetic/systems/transformer_small/"
        "seed1/model rain.wav dog.flac",
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="audio of any format and rate libsndfile reads"
    )
    parser.add_argument(
        "--model", type=Path, required=True, metavar="DIR", help="the folder of a trained system"
    )
    parser.add_argument(
        "--beam-size",
        type=positive,
        default=3,
        metavar="N",
        help="hypotheses kept; 1 is greedy (default: %(default)s)",
    )
    parser.add_argument(
        "--max-length",
        type=positive,
        default=30,
        metavar="N",
        help="words of a caption at most (default: %(default)s)",
    )
    parser.set_defaults(run=_caption)


def _caption(arguments: argparse.Namespace) -> int:
    from captioner.decoding.caption import caption_files
    from captioner.decoding.options import DecodingOptions

    options = DecodingOptions(
        beam_size=arguments.beam_size,
        max_length=arguments.max_length,
        batch_size=BATCH_SIZE,
    )
    exit_code = 0
    for file, result in caption_files(arguments.model, arguments.files, options):
        if isinstance(result, InputError):
            print(f"captioner: error: {_one_line(str(result))}", file=sys.stderr)
            exit_code = SOME_FAILED
        else:
            print(f"{_one_line(file)}\t{result}", flush=True)
    return exit_code


def _one_line(text: str) -> str:
    """Escape control characters, and bytes of a file name that are no UTF-8, like Python's repr."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(repr(c)[1:-1] if c < " " or c == "\x7f" else c for c in text)
