"""Write 7z and zip archives for tests, bad ones too."""

import shutil
import stat
import zipfile
from pathlib import Path

import py7zr
import pytest

from captioner.corpus.download import archives
from captioner.corpus.download.extract import LOCKS

needs_tool = pytest.mark.skipif(
    not any(map(shutil.which, archives.TOOLS)), reason="7-Zip (7zz, 7z or 7za) is not installed"
)
# How a 7z is unpacked, or that it is a zip: (kind, names of the tools to look for)
BACKENDS = [
    pytest.param(("7z", archives.TOOLS), id="7z-tool", marks=needs_tool),
    pytest.param(("7z", ()), id="7z-library"),
    pytest.param(("zip", ()), id="zip"),
]


class RawName(zipfile.ZipInfo):
    """A zip member whose name is stored as given bytes, without the UTF-8 flag."""

    raw: bytes

    def _encodeFilenameFlags(self):  # noqa: N802, zipfile's name
        return self.raw, self.flag_bits & ~archives.ZIP_UTF8


def raw_name(raw: bytes, number: int, extra: bytes = b"") -> zipfile.ZipInfo:
    info = RawName(f"{number}")
    info.raw, info.extra = raw, extra
    return info


def write_7z(
    path: Path, files: dict[str, bytes], *, compressed=False, before_close=None, **options
):
    filters = None if compressed else [{"id": py7zr.FILTER_COPY}]
    with py7zr.SevenZipFile(path, "w", filters=filters, **options) as archive:
        for number, (name, data) in enumerate(files.items()):
            archive.writestr(data, f"{number}")
            archive.header.files_info.files[-1]["filename"] = name  # writestr refuses bad ones
        if before_close:
            before_close(archive)


def write_zip(path: Path, files: dict[str, bytes]):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def write_zip_members(path: Path, members: list[tuple[zipfile.ZipInfo, bytes]]):
    with zipfile.ZipFile(path, "w") as archive:
        for info, data in members:
            archive.writestr(info, data)


def zip_special(name: str, kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o777) << 16
    return info


def write(kind: str, path: Path, files: dict[str, bytes]):
    {"7z": write_7z, "zip": write_zip}[kind](path, files)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != LOCKS)


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
