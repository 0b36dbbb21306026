"""Read predictions and references from the CSV files that people have; write per-clip scores."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from captioner.errors import InputError
from captioner.job import atomic_path

PREDICTION_COLUMN = "caption_predicted"
REFERENCE_COLUMN = re.compile(r"caption_(\d+)")


def read_predictions(path: str | Path) -> dict[str, str]:
    """Read file name -> predicted caption from a CSV `file_name,caption_predicted`.

    Raises:
        InputError: a column is missing, a row has another length, a clip stands twice, or the file
            is not UTF-8; it says where.
    """
    return {
        row["file_name"]: row[PREDICTION_COLUMN].strip()
        for row in _rows(path, f"file_name,{PREDICTION_COLUMN}")
    }


def read_references(path: str | Path) -> dict[str, list[str]]:
    """Read file name -> captions from a CSV `file_name,caption_1,...,caption_N`, any N.

    Raises:
        InputError: as `read_predictions`, and for an empty caption.
    """
    references = {}
    for row in _rows(path, "file_name,caption_1,...,caption_N"):
        columns = sorted(filter(REFERENCE_COLUMN.fullmatch, row), key=_number)
        if empty := [column for column in columns if not row[column].strip()]:
            raise InputError(
                f"{path}: {row['file_name']!r} has nothing in {', '.join(empty)}, expected a "
                "caption in each. Fill it in."
            )
        references[row["file_name"]] = [row[column] for column in columns]
    return references


def write_per_clip(
    path: str | Path, metrics: Sequence[str], per_clip: Mapping[str, Mapping[str, float]]
) -> None:
    """Write one row per clip: `file_name`, then one column per metric, in full precision."""
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["file_name", *metrics])
        for name, of_clip in per_clip.items():
            writer.writerow([name, *(of_clip[metric] for metric in metrics)])


def _rows(path: str | Path, expected: str) -> Iterator[dict[str, str]]:
    """Yield the rows by column name; `expected` is the header that messages ask for."""
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.reader(file, strict=True)
            header = next(table, [])
            if not _has_columns(header, expected):
                raise InputError(
                    f"{path}: found the header {','.join(header)!r}, expected {expected!r}. "
                    "Rename the columns, and separate them by commas."
                )
            seen: set[str] = set()
            for cells in table:
                if not cells:  # a blank line
                    continue
                if len(cells) != len(header):
                    raise InputError(
                        f"{path}, line {table.line_num}: found {len(cells)} cells, expected "
                        f"{len(header)}. A caption with a comma needs quotes around it."
                    )
                row = dict(zip(header, cells, strict=True))
                if row["file_name"] in seen:
                    raise InputError(
                        f"{path}, line {table.line_num}: {row['file_name']!r} stands there again, "
                        "expected each clip once. Remove one of its rows."
                    )
                seen.add(row["file_name"])
                yield row
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file, expected a CSV {expected!r}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: expected a CSV in UTF-8, found: {error}. Save it so.") from error


def _has_columns(header: Sequence[str], expected: str) -> bool:
    if "file_name" not in header:
        return False
    if PREDICTION_COLUMN in expected:
        return PREDICTION_COLUMN in header
    return any(map(REFERENCE_COLUMN.fullmatch, header))


def _number(column: str) -> int:
    return int(column.rpartition("_")[2])
