"""Zips: written with the same bytes for the same files, and read without trust.

A package from anywhere is read in memory, never unpacked to disk, and refused where a name leads
out of a folder, a size is not believable, or anything is encrypted.
"""

import lzma
import stat
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from captioner.errors import InputError
from captioner.job import atomic_path
from captioner.submission.findings import Findings, shortened
from captioner.submission.names import N_SYSTEMS

MB = 1 << 20
MAX_PACKAGE_MB = 200
MAX_FILES = 100  # a package has 12
MAX_DIRECTORY_BYTES = 100_000  # of the table of contents
MAX_BYTES = {".csv": 8 * MB, ".yaml": MB, ".yml": MB, ".pdf": 50 * MB}  # unpacked
MAX_UNPACKED = N_SYSTEMS * sum(MAX_BYTES[end] for end in (".csv", ".yaml", ".pdf"))  # together
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold
_END, _END_SIZE, _ZIP64 = b"PK\x05\x06", 22, b"PK\x06\x07"


@dataclass(frozen=True)
class Archive:
    """What a package holds."""

    names: list[str] = field(default_factory=list)  # of all files, in order
    contents: dict[str, bytes] = field(default_factory=dict)  # of those that a package needs


def write_archive(path: str | Path, files: Mapping[str, str | Path]) -> None:
    """Write a zip of `files` (name in it -> file), atomically.

    The same names and contents give the same bytes: sorted, without dates, owners and rights.
    """
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
    ):
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            entry.create_system = 3  # Unix, wherever it is written
            archive.writestr(entry, Path(files[name]).read_bytes())


def read_archive(path: str | Path, findings: Findings) -> Archive:
    """Read a package into memory; what cannot be trusted is a finding and is not read.

    Raises:
        InputError: there is no such file, or it is no zip.
    """
    path = Path(path)
    _check_size(path, findings)
    if findings.found:
        return Archive()
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if not _is_honest(entries, findings):
                return Archive()
            contents = {}
            for entry in entries:
                content = _read(archive, entry, findings)
                if content is not None:
                    contents[entry.filename] = content
            return Archive([entry.filename for entry in entries], contents)
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError, EOFError) as error:
        raise InputError(
            f"{path}: found no zip that can be read ({error}), expected a package. Zip it again."
        ) from None


def _check_size(path: Path, findings: Findings) -> None:
    """Look at the end of the file, before a table of contents of any size is read."""
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected the zip of a submission")
    size = path.stat().st_size
    if size > MAX_PACKAGE_MB * MB:
        findings.error(
            "", 0, "too-large", f"found {size / MB:.0f} MB, expected at most {MAX_PACKAGE_MB} MB"
        )
        return
    with path.open("rb") as file:
        file.seek(max(0, size - _END_SIZE - (1 << 16)))
        tail = file.read()
    place = tail.rfind(_END)
    if place < 0 or len(tail) - place < _END_SIZE:
        raise InputError(f"{path}: found no zip, expected the zip of a submission")
    directory_bytes = int.from_bytes(tail[place + 12 : place + 16], "little")
    if _ZIP64 in tail[max(0, place - 20) : place] or directory_bytes > MAX_DIRECTORY_BYTES:
        findings.error(
            "", 0, "too-large", f"found a package of far more than {MAX_FILES} files: refused"
        )


def _is_honest(entries: list[zipfile.ZipInfo], findings: Findings) -> bool:
    before = len(findings.errors)
    if len(entries) > MAX_FILES:
        told = f"found {len(entries)} files, expected at most {MAX_FILES}"
        findings.error("", 0, "too-large", told)
    if sum(entry.file_size for entry in entries if _is_read(entry)) > MAX_UNPACKED:
        told = f"found more than {MAX_UNPACKED // MB} MB unpacked, expected less: refused"
        findings.error("", 0, "too-large", told)
    names = [entry.filename for entry in entries]
    for entry in entries:
        name = entry.filename
        parts = name.replace("\\", "/").split("/")
        if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
            findings.error(name, 0, "path", "this name leads out of the folder: refused")
        if entry.flag_bits & 0x1:
            findings.error(name, 0, "encrypted", "encrypted, expected files that can be read")
        if stat.S_ISLNK(entry.external_attr >> 16):
            findings.error(name, 0, "path", "a link, expected a file: put the file itself there")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        findings.error(twice[0], 0, "twice", f"the package holds twice: {shortened(twice)}")
    return len(findings.errors) == before


def _limit(entry: zipfile.ZipInfo) -> int:
    """Give how many bytes a file may have unpacked; 0 of one that no package needs."""
    return MAX_BYTES.get(PurePosixPath(entry.filename).suffix.lower(), 0)


def _is_read(entry: zipfile.ZipInfo) -> bool:
    return entry.file_size <= _limit(entry)


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, findings: Findings) -> bytes | None:
    """Read a file that is not too large; no more than the size that it states is unpacked."""
    limit = _limit(entry)
    if not limit:
        return None
    if not _is_read(entry):
        findings.error(
            entry.filename, 0, "too-large", f"larger than {limit // MB} MB unpacked: not read"
        )
        return None
    try:
        with archive.open(entry) as file:
            return file.read(limit)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError) as error:
        findings.error(entry.filename, 0, "damaged", f"cannot be read: {error}. Zip it again")
        return None
