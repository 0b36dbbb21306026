"""Read a captions CSV: `file_name`, perhaps `split`, and `caption_1` to `caption_N`."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from captioner.corpus.readers.text_files import Faults, read_csv
from captioner.corpus.splits import SPLITS, UNCAPTIONED
from captioner.errors import InputError

WHAT_TO_DO = "mend these rows, or leave them out together with their wavs"


@dataclass(frozen=True)
class CaptionRow:
    """One row of a captions CSV."""

    file_name: str
    captions: tuple[str, ...]  # as published
    split: str  # "" without such a column


def read_captions_csv(
    path: str | Path, n_captions: int | None, split_column: bool = False
) -> list[CaptionRow]:
    """Read the rows of a captions CSV (UTF-8, with or without byte order mark, LF or CRLF).

    `n_captions` is the number declared; None takes what the header has. Only with `split_column`
    may there be a column `split`, and only rows of a split without captions may leave theirs
    empty. Raises `InputError` that names the file, its lines, what stands there and what should.
    """
    path = Path(path)
    header, rows = read_csv(path)
    caption_columns, has_split = _check_header(path, header, n_captions, split_column)
    if not rows:
        raise InputError(f"{path} has a header and no rows; expected one row per clip")

    faults, parsed = Faults(path), []
    for line, cells in rows:
        if len(cells) != len(header):
            faults.add(f"{len(cells)} cells, expected {len(header)} as in the header", line)
            continue
        row = dict(zip(header, cells, strict=True))
        captions = tuple(row[column] for column in caption_columns)
        split = row["split"] if has_split else ""
        if has_split and split not in SPLITS:
            faults.add(f"split is {split!r}, expected one of {', '.join(SPLITS)}", line)
        if not row["file_name"].strip():
            faults.add("the file name is empty", line)
        if split in UNCAPTIONED and not any(map(str.strip, captions)):
            captions = ()
        for column, caption in zip(caption_columns, captions, strict=False):
            if not caption.strip():
                faults.add(f"{column} of {row['file_name']!r} is empty", line)
        parsed.append(CaptionRow(row["file_name"], captions, split))
    for (file_name, split), count in Counter((row.file_name, row.split) for row in parsed).items():
        if count > 1:
            where = f" in {split}" if split else ""
            faults.add(f"{file_name!r} stands in {count} rows{where}, expected in one")
    faults.raise_if_any(WHAT_TO_DO)
    return parsed


def _check_header(
    path: Path, header: list[str], n_captions: int | None, split_column: bool
) -> tuple[list[str], bool]:
    """Return the caption columns, and whether there is a column `split`."""
    if n_captions is None:
        number = sum(column.startswith("caption") for column in header)
    else:
        number = n_captions
    columns = [f"caption_{index + 1}" for index in range(number)]
    has_split = split_column and "split" in header
    expected = ["file_name", *(["split"] if has_split else []), *columns]
    if Counter(header) != Counter(expected):
        missing = [column for column in expected if column not in header]
        raise InputError(
            f"{path}: the header is {', '.join(header) or 'empty'}"
            + (f" ({', '.join(missing)} missing)" if missing else "")
            + f"; expected {', '.join(expected)}: {len(columns)} captions"
            + (" are declared for this corpus" if n_captions is not None else "")
            + ". What to do: mend the header, or `n_captions` in the corpus's YAML"
        )
    return columns, has_split
