"""The registry of a corpus: its published files with url, md5 and size, one TSV row each."""

import csv
import re
from collections import Counter
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from captioner.errors import InputError
from captioner.job import atomic_path

KINDS = ("audio_archive", "captions", "metadata", "checkpoint")
SINGLE = ("captions", "metadata")  # one file a split; the audio may come in several archives
SCHEMES = ("https", "http", "file")
ZENODO_RECORD = re.compile(r"https://zenodo\.org/(?:api/)?records?/(\d+)/files/")


@dataclass(frozen=True)
class Entry:
    """One published file of a corpus."""

    split: str  # of a checkpoint: the network it belongs to
    kind: str  # one of KINDS
    file: str  # its name, no folder
    url: str
    md5: str  # 32 lower-case hexadecimal digits; "": not known, and the url is a Zenodo record's
    size_bytes: int | None  # None: not known

    @property
    def key(self) -> str:
        """Folder under `resources/downloads`: the md5, or the Zenodo record where it is unknown."""
        return self.md5 or f"zenodo-{self.zenodo_record}"

    @property
    def zenodo_record(self) -> str | None:
        """Number of the Zenodo record that publishes the file."""
        found = ZENODO_RECORD.match(self.url)
        return found[1] if found else None


COLUMNS = tuple(field.name for field in fields(Entry))


def read_registry(path: str | Path) -> list[Entry]:
    """Read a registry; `InputError` names the row and everything that is wrong with it."""
    path = Path(path)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file, delimiter="\t")) or [[]]
    except FileNotFoundError:
        raise InputError(f"The registry {path} is missing; expected a TSV: {COLUMNS}") from None
    if tuple(header) != COLUMNS:
        raise InputError(
            f"{path}: the header is {header}, expected the tab-separated columns {list(COLUMNS)}"
        )
    entries = [_parse_row(row, f"{path}, line {line}") for line, row in enumerate(rows, start=2)]
    for what, keys in (
        ("rows for one kind and split", [(e.kind, e.split) for e in entries if e.kind in SINGLE]),
        ("rows with the file name", [entry.file for entry in entries]),
    ):
        for key, count in Counter(keys).items():
            if count > 1:
                raise InputError(f"{path}: {count} {what} {key!r}, expected one: remove the others")
    return entries


def write_registry(path: str | Path, entries: list[Entry]) -> None:
    """Write a registry, atomically."""
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(astuple(entry) for entry in entries)  # None is written as ""


def _parse_row(row: list[str], where: str) -> Entry:
    if len(row) != len(COLUMNS):
        raise InputError(
            f"{where}: {len(row)} cells, expected {len(COLUMNS)} separated by tabs: {COLUMNS}"
        )
    split, kind, file, url, md5, size = row
    faults = []
    if not split:
        faults.append("the split is empty")
    if kind not in KINDS:
        faults.append(f"kind is {kind!r}, expected one of {', '.join(KINDS)}")
    if not file or Path(file).name != file:
        faults.append(f"file is {file!r}, expected a file name without a folder")
    if urlsplit(url).scheme not in SCHEMES:
        faults.append(f"url is {url!r}, expected one that starts with {', '.join(SCHEMES)}")
    if not re.fullmatch("[0-9a-f]{32}", md5) and (md5 or not ZENODO_RECORD.match(url)):
        faults.append(
            f"md5 is {md5!r}, expected 32 digits 0-9, a-f (nothing only for a file on Zenodo, "
            "which can be asked)"
        )
    if not re.fullmatch("[0-9]*", size):
        faults.append(f"size_bytes is {size!r}, expected a number of bytes, or nothing")
    if faults:
        raise InputError(f"{where}: " + "; ".join(faults))
    return Entry(split, kind, file, url, md5, int(size) if size else None)
