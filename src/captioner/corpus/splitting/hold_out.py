"""Split a captions CSV by its words: the user's own corpus, or one published without a split."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from captioner.corpus.readers.captions import CaptionRow, read_captions_csv
from captioner.corpus.splits import shares_of, write_split_csv
from captioner.corpus.splitting.report import SplitReport, report_split
from captioner.corpus.splitting.stratify import random_split, stratified_split
from captioner.job import atomic_path


def split_and_report(
    captions: Mapping[str, Sequence[str]], shares: Mapping[str, float], seed: int
) -> tuple[dict[str, list[str]], SplitReport, SplitReport]:
    """Give a `stratified_split`, a report on it, and one on a random split of the same seed."""
    parted = stratified_split(captions, shares, seed)
    at_random = random_split(captions, shares, seed)
    return parted, report_split(captions, parted), report_split(captions, at_random)


def hold_out(
    captions: str | Path, output: str | Path, held_out: Mapping[str, float], seed: int
) -> tuple[SplitReport, SplitReport]:
    """Split the clips of the CSV `captions`, and write `output`, a CSV file_name,split.

    `held_out` gives the shares of the splits beside development. Gives the reports of
    `split_and_report`. Raises `InputError` for a CSV or shares that cannot be used.
    """
    rows = {row.file_name: row.captions for row in read_captions_csv(captions, None)}
    parted, *reports = split_and_report(rows, shares_of(held_out), seed)
    write_split_csv(output, parted)
    return reports[0], reports[1]


def write_captions_csv(
    path: str | Path, rows: Sequence[CaptionRow], parted: Mapping[str, Sequence[str]]
) -> None:
    """Write the rows of a captions CSV, in their order, with the split of each; atomically."""
    split_of = {name: split for split, names in parted.items() for name in names}
    columns = [f"caption_{number + 1}" for number in range(len(rows[0].captions))]
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["file_name", "split", *columns])
        writer.writerows((row.file_name, split_of[row.file_name], *row.captions) for row in rows)
