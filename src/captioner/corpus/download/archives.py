"""Archives read as a listing and one stream of bytes: 7z (by 7-Zip or by py7zr) and zip.

Nothing here makes a file: names are only read, the unpackers only decompress, and what becomes of
the bytes is decided by `captioner.corpus.download.extract`.
"""

import lzma
import re
import shutil
import stat
import struct
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import py7zr
from py7zr.exceptions import ArchiveError, PasswordRequired, UnsupportedCompressionMethodError

from captioner.errors import InputError

TOOLS = ("7zz", "7z", "7za")  # 7-Zip by its names in distributions; each takes the same switches
CHUNK_BYTES = 1 << 20
TOOL_THREADS = 2  # 110 MB of memory on an archive by 7-Zip's defaults, one thread 40 MB
# py7zr is fed so little at once because LZMA unpacks a byte to at most 6900 or so (a match of 273
# bytes costs 14 decisions of at least 0.0227 bits each): 4 KiB to 28 MB in the worst case. It
# takes a new block at every call, needed or not: were the output cut at less than a block's worth,
# the archive would gather in memory.
BLOCK_BYTES = 4 << 10
WORST_CHUNK_BYTES = 32 << 20
TOOL_WARNED = 1  # 7-Zip's exit codes: 0 success, 1 warning, 2 and more failure
TOOL_LINES = 5  # the end of what the tool said, shown in an error

# From the zip standard (PKWARE's APPNOTE.TXT 6.3: 4.3.16, 4.4.4, 4.6.9)
ZIP_END = struct.Struct("<4s2H")  # signature, number of this disk, disk of the central directory
ZIP_END_SIGNATURE = b"PK\5\6"
ZIP_TAIL_BYTES = 22 + 65_535  # the end record and the longest comment
ZIP_ENCRYPTED, ZIP_UTF8 = 0x1, 0x800  # general purpose flags
ZIP_UNICODE_PATH = 0x7075  # an extra field: version, CRC-32 of the plain name, name in UTF-8

# What the libraries raise for bytes that are not as they should be.
DAMAGE = (
    ArchiveError, lzma.LZMAError, zipfile.BadZipFile, zlib.error, EOFError, struct.error,
    ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError,
)  # fmt: skip


Chunks = Generator[bytes, None, None]


@dataclass(frozen=True, slots=True)
class Member:
    """One file as the archive lists it."""

    name: str  # its path in the archive
    size: int  # bytes, unpacked
    crc: int | None  # CRC-32 of its bytes; None: not recorded
    is_plain: bool  # False: a link, a device or the like


@dataclass(frozen=True)
class Archive:
    """A listing, and `chunks()`: the bytes of all members joined, in the order of the listing."""

    path: Path
    members: list[Member]
    chunks: Callable[[], Chunks]


def open_archive(path: Path) -> Archive:
    """Read the listing of a 7z or zip archive.

    An archive that is damaged, encrypted or in several volumes is an `InputError`, here or while
    its `chunks()` are taken.
    """
    if re.search(r"\.(\d{3}|z\d\d)$", path.name, re.IGNORECASE):
        raise _in_volumes(path)
    with _explained(path):
        with path.open("rb") as stream:
            is_7z = stream.read(len(py7zr.properties.MAGIC_7Z)) == py7zr.properties.MAGIC_7Z
        if is_7z:
            tool = next(filter(None, map(shutil.which, TOOLS)), None)
            chunks = partial(_tool_chunks, tool) if tool else _library_chunks
            return Archive(path, _list_7z(path), partial(chunks, path))
        if (disk := _zip_disk(path)) is None:
            raise damaged(path, "neither the first bytes of a 7z nor the last ones of a zip")
        if disk not in (0, 0xFFFF):  # the latter: the number stands in a zip64 record, none here
            raise _in_volumes(path)
        return Archive(path, _list_zip(path), partial(_zip_chunks, path))


def damaged(path: Path, reason: object) -> InputError:
    """Give the error for an archive that is not what it should be."""
    return InputError(
        f"{path} is damaged or cut short ({reason}); expected a whole 7z or zip archive. What to "
        "do: delete it, and it will be fetched again"
    )


def _in_volumes(path: Path) -> InputError:
    return InputError(
        f"{path} is one volume of an archive in several; expected one whole file. What to do: join "
        "them (`cat NAME.7z.* > NAME.7z`; `zip -s 0 NAME.zip --out WHOLE.zip`) and use the result"
    )


