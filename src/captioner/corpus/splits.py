"""The splits of a corpus: their names and sizes, and the CSV that says which clip is in which."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from captioner.errors import InputError
from captioner.job import atomic_path

# DCASE: development-training, development-validation, development-testing, evaluation; and 2022's.
SPLITS = ("development", "validation", "evaluation", "test", "analysis")
UNCAPTIONED = ("test", "analysis")  # decoded and packaged, never scored


def shares_of(held_out: Mapping[str, float]) -> dict[str, float]:
    """Give the shares of all splits from those held out: development has the rest; 0 is no split.

    Raises `InputError` if nothing is left for development.
    """
    shares = {split: share for split, share in held_out.items() if share}
    rest = 1 - sum(shares.values())
    if rest <= 0:
        raise InputError(
            f"Held out are {_told(shares)}; expected less than 1 together, for development is what "
            "they leave"
        )
    return {"development": rest, **shares}


def split_sizes(n_clips: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Give the number of clips of each split: its share, rounded, but one at least.

    `development` takes what the others leave. Raises `InputError` if the shares do not sum to 1,
    one of them is no share above 0, or if nothing is left for development.
    """
    wrong = any(not 0 < share <= 1 for share in shares.values())
    if wrong or "development" not in shares or abs(sum(shares.values()) - 1) > 1e-6:
        raise InputError(
            f"The shares of the splits are {_told(shares)}; expected numbers above 0 that sum to "
            "1, one of them for development"
        )
    sizes = {split: max(1, round(share * n_clips)) for split, share in shares.items()}
    sizes["development"] += n_clips - sum(sizes.values())
    if sizes["development"] < 1:
        raise InputError(
            f"{n_clips} clips cannot be split into {_told(shares)} with some left for development: "
            "add clips, lower the shares, or say each clip's split in a column `split` of the "
            "captions CSV"
        )
    return sizes


def write_split_csv(path: str | Path, parted: Mapping[str, Sequence[str]]) -> None:
    """Write which clip is in which split (split -> file names) as a CSV file_name,split, sorted.

    `captions.read_captions_csv(path, 0, split_column=True)` reads it. Written atomically.
    """
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["file_name", "split"])
        writer.writerows(sorted((name, split) for split, names in parted.items() for name in names))


def _told(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{split} {share:g}" for split, share in shares.items())
