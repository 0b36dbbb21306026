"""Captions on disk: a CSV for people and metrics, the n-best with scores beside it as Parquet.

Everything is keyed by file name, in the order given. The CSV is RFC 4180 (UTF-8), so that commas,
quotes and line breaks in a file name survive.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from captioner.decoding.options import Hypothesis
from captioner.job import atomic_path
from captioner.text.vocabulary import Vocabulary

COLUMNS = ["file_name", "caption_predicted"]
N_BEST_SCHEMA = pa.schema(
    [
        ("file_name", pa.string()),
        ("rank", pa.int32()),  # 0 is the best
        ("caption", pa.string()),
        ("score", pa.float64()),  # null: a trivial system has none
        ("expected_cider_d", pa.float64()),  # null: not reranked
    ]
)


def write_captions(
    csv_path: str | Path,
    parquet_path: str | Path,
    vocabulary: Vocabulary,
    hypotheses: Mapping[str, Sequence[Hypothesis]],
) -> None:
    """Write the hypotheses of each file (best first); a file without any has an empty caption."""
    n_best = {
        file_name: [
            (vocabulary.decode(found.tokens), found.score, found.expected_cider_d)
            for found in of_file
        ]
        for file_name, of_file in hypotheses.items()
    }
    _write(csv_path, parquet_path, n_best)


def write_plain_captions(
    csv_path: str | Path, parquet_path: str | Path, captions: Mapping[str, str]
) -> None:
    """Write one caption per file, without a score: what trivial systems predict."""
    _write(csv_path, parquet_path, {name: [(text, None, None)] for name, text in captions.items()})


def _write(
    csv_path: str | Path,
    parquet_path: str | Path,
    n_best: Mapping[str, Sequence[tuple[str, float | None, float | None]]],
) -> None:
    rows = [
        (file_name, rank, *values)
        for file_name, of_file in n_best.items()
        for rank, values in enumerate(of_file)
    ]
    columns = list(zip(*rows, strict=True)) or [()] * len(N_BEST_SCHEMA)
    with atomic_path(parquet_path) as temporary:
        pq.write_table(pa.table(columns, schema=N_BEST_SCHEMA), temporary)
    write_table(
        csv_path, {name: of_file[0][0] if of_file else "" for name, of_file in n_best.items()}
    )


def write_table(path: str | Path, captions: Mapping[str, str]) -> None:
    """Write the CSV `file_name,caption_predicted`, atomically."""
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as lines,
    ):
        table = csv.writer(lines)
        table.writerow(COLUMNS)
        table.writerows(captions.items())
