"""The scores of each clip as arrays, and the corpus values of any sample of the clips."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from captioner.errors import InputError
from captioner.evaluation.aggregation import (
    N_BLEU,
    N_METEOR,
    Matrix,
    addable_meteor,
    bleu_of_sums,
    meteor_of_sums,
)

BLEU_STATISTICS = "bleu_statistics"
METEOR_STATISTICS = "meteor_statistics"
STATISTICS = {BLEU_STATISTICS: N_BLEU, METEOR_STATISTICS: N_METEOR}
BLEU = ("bleu_1", "bleu_2", "bleu_3", "bleu_4")
SUMMED = (*BLEU, "meteor")  # of summed statistics; every other metric is a mean of clips


@dataclass(frozen=True)
class ClipScores:
    """Scores of N clips, one row each.

    `values` are the clips' own scores by metric, (N,); `bleu` (N, 10) and `meteor` (N, 23, as
    `addable_meteor` gives them) are the statistics whose sums give those metrics' corpus values.
    """

    file_names: tuple[str, ...]
    values: dict[str, Matrix]
    bleu: Matrix
    meteor: Matrix

    def __len__(self) -> int:
        return len(self.file_names)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics, in the order of the table."""
        return tuple(self.values)

    @cached_property
    def statistics(self) -> Matrix:
        """All that is summed over clips: (N, number of statistics)."""
        means = [self.values[metric] for metric in self.metrics if metric not in SUMMED]
        return np.column_stack([self.bleu, self.meteor, *means])

    def corpus_values(self, sums: Matrix) -> dict[str, Matrix]:
        """Compute every metric of R samples of N clips each: (R, statistics) -> (R,) a metric.

        `weights @ statistics` gives the sums, where weights (R, N) count the clips of a sample.
        """
        bleu, meteor, means = np.split(sums, [N_BLEU, N_BLEU + N_METEOR], axis=1)
        found = dict(zip(BLEU, bleu_of_sums(bleu).T, strict=True))
        found["meteor"] = meteor_of_sums(meteor)
        averaged = [metric for metric in self.metrics if metric not in SUMMED]
        found |= dict(zip(averaged, (means / len(self)).T, strict=True))
        return {metric: found[metric] for metric in self.metrics}

    def corpus(self) -> dict[str, float]:
        """Compute the corpus values: every clip once."""
        sums = self.statistics.sum(axis=0, keepdims=True)
        values = self.corpus_values(sums)
        return {metric: float(value[0]) for metric, value in values.items()}

    def table(self) -> pa.Table:
        """Give the table that `clip_scores_of` reads."""
        lists = pa.list_(pa.float64())
        return pa.table(
            {"file_name": pa.array(self.file_names, pa.string())}
            | {metric: pa.array(of_clips) for metric, of_clips in self.values.items()}
            | {
                BLEU_STATISTICS: pa.array(self.bleu.tolist(), lists),
                METEOR_STATISTICS: pa.array(self.meteor.tolist(), lists),
            }
        )

    def aligned(self, file_names: Sequence[str]) -> "ClipScores":
        """Give the same clips in another order."""
        rows = {name: row for row, name in enumerate(self.file_names)}
        order = [rows[name] for name in file_names]
        values = {metric: of_clips[order] for metric, of_clips in self.values.items()}
        return ClipScores(tuple(file_names), values, self.bleu[order], self.meteor[order])