def _encrypted(path: Path) -> InputError:
    return InputError(
        f"{path} is encrypted; expected an archive that opens without a password. What to do: "
        "unpack it by hand and pack it again without one"
    )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the libraries raise into an `InputError`."""
    try:
        yield
    except PasswordRequired as error:
        raise _encrypted(path) from error
    except UnsupportedCompressionMethodError as error:
        raise InputError(
            f"{path} is packed by a method that py7zr does not know ({error}). What to do: install "
            "7-Zip (7zz, 7z or 7za) and run again"
        ) from error
    except NotImplementedError as error:
        raise InputError(
            f"{path} is packed by a method that Python does not know ({error}). What to do: unpack "
            "it by hand and pack it again with the usual one (deflate)"
        ) from error
    except FileNotFoundError:
        raise InputError(f"{path} is missing; expected a 7z or zip archive") from None
    except DAMAGE as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from error


def _list_7z(path: Path) -> list[Member]:
    with path.open("rb") as stream, py7zr.SevenZipFile(stream) as opened:
        if opened.password_protected:
            raise _encrypted(path)
        members = [
            # A mode without a type is a plain file's
            Member(file.filename, file.uncompressed, file.crc32, file.is_file or file.st_fmt == 0)
            for file in getattr(opened, "files", ())  # an archive without files has no such field
            if not file.is_directory
        ]
    # The last size of a stream is not stored: it is what remains of the stream's
    if any(member.size < 0 for member in members):
        raise damaged(path, "the sizes of its files are more than their sum")
    return members


def _tool_chunks(tool: str, path: Path) -> Chunks:
    """Let 7-Zip decompress to a pipe; it dies with the generator, and of SIGPIPE if we are killed.

    `-spd` keeps it from reading `*` and `?` in the path as wildcards.
    """
    switches = ["-so", "-t7z", "-spd", "-bd", "-bso0", f"-mmt={TOOL_THREADS}"]
    command = [tool, "x", *switches, "--", str(path.resolve())]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            pipesize=CHUNK_BYTES,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            while chunk := process.stdout.read(CHUNK_BYTES):
                yield chunk
            code = process.wait()
        finally:
            process.kill()
        if code < 0:
            raise InputError(
                f"{tool} was killed by signal {-code} while it unpacked {path}; on a machine short "
                "of memory that is the usual reason: free some, or run fewer jobs at once"
            )
        if code > TOOL_WARNED:
            errors.seek(0)
            said = [line for line in errors.read().decode(errors="replace").splitlines() if line]
            tail = "; ".join(said[-TOOL_LINES:]) or "nothing"
            raise damaged(path, f"{tool} ended with exit code {code} and said: {tail}")


def _library_chunks(path: Path) -> Chunks:
    """Decompress by py7zr, in blocks of bounded size (its own loop holds up to 128 MB and more)."""
    with _explained(path), path.open("rb") as stream, py7zr.SevenZipFile(stream) as opened:
        if opened.header.main_streams is None:
            return  # empty files only
        folders = opened.header.main_streams.unpackinfo.folders  # the format's word for a stream
        packed = opened.header.main_streams.packinfo
        for folder, start, size in zip(
            folders, packed.packpositions, packed.packsizes, strict=False
        ):
            stream.seek(opened.afterheader + start)
            decompressor = folder.get_decompressor(size)
            decompressor.block_size = BLOCK_BYTES
            yield from _folder_chunks(
                decompressor, stream, sum(f.uncompressed for f in folder.files)
            )


def _folder_chunks(decompressor: Any, stream: Any, size: int) -> Chunks:
    while size > 0:
        before = stream.tell()
        chunk = decompressor.decompress(stream, min(size, WORST_CHUNK_BYTES))
        if not chunk and stream.tell() == before:
            raise EOFError(f"{size} bytes are missing")
        size -= len(chunk)
        if chunk:
            yield chunk


def _zip_disk(path: Path) -> int | None:
    """Give the number of the volume that a zip's end record names; None: no such record."""
    with path.open("rb") as stream:
        stream.seek(-min(path.stat().st_size, ZIP_TAIL_BYTES), 2)
        tail = stream.read()
    at = tail.rfind(ZIP_END_SIGNATURE)
    if not 0 <= at <= len(tail) - ZIP_END.size:
        return None
    return ZIP_END.unpack_from(tail, at)[1]


def _list_zip(path: Path) -> list[Member]:
    with zipfile.ZipFile(path) as opened:
        members = _zip_files(opened)
        if any(info.flag_bits & ZIP_ENCRYPTED for info in members):
            raise _encrypted(path)
        return [
            Member(_zip_name(info), info.file_size, info.CRC, _is_plain(info)) for info in members
        ]


def _zip_files(opened: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [info for info in opened.infolist() if not info.is_dir()]


def _is_plain(info: zipfile.ZipInfo) -> bool:
    """Tell a file from a link or a device by the Unix mode, where there is one."""
    is_reparse_point = info.external_attr & stat.FILE_ATTRIBUTE_REPARSE_POINT
    return stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG) and not is_reparse_point


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Give a member's name: by the UTF-8 flag, Info-ZIP's extra field, as UTF-8, or as cp437.

    The standard knows cp437 and the flagged UTF-8 only; packers that write plain UTF-8 without the
    flag are common, and no other encoding's text is UTF-8 by chance.
    """
    if info.flag_bits & ZIP_UTF8:
        return info.orig_filename
    raw, extra = info.orig_filename.encode("cp437"), info.extra
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == ZIP_UNICODE_PATH and struct.unpack_from("<BI", field) == (1, zlib.crc32(raw)):
            return field[5:].decode("utf-8")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return info.orig_filename


def _zip_chunks(path: Path) -> Chunks:
    with _explained(path), zipfile.ZipFile(path) as opened:
        for info in _zip_files(opened):
            left = info.file_size
            with opened.open(info) as content:
                while chunk := content.read(CHUNK_BYTES):
                    left -= len(chunk)
                    yield chunk
            if left:  # the next member's bytes must not be taken for this one's
                raise EOFError(f"{info.filename!r} is {left} bytes shorter than listed")
