"""The command `captioner`: for people with audio or predictions and no workflow."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from captioner.errors import InputError
from captioner.job import exit_on_sigterm

SOME_FAILED = 1
USAGE_ERROR = 2  # as argparse


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code (2 for bad input, named on standard error)."""
    parser = argparse.ArgumentParser(prog="captioner", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_score(commands)
    _add_caption(commands)
    arguments = parser.parse_args(argv)
    exit_on_sigterm()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return arguments.run(arguments)
    except (InputError, OSError) as error:  # OSError names the file it could not use
        print(f"captioner: error: {error}", file=sys.stderr)
        return USAGE_ERROR


def _add_score(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "score",
        help="score predicted captions with the nine metrics of DCASE 2021 Task 6",
        description="BLEU-1 to 4, ROUGE-L, METEOR, CIDEr, SPICE and SPIDEr by the official tools.",
        epilog="The first run fetches 387 MB of Java libraries for SPICE.",
    )
    parser.add_argument(
        "predictions", type=Path, metavar="PREDICTIONS.csv", help="file_name,caption_predicted"
    )
    parser.add_argument(
        "references", type=Path, metavar="REFERENCES.csv", help="file_name,caption_1,...,caption_N"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE.json", help="write the scores: metric name to number"
    )
    parser.add_argument(
        "--per-clip", type=Path, metavar="FILE.csv", help="write the scores of each clip"
    )
    parser.add_argument(
        "--allow-empty", action="store_true", help="score empty predictions instead of refusing"
    )
    parser.add_argument(
        "--java-folder",
        type=Path,
        metavar="DIR",
        help="where SPICE's libraries are, or are put (default: resources/java where that folder "
        "exists, else captioner/java in the user's cache folder)",
    )
    parser.add_argument(
        "--spice-cache",
        type=Path,
        metavar="DIR",
        help="where SPICE keeps parsed captions for the next run (default: spice-cache beside the "
        "Java folder)",
    )
    parser.add_argument(
        "--threads", type=_positive, metavar="N", help="parsing threads (default: all processors)"
    )
    parser.add_argument(
        "--offline", action="store_true", help="open no connection; say what is missing instead"
    )
    parser.set_defaults(run=_score)


def _score(arguments: argparse.Namespace) -> int:
    from captioner.evaluation.java import fetch_spice_jars
    from captioner.evaluation.score import METRICS, check_clips, score_captions
    from captioner.evaluation.tables import read_predictions, read_references, write_per_clip
    from captioner.job import write_json

    predictions = read_predictions(arguments.predictions)
    references = read_references(arguments.references)
    check_clips(predictions, references, allow_empty=arguments.allow_empty)
    java_folder = arguments.java_folder or _default_java_folder()
    fetch_spice_jars(java_folder, offline=arguments.offline)
    scores = score_captions(
        predictions,
        references,
        java_folder=java_folder,
        cache_folder=arguments.spice_cache or java_folder.parent / "spice-cache",
        allow_empty=arguments.allow_empty,
        threads=arguments.threads,
    )
    if arguments.out:
        write_json(arguments.out, scores.corpus)
    if arguments.per_clip:
        write_per_clip(arguments.per_clip, METRICS, scores.per_clip)
    print(f"{len(scores.per_clip)} clips")
    for metric, value in scores.corpus.items():
        print(f"{metric:<8} {value:.4f}")
    return 0


def _add_caption(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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
        type=_positive,
        default=3,
        metavar="N",
        help="hypotheses kept; 1 is greedy (default: %(default)s)",
    )
    parser.add_argument(
        "--max-length",
        type=_positive,
        default=30,
        metavar="N",
        help="words of a caption at most (default: %(default)s)",
    )
    parser.set_defaults(run=_caption)


def _caption(arguments: argparse.Namespace) -> int:
    from captioner.decoding.caption import caption_files
    from captioner.decoding.options import DecodingOptions

    options = DecodingOptions(beam_size=arguments.beam_size, max_length=arguments.max_length)
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


def _default_java_folder() -> Path:
    here = Path("resources", "java")
    if here.is_dir():
        return here
    if sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "captioner" / "java"


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
