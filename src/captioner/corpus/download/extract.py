"""Unpack the audio of an archive (7z or zip) into one flat folder."""

import errno
import logging
import os
import shutil
import unicodedata
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from captioner.corpus.download.archives import Archive, damaged, open_archive
from captioner.corpus.download.locks import exclusive
from captioner.corpus.listing import AUDIO_SUFFIXES
from captioner.errors import InputError
from captioner.job import Progress

LOCKS = ".locks"  # folder of lock files, beside the destinations
LONGEST_NAME_BYTES = 255  # of ext4, XFS, NFS, Lustre; APFS counts characters
FULL = (errno.ENOSPC, errno.EDQUOT)
N_SHOWN = 10  # offenders named in a message

log = logging.getLogger(__name__)


def extract(archive: str | Path, destination: str | Path) -> None:
    """Unpack every audio file of the archive into `destination`, flat and read-only.

    `destination` appears only when all is there, so one that is there is left as it is. The listing
    is checked before anything is written (no path out of the folder, no link, no two files of one
    name), sizes and CRC-32 on the way; the unpackers see no name and make no file. Other files are
    left out. A damaged, encrypted or suspicious archive, one without audio, or too little disk is
    an `InputError`.
    """
    archive, destination = Path(archive), Path(destination)
    lock = destination.parent / LOCKS / f"{destination.name}.lock"
    with exclusive(lock, f"{destination} from {archive.name}"):
        if destination.is_dir():
            log.info("%s is there already", destination)
            return
        opened = open_archive(archive)
        names = _audio_names(opened)
        _check_space(opened, names, destination.parent)
        holder = destination.with_name(f".unpacking-{destination.name}")
        if holder.exists():
            shutil.rmtree(holder)  # what a killed job left
        unpacked = holder / "new"
        unpacked.mkdir(parents=True)
        try:
            _write(opened, names, unpacked)
            unpacked.rename(destination)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise InputError(
                f"{destination.parent} became full while {archive} was unpacked ({error}). What to "
                "do: make room (or ask for more quota) and run again"
            ) from error
        finally:
            shutil.rmtree(holder, ignore_errors=True)


def _audio_names(opened: Archive) -> dict[str, str]:
    """Check the listing; give path in the archive -> name on disk for its audio files."""
    names = [member.name for member in opened.members]
    for fault, offenders in (
        ("names that lead out of its folder", filter(_leads_out, names)),
        ("names with control characters or broken Unicode", filter(_is_unwritable, names)),
        ("links or devices", (member.name for member in opened.members if not member.is_plain)),
        ("files listed twice", (name for name, count in Counter(names).items() if count > 1)),
    ):
        if shown := _shown(offenders):
            raise InputError(
                f"{opened.path} holds {fault}: {shown}; expected plain files with plain names. "
                "Nothing was unpacked: do not trust this archive"
            )
    audio = {name: _parts(name)[-1] for name in names if _is_audio(name)}
    others = sorted(set(names) - audio.keys())
    if not audio:
        raise InputError(
            f"{opened.path} holds no audio file ({', '.join(sorted(AUDIO_SUFFIXES))}), only "
            f"{_shown(others) or 'nothing'}: is it the archive of something else?"
        )
    if others:
        log.info(
            "%s: %d files are no audio, left out: %s", opened.path, len(others), _shown(others)
        )
    _check_names_on_disk(opened.path, audio)
    return audio


def _check_names_on_disk(archive: Path, audio: dict[str, str]) -> None:
    of_name = defaultdict(list)
    for name, on_disk in audio.items():
        of_name[on_disk].append(name)
    if shown := _shown(name for paths in of_name.values() if len(paths) > 1 for name in paths):
        raise InputError(
            f"{archive} holds files of the same name in different folders: {shown}; expected each "
            "name once, because all go into one folder. What to do: rename them, or pack each "
            "folder as an archive of its own"
        )
    if shown := _shown(n for n in of_name if len(n.encode()) > LONGEST_NAME_BYTES):
        raise InputError(
            f"{archive} holds names of more than {LONGEST_NAME_BYTES} bytes, which most disks "
            f"refuse: {shown}. What to do: shorten them"
        )


def _parts(name: str) -> tuple[str, ...]:
    """Split a path in an archive; old packers for Windows wrote backslashes."""
    return PurePosixPath(name.replace("\\", "/")).parts or ("",)


def _leads_out(name: str) -> bool:
    parts = _parts(name)
    return ".." in parts or parts[0].startswith("/") or bool(PureWindowsPath(name).drive)


def _is_unwritable(name: str) -> bool:
    return any(unicodedata.category(character) in ("Cc", "Cs") for character in name)


def _is_audio(name: str) -> bool:
    """Tell an audio file by its suffix; the Mac's hidden `._x.wav` hold no sound."""
    base = PurePosixPath(_parts(name)[-1])
    return base.suffix.lower() in AUDIO_SUFFIXES and not base.name.startswith(".")


def _shown(names: Iterable[str]) -> str:
    all_names = list(names)
    shown = ", ".join(map(repr, all_names[:N_SHOWN]))
    more = len(all_names) - N_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _check_space(opened: Archive, names: dict[str, str], folder: Path) -> None:
    needed = sum(member.size for member in opened.members if member.name in names)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder} has {free / 1e9:.1f} GB free, {opened.path.name} unpacks to "
            f"{needed / 1e9:.1f} GB: make room and run again"
        )


def _write(opened: Archive, names: dict[str, str], folder: Path) -> None:
    """Cut the stream of bytes into files; check each one's size and CRC-32."""
    total = sum(member.size for member in opened.members)
    rest = memoryview(b"")
    with (
        Progress(total, opened.path.name, "B", scale=True) as progress,
        closing(opened.chunks()) as chunks,
    ):
        for member in opened.members:
            left, crc = member.size, 0
            on_disk = names.get(member.name)
            with _read_only(folder / on_disk) if on_disk else nullcontext() as file:
                while left:
                    rest = rest or memoryview(next(chunks, b""))
                    if not rest:
                        raise damaged(opened.path, f"{member.name!r} lacks its last {left} bytes")
                    piece, rest = rest[:left], rest[left:]
                    left -= len(piece)
                    crc = zlib.crc32(piece, crc)
                    if file:
                        file.write(piece)
                    progress.advance(len(piece))
            if member.crc is not None and member.size and crc != member.crc:
                raise damaged(opened.path, f"{member.name!r} has another CRC-32 than listed")
        if rest or any(chunks):  # the rest taken, the unpacker says how it ended
            raise damaged(opened.path, "it unpacks to more bytes than listed")


@contextmanager
def _read_only(path: Path) -> Iterator[BinaryIO]:
    """Make a file that nobody may write to afterwards."""
    try:
        file = path.open("xb")
    except FileExistsError:  # its disk ignores case, or the form of accents
        raise InputError(
            f"{path.name!r} stands twice in the archive for this disk, which does not tell capital "
            "from small letters, or forms of accents. What to do: unpack it on another disk"
        ) from None
    with file:
        yield file
        os.fchmod(file.fileno(), 0o444)