def clip_scores_of(table: pa.Table, source: str = "scores") -> ClipScores:
    """Take the scores from a per-clip table (`write_scores`); `source` names it in messages.

    Every column of floating-point numbers is a metric, of which more is better.

    Raises:
        InputError: a column is missing, has nothing or no number somewhere, or there is no clip.
    """
    needed = ("file_name", *SUMMED, *STATISTICS)
    if missing := [column for column in needed if column not in table.column_names]:
        raise InputError(
            f"{source}: found no column {', '.join(missing)}, expected the per-clip Parquet that "
            "scoring writes. Score the captions again with this version."
        )
    if table.num_rows == 0:
        raise InputError(f"{source}: found no clip, expected at least one")
    names = tuple(table.column("file_name").to_pylist())
    if len(set(names)) < len(names):
        raise InputError(f"{source}: a clip stands twice, expected each once. Score again.")
    values = {
        field.name: _numbers(table, field.name, source)
        for field in table.schema
        if pa.types.is_floating(field.type)
    }
    bleu, meteor = (_statistics(table, column, source) for column in STATISTICS)
    return ClipScores(names, values, bleu, addable_meteor(meteor))


def read_clip_scores(path: str | Path) -> ClipScores:
    """Read the scores of clips: the per-clip Parquet, the JSON beside it, or a folder with one.

    Raises:
        InputError: there is no such file, not exactly one in a folder, or it is no such table.
    """
    path = find_per_clip(path)
    try:
        return clip_scores_of(pq.read_table(path), str(path))
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{path}: found no Parquet, expected the per-clip scores that scoring writes. "
            "Give that .parquet."
        ) from error


def find_per_clip(path: str | Path) -> Path:
    """Find the per-clip Parquet that a path means: itself, beside a JSON, or in a folder.

    A folder may be the one of the scores, or a system's, with `scores/<decoding>/` below.

    Raises:
        InputError: as `read_clip_scores`.
    """
    path = Path(path)
    if path.is_dir():
        found = sorted(path.glob("*.parquet")) or sorted(path.rglob("scores/*/*.parquet"))
        if len(found) != 1:
            some = ", ".join(str(file.relative_to(path)) for file in found[:5]) or "none"
            raise InputError(
                f"{path}: found {len(found)} per-clip tables ({some}), expected one. Name the file."
            )
        return found[0]
    parquet = path.with_suffix(".parquet") if path.suffix == ".json" else path
    if not parquet.is_file():
        raise InputError(
            f"{parquet}: no such file, expected per-clip scores (.parquet, written by scoring "
            "beside its .json). Check the path, or score first."
        )
    return parquet


def pool(parts: Sequence[ClipScores], counted: NDArray[np.bool_] | None = None) -> ClipScores:
    """Pool scorings of the same clips, of several seeds say: means of values and of statistics.

    BLEU and METEOR of means are those of all candidates together, and each clip weighs the same
    however many of its scorings count.

    Args:
        parts: scorings of the same clips in the same order.
        counted: (parts, N): which clips of a scoring count, each in one at least; None: all.
    """
    first = parts[0]
    mask = np.ones((len(parts), len(first)), bool) if counted is None else counted
    weights = mask / mask.sum(axis=0)  # (parts, N)
    values = {
        metric: np.einsum("pn,pn->n", weights, [part.values[metric] for part in parts])
        for metric in first.metrics
        if all(metric in part.values for part in parts)
    }
    bleu = np.einsum("pn,pns->ns", weights, [part.bleu for part in parts])
    meteor = np.einsum("pn,pns->ns", weights, [part.meteor for part in parts])
    return ClipScores(first.file_names, values, bleu, meteor)


def _numbers(table: pa.Table, column: str, source: str) -> Matrix:
    numbers = table.column(column).to_numpy().astype(np.float64)
    if not np.isfinite(numbers).all():
        raise InputError(f"{source}: found no number somewhere in {column}. Score again.")
    return numbers


def _statistics(table: pa.Table, column: str, source: str) -> Matrix:
    """Read a column of lists as (N, length)."""
    width = STATISTICS[column]
    lists = table.column(column).combine_chunks()
    lengths = set(lists.value_lengths().to_pylist())
    if lengths != {width}:
        raise InputError(
            f"{source}: found lists of {sorted(lengths, key=str)} numbers in {column}, expected "
            f"{width}. Score the captions again with this version."
        )
    return lists.flatten().to_numpy(zero_copy_only=False).astype(np.float64).reshape(-1, width)
