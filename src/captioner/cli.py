"""The command `captioner`: for people with audio or predictions and no workflow."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from captioner.errors import InputError

USAGE_ERROR = 2  # as argparse


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code (2 for bad input, named on standard error)."""
    parser = argparse.ArgumentParser(prog="captioner", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_score(commands)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return arguments.run(arguments)
    except InputError as error:
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
