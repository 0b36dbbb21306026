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
from captioner.errors import InputError
from captioner.job import atomic_path
from captioner.text.vocabulary import Vocabulary

COLUMNS = ["file_name", "caption_predicted"]
N_BEST_SCHEMA = pa.schema(
    [
        ("file_name", pa.string()),
        ("rank", pa.int32()),  # 0 is the best
        ("caption", pa.string()),
        ("score", pa.float64()),  # null: a trivial system has none
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
        file_name: [(vocabulary.decode(found.tokens), found.score) for found in of_file]
        for file_name, of_file in hypotheses.items()
    }
    _write(csv_path, parquet_path, n_best)


def write_plain_captions(
    csv_path: str | Path, parquet_path: str | Path, captions: Mapping[str, str]
) -> None:
    """Write one caption per file, without a score: what trivial systems predict."""
    _write(csv_path, parquet_path, {name: [(text, None)] for name, text in captions.items()})


def _write(
    csv_path: str | Path,
    parquet_path: str | Path,
    n_best: Mapping[str, Sequence[tuple[str, float | None]]],
) -> None:
    rows = [
        (file_name, rank, caption, score)
        for file_name, of_file in n_best.items()
        for rank, (caption, score) in enumerate(of_file)
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


def read_captions(path: str | Path) -> dict[str, str]:
    """Read file name -> caption from a CSV `file_name,caption_predicted`, in its order.

    Raises `InputError` for other columns, a row of another length, a repeated file name, or an
    encoding that is not UTF-8.
    """
    captions: dict[str, str] = {}
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as lines:
            table = csv.reader(lines)
            header = next(table, [])
            if header != COLUMNS:
                raise InputError(
                    f"{path}: found the columns {','.join(header) or '(none)'}, expected "
                    f"{','.join(COLUMNS)}. Rename or remove columns."
                )
            for row in table:
                if not row:  # a blank line
                    continue
                if len(row) != len(COLUMNS):
                    raise InputError(
                        f"{path}, line {table.line_num}: found {len(row)} fields, expected "
                        f"{len(COLUMNS)}. Quote fields that hold commas."
                    )
                file_name, caption = row
                if file_name in captions:
                    raise InputError(
                        f"{path}, line {table.line_num}: found {file_name!r} a second time, "
                        "expected every file once. Remove one of its rows."
                    )
                captions[file_name] = caption
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path}: found a file that cannot be read ({error}), expected a CSV in UTF-8. "
            "Check the path, or save it again as UTF-8."
        ) from error
    return captions
