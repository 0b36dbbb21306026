"""`captioner compare`: whether one system's scores are better than another's, or by chance."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captioner.commands.arguments import Commands, positive
from captioner.errors import InputError

if TYPE_CHECKING:
    from captioner.evaluation.comparison import Difference, Move

RESAMPLES = 10_000
PREFERRED_METRIC = "spider"  # ranks the clips that moved most, unless --metric says another


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "compare",
        help="compare the scores of two systems: difference, interval and p-value",
        description="Prints by how much A and B differ in each metric, with a 95 % interval "
        "(paired bootstrap over clips) and a p-value (approximate randomisation, two-sided), then "
        "the clips that moved most. Both must be scored on the same clips. CIDEr's document "
        "frequencies stay those of all clips. Each p-value is of one metric: of nine, one may be "
        "small by chance.",
        epilog="Example: captioner compare results/clotho-v2.1/systems/transformer/seed1/scores/"
        "beam3/evaluation.parquet results/clotho-v2.1/systems/baseline/seed1/scores/greedy/"
        "evaluation.parquet --metric spider",
    )
    for name in ("A", "B"):
        parser.add_argument(
            f"scores_{name.lower()}",
            type=Path,
            metavar=f"SCORES_{name}",
            help="per-clip scores: the .parquet, the .json beside it, or a folder with one",
        )
    parser.add_argument(
        "--metric",
        action="append",
        metavar="NAME",
        help="compare this metric only, spider say (may be given several times; default: all)",
    )
    parser.add_argument(
        "--resamples",
        type=positive,
        default=RESAMPLES,
        metavar="N",
        help="of the clips; the smallest p-value is 1/(N + 1) (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=_not_negative,
        default=0,
        metavar="N",
        help="of the resampling (default: %(default)s)",
    )
    parser.add_argument(
        "--clips",
        type=_not_negative,
        default=5,
        metavar="N",
        help="show the N clips that moved most, each way; 0 shows none (default: %(default)s)",
    )
    for name in ("a", "b"):
        parser.add_argument(
            f"--captions-{name}",
            type=Path,
            metavar="FILE.csv",
            help=f"captions of {name.upper()} (file_name,caption_predicted), for those clips",
        )
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write all of it as JSON")
    parser.set_defaults(run=_compare)


def _compare(arguments: argparse.Namespace) -> int:
    from captioner.evaluation.clip_scores import read_clip_scores
    from captioner.evaluation.comparison import compare, most_moved
    from captioner.evaluation.tables import read_predictions

    captions = [
        None if path is None else (path, read_predictions(path))
        for path in (arguments.captions_a, arguments.captions_b)
    ]
    a, b = (read_clip_scores(path) for path in (arguments.scores_a, arguments.scores_b))
    found = compare(
        a, b, metrics=arguments.metric, resamples=arguments.resamples, seed=arguments.seed
    )
    metric = next(m for m in (PREFERRED_METRIC, *found) if m in found)
    moved = [
        [_with_captions(move, captions) for move in moves]
        for moves in most_moved(a, b, metric, arguments.clips)
    ]
    print(f"A: {arguments.scores_a}\nB: {arguments.scores_b}")
    print(f"{len(a)} clips, {arguments.resamples} resamples")
    _print_differences(found)
    for winner, clips in zip("AB", moved, strict=True):
        _print_clips(winner, metric, clips)
    if arguments.out:
        _write(arguments, len(a), found, metric, moved)
    return 0


def _with_captions(
    move: "Move", captions: Sequence[tuple[Path, Mapping[str, str]] | None]
) -> dict[str, Any]:
    """Give a clip with its captions, where they are known."""
    clip: dict[str, Any] = {"file_name": move.file_name, "a": move.a, "b": move.b}
    for name, given in zip("ab", captions, strict=True):
        if given is not None:
            path, of_clips = given
            if move.file_name not in of_clips:
                raise InputError(
                    f"{path}: found no caption of {move.file_name!r}, expected the captions that "
                    f"were scored as {name.upper()}. Give that file."
                )
            clip[f"caption_{name}"] = of_clips[move.file_name]
    return clip


def _print_differences(found: Mapping[str, "Difference"]) -> None:
    from captioner.evaluation.comparison import in_words, number_text

    width = max(map(len, found))
    print(f"\n{'':{width}}  {'A':>6} {'B':>6}")
    for metric, difference in found.items():
        values = f"{number_text(difference.a):>6} {number_text(difference.b):>6}"
        print(f"{metric:{width}}  {values}  {in_words(difference)}")


def _print_clips(winner: str, metric: str, clips: Sequence[Mapping[str, Any]]) -> None:
    from captioner.evaluation.comparison import number_text

    if clips:
        print(f"\n{winner} gained most, by {metric}:")
    for clip in clips:
        a, b = number_text(clip["a"]), number_text(clip["b"])
        print(f"  {clip['file_name']}: A {a}, B {b}")
        for name in "ab":
            if f"caption_{name}" in clip:
                print(f"    {name.upper()}: {clip[f'caption_{name}']}")


def _write(
    arguments: argparse.Namespace,
    n_clips: int,
    found: Mapping[str, "Difference"],
    metric: str,
    moved: Sequence[Sequence[Mapping[str, Any]]],
) -> None:
    from captioner.evaluation.bootstrap import CONFIDENCE
    from captioner.evaluation.comparison import METHOD, in_words
    from captioner.job import write_json

    write_json(
        arguments.out,
        {
            "a": str(arguments.scores_a),
            "b": str(arguments.scores_b),
            "n_clips": n_clips,
            "resamples": arguments.resamples,
            "seed": arguments.seed,
            "confidence": CONFIDENCE,
            "method": METHOD,
            "metrics": {
                name: asdict(difference) | {"words": in_words(difference)}
                for name, difference in found.items()
            },
            "moved": {"metric": metric, "a_gained": moved[0], "b_gained": moved[1]},
        },
    )


def _not_negative(text: str) -> int:
    """Parse a whole number from 0 on."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return number
