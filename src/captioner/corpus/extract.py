"""Unpack the audio of one split from its archive (7z or zip)."""

import logging
import lzma
import shutil
import stat
import struct
import zipfile
import zlib
from collections import Counter
from pathlib import Path, PurePosixPath, PureWindowsPath

import py7zr
from py7zr.callbacks import ExtractCallback
from py7zr.exceptions import ArchiveError

from captioner.errors import InputError
from captioner.job import Progress, atomic_path

# What the two libraries raise for bytes that are not as they should be.
DAMAGE = (
    ArchiveError, lzma.LZMAError, zipfile.BadZipFile, zlib.error, EOFError, struct.error,
    ValueError, IndexError, KeyError, TypeError, AttributeError, NotImplementedError,
)  # fmt: skip

log = logging.getLogger(__name__)


def extract(archive: str | Path, destination: str | Path, folder: str) -> None:
    """Unpack the files of the archive's `folder` into `destination`, flat and read-only.

    `destination` appears only when all is there: names are checked before (no path out of the
    folder, no link), numbers and sizes after, checksums on the way. A damaged archive, one
    without `folder`, or too little disk is an `InputError`.
    """
    archive, destination = Path(archive), Path(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    holder = destination.with_name(f".unpacking-{destination.name}")
    shutil.rmtree(holder, ignore_errors=True)  # what a killed job left
    holder.mkdir()
    try:
        listing = _unpack(archive, holder)
        _take_folder(archive, holder, listing, folder, destination)
    except DAMAGE as error:
        raise InputError(
            f"{archive} is damaged or cut short ({type(error).__name__}: {error}); expected a "
            "whole 7z or zip archive. What to do: delete it, and it will be fetched again"
        ) from error
    finally:
        shutil.rmtree(holder)


def _unpack(archive: Path, holder: Path) -> dict[str, int]:
    """Unpack everything; return the listing, name -> size in bytes."""
    if zipfile.is_zipfile(archive):
        return _unpack_zip(archive, holder)
    with py7zr.SevenZipFile(archive) as opened:
        members = [member for member in opened.files if not member.is_directory]
        links = [member.filename for member in members if member.is_symlink or member.is_junction]
        listing = {member.filename: member.uncompressed for member in members}
        _check_listing(archive, [member.filename for member in members], links)
    _check_space(archive, holder, listing)
    with (
        Progress(sum(listing.values()), archive.name, "B", scale=True) as progress,
        py7zr.SevenZipFile(archive) as opened,  # closed first: its thread feeds the bar
    ):
        opened.extractall(holder, callback=_Advance(progress))
    return listing


def _unpack_zip(archive: Path, holder: Path) -> dict[str, int]:
    with zipfile.ZipFile(archive) as opened:
        members = [member for member in opened.infolist() if not member.is_dir()]
        links = [m.filename for m in members if stat.S_ISLNK(m.external_attr >> 16)]
        listing = {member.filename: member.file_size for member in members}
        _check_listing(archive, [member.filename for member in members], links)
        _check_space(archive, holder, listing)
        with Progress(sum(listing.values()), archive.name, "B", scale=True) as progress:
            for member in members:
                opened.extract(member, holder)
                progress.advance(member.file_size)
    return listing


def _check_listing(archive: Path, names: list[str], links: list[str]) -> None:
    escapes = [
        name
        for name in names
        if ".." in PurePosixPath(name.replace("\\", "/")).parts
        or PurePosixPath(name).is_absolute()
        or PureWindowsPath(name).drive
    ]
    twice = [name for name, count in Counter(names).items() if count > 1]
    for fault, offenders in (
        ("names that lead out of its folder", escapes),
        ("links", links),
        ("files listed twice", twice),
    ):
        if offenders:
            raise InputError(
                f"{archive} holds {fault}: {', '.join(map(repr, offenders[:10]))}; expected plain "
                "files in one folder. Nothing was unpacked: do not trust this archive"
            )


def _check_space(archive: Path, holder: Path, listing: dict[str, int]) -> None:
    needed, free = sum(listing.values()), shutil.disk_usage(holder).free
    if needed > free:
        raise InputError(
            f"{holder.parent} has {free / 1e9:.1f} GB free, {archive.name} unpacks to "
            f"{needed / 1e9:.1f} GB: make room and run again"
        )


def _take_folder(
    archive: Path, holder: Path, listing: dict[str, int], folder: str, destination: Path
) -> None:
    """Check the files of `folder` against the listing and move them to `destination`."""
    wanted = [name for name in listing if str(PurePosixPath(name).parent) == folder]
    if not wanted:
        folders = sorted({str(PurePosixPath(name).parent) for name in listing})
        raise InputError(
            f"{archive} holds no files in a folder {folder!r}, only in {folders[:10]}: "
            "is it the archive of another split?"
        )
    if left := sorted(listing.keys() - wanted):
        log.warning("%s: %d files outside %s/ left out: %s", archive, len(left), folder, left[:10])
    with atomic_path(destination) as temporary:
        temporary.mkdir()
        for name in wanted:
            unpacked = holder / name
            size = unpacked.stat().st_size if unpacked.is_file() else None
            if size != listing[name]:
                raise InputError(
                    f"{archive}: {name} came out with {size} bytes, listed with {listing[name]}. "
                    "What to do: delete the archive, and it will be fetched again"
                )
            unpacked.chmod(0o444)
            unpacked.rename(temporary / unpacked.name)


class _Advance(ExtractCallback):
    """Move a progress bar on after each file."""

    def __init__(self, progress: Progress):
        self._progress = progress

    def report_end(self, processing_file_path: str, wrote_bytes: str) -> None:
        self._progress.advance(int(wrote_bytes))

    def report_start_preparation(self) -> None: ...
    def report_start(self, processing_file_path: str, processing_bytes: str) -> None: ...
    def report_update(self, decompressed_bytes: str) -> None: ...
    def report_postprocess(self) -> None: ...
    def report_warning(self, message: str) -> None: ...
