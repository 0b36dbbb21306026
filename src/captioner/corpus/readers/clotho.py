"""Corpora in the form of Clotho: archives of wavs, a captions CSV and a metadata CSV per split.

The captions are UTF-8 with commas. The metadata have commas or, for the test split, semicolons,
and are ISO-8859-1 unless they are valid UTF-8. The test split has no captions CSV, and its
metadata say which clips there are; the analysis split of 2022 has neither.
"""

import csv
import io
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from captioner.corpus.clips import tabulate_folders
from captioner.corpus.listing import list_audio
from captioner.corpus.readers.captions import read_captions_csv
from captioner.corpus.readers.split_names import names_of_split
from captioner.corpus.readers.text_files import read_bytes
from captioner.corpus.tables import Annotation, Clip
from captioner.errors import InputError

log = logging.getLogger(__name__)

# Published column -> ours.
METADATA = {
    "keywords": "keywords",
    "manufacturer": "author",
    "license": "licence",
}
UNKNOWN = {"", "not found", "nan"}  # the published ways to leave a cell open


def tabulate_clips(
    settings: Mapping[str, Any], split: str, files: Mapping[str, Any]
) -> Iterator[Clip]:
    """Tabulate the wavs in the unpacked archives `files["audio"]`."""
    names = names_of_split(split, files)
    return tabulate_folders(files["audio"], names, settings.get("damaged", "error"))


def read_annotations(
    settings: Mapping[str, Any], split: str, files: Mapping[str, Any]
) -> list[Annotation]:
    """Read `files["captions"]` and add `files["metadata"]`, or only the latter.

    Without either, the audio files in `files["audio"]` are the clips, and nothing is known of them.
    """
    metadata = read_metadata_csv(files["metadata"]) if "metadata" in files else {}
    if "captions" in files:
        rows = read_captions_csv(files["captions"], settings["n_captions"])
        described = {row.file_name for row in rows}
        if extra := sorted(metadata.keys() - described):
            log.warning(
                "%s: %d rows of clips without captions, ignored: %s",
                files["metadata"], len(extra), ", ".join(extra[:10]),
            )  # fmt: skip
        names = names_of_split(split, files, known=described)
        return [
            Annotation(row.file_name, row.captions, **metadata.get(row.file_name, {}))
            for row in rows
            if names is None or row.file_name in names
        ]
    if not metadata:
        listed = (name for folder in files["audio"] for name in list_audio(folder))
        metadata = {name: {} for name in listed}
    return [Annotation(name, (), **row) for name, row in sorted(metadata.items())]


def read_metadata_csv(path: str | Path) -> dict[str, dict[str, str]]:
    """Read a metadata CSV: file name -> keywords, sound_id, author, licence, as far as given.

    Raises `InputError` if there is no column `file_name` or a name stands in two rows.
    """
    path = Path(path)
    text = _decode(path)
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
            **{ours: _known(row.get(published)) for published, ours in METADATA.items()},
            "sound_id": _sound_id(_known(row.get("sound_id")), _known(row.get("sound_link"))),
        }
    return metadata


def _decode(path: Path) -> str:
    """Decode ISO-8859-1, whose letters with accents are hardly ever valid UTF-8, or UTF-8."""
    content = read_bytes(path, "a CSV")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("iso-8859-1")


def _known(cell: str | None) -> str:
    cell = (cell or "").strip()
    return "" if cell.lower() in UNKNOWN else cell


def _sound_id(number: str, link: str) -> str:
    """Say whose sound it is: Freesound's, unless the link is to another collection."""
    if link and not link.startswith("http"):
        return link  # the synthetic corpus: its links are ids, "synthetic:development/3"
    return f"freesound:{number}" if number else ""
