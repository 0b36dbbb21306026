"""Corpora in the form of Clotho: an archive of wavs, a captions CSV and a metadata CSV per split.

The captions are UTF-8 with commas. The metadata are ISO-8859-1, with commas or, for the test
split, semicolons; that split has no captions CSV, and its metadata say which clips there are.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from captioner.corpus.captions import decode, read_captions_csv
from captioner.corpus.clips import tabulate_folder
from captioner.corpus.tables import Annotation, Clip
from captioner.errors import InputError

# Published column -> ours.
METADATA = {
    "keywords": "keywords",
    "sound_id": "sound_id",
    "manufacturer": "author",
    "license": "licence",
}
UNKNOWN = {"", "not found", "nan"}  # the published ways to leave a cell open


def tabulate_clips(
    settings: Mapping[str, Any], split: str, files: Mapping[str, str | Path]
) -> list[Clip]:
    """Tabulate the wavs in the unpacked archive `files["audio"]`."""
    return tabulate_folder(files["audio"])


def read_annotations(
    settings: Mapping[str, Any], split: str, files: Mapping[str, str | Path]
) -> list[Annotation]:
    """Read `files["captions"]` and add `files["metadata"]`; either may be absent, not both."""
    metadata = read_metadata_csv(files["metadata"]) if "metadata" in files else {}
    if "captions" not in files:
        return [Annotation(name, (), **row) for name, row in sorted(metadata.items())]
    return [
        Annotation(row.file_name, row.captions, **metadata.get(row.file_name, {}))
        for row in read_captions_csv(files["captions"], settings["n_captions"])
    ]


def read_metadata_csv(path: str | Path) -> dict[str, dict[str, str]]:
    """Read a metadata CSV: file name -> keywords, sound_id, author, licence, as far as given.

    Raises `InputError` if there is no column `file_name` or a name stands in two rows.
    """
    path = Path(path)
    text = decode(path, "iso-8859-1")
    header = text.partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns = [column.strip() for column in rows.fieldnames or ()]
    if "file_name" not in columns:
        raise InputError(
            f"{path}: the header is {header.strip()!r}, expected a column file_name, separated "
            "by commas or semicolons"
        )
    rows.fieldnames = columns
    metadata: dict[str, dict[str, str]] = {}
    for row in rows:
        if row["file_name"] in metadata:
            raise InputError(
                f"{path}, line {rows.line_num}: {row['file_name']!r} stands in a second row; "
                "expected one row per clip: remove one"
            )
        metadata[row["file_name"]] = {
            ours: _known(row.get(published)) for published, ours in METADATA.items()
        }
    return metadata


def _known(cell: str | None) -> str:
    cell = (cell or "").strip()
    return "" if cell.lower() in UNKNOWN else cell
