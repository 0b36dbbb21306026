"""Splits by words: CPU seconds and how near they come, against Clotho's own and a random split.

    PYTHONPATH=src python benchmarks/bench_split.py --clotho FOLDER --clips 50000

FOLDER holds the published captions of Clotho v2.1 (clotho_captions_development.csv, ..._validation,
..._evaluation): all their clips are split anew into splits of the published sizes. The other corpus
is made: as many clips as asked for, five captions of eleven words each, 15,000 words as frequent as
in a language (Zipf).

The captions of Clotho's fourth split, for testing, are not public: some words that look alone in
development are in that split.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from captioner.corpus.readers.captions import read_captions_csv
from captioner.corpus.splitting.report import FREQUENT, report_split
from captioner.corpus.splitting.stratify import random_split, stratified_split

SPLITS = ("development", "validation", "evaluation")
SHARES = {"development": 0.7, "validation": 0.15, "evaluation": 0.15}

Captions = dict[str, tuple[str, ...]]
Parted = dict[str, list[str]]


def main() -> None:
    """Measure both corpora and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clotho", type=Path, help="folder of the published captions")
    parser.add_argument("--clips", type=int, default=50_000, help="of the made corpus")
    arguments = parser.parse_args()
    print(f"{'':36}{'CPU s':>7}{'missing':>9}{'alone':>7}{'off by':>9}{'at most':>9}")
    if arguments.clotho:
        captions, published = read_clotho(arguments.clotho)
        shares = {split: len(names) / len(captions) for split, names in published.items()}
        print_row("Clotho v2.1, as published", captions, lambda: published)
        compare("Clotho v2.1", captions, shares)
    compare(f"{arguments.clips} clips", make_captions(arguments.clips), SHARES)
    print("missing: words that development lacks; alone: words of several clips, all of them there")
    print(f"off by: a word's share of a split, mean; at most: of words in {FREQUENT} clips or more")


def compare(what: str, captions: Captions, shares: dict[str, float]) -> None:
    """Print a row for ours and one for a random split."""
    print_row(f"{what}, by words", captions, partial(stratified_split, captions, shares, 0))
    print_row(f"{what}, at random", captions, partial(random_split, captions, shares, 0))


def print_row(what: str, captions: Captions, split: Callable[[], Parted]) -> None:
    """Split, and print the time and what the report says."""
    start = time.process_time()
    parted = split()
    seconds = time.process_time() - start
    report = report_split(captions, parted)
    print(
        f"{what:36}{seconds:7.1f}{report.missing:9}{report.alone:7}"
        f"{100 * report.mean_deviation:7.1f} %{100 * report.worst_deviation:7.1f} %"
    )


def read_clotho(folder: Path) -> tuple[Captions, Parted]:
    """Give all captions, and the published split; four names stand in two splits."""
    captions, published = {}, {}
    for split in SPLITS:
        rows = read_captions_csv(folder / f"clotho_captions_{split}.csv", 5)
        published[split] = [f"{split}/{row.file_name}" for row in rows]
        captions.update({f"{split}/{row.file_name}": row.captions for row in rows})
    return captions, published


def make_captions(n_clips: int) -> Captions:
    """Give captions of words drawn by Zipf's law."""
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, 15_001)
    weights /= weights.sum()
    words = np.array([f"w{number}" for number in range(len(weights))])
    return {
        f"{clip}.wav": tuple(
            " ".join(words[rng.choice(len(words), 11, p=weights)]) for _ in "12345"
        )
        for clip in range(n_clips)
    }


if __name__ == "__main__":
    main()
