"""Faults of archives: nothing is left behind, and the message says what to do."""

import os
import random
import shutil
import signal
import stat
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path

import py7zr
import pytest

from archive_writers import (
    BACKENDS,
    contents,
    names,
    needs_tool,
    raw_name,
    write,
    write_7z,
    write_zip,
    write_zip_members,
    zip_special,
)
from captioner.corpus.download import archives
from captioner.corpus.download.extract import LOCKS, extract
from captioner.errors import InputError

FILES = {f"{number}.wav": random.Random(number).randbytes(50_000) for number in range(4)}
INSIDE = {f"development/{name}": data for name, data in FILES.items()}
DAMAGED = "is damaged or cut short"


@pytest.fixture(params=BACKENDS)
def kind(request, monkeypatch) -> str:
    kind, tools = request.param
    monkeypatch.setattr(archives, "TOOLS", tools)
    return kind


@pytest.fixture(params=BACKENDS[:2])
def unpacker_of_7z(request, monkeypatch):
    monkeypatch.setattr(archives, "TOOLS", request.param[1])


@pytest.fixture
def refused(tmp_path):
    """Call with an archive: gives the message with which it is refused; nothing is left of it."""

    def extract_and_fail(archive: Path) -> str:
        destination = tmp_path / "audio" / "development"
        with pytest.raises(InputError) as error:
            extract(archive, destination)
        assert names(destination.parent) == []
        assert str(archive) in str(error.value)
        return str(error.value)

    return extract_and_fail


@pytest.mark.parametrize("fault", ["in the middle", "early", "by a byte", "html", "empty"])
def test_cut_or_something_else(tmp_path, kind, fault, refused):
    archive = tmp_path / f"clotho.audio.{kind}"
    write(kind, archive, INSIDE)
    whole = archive.read_bytes()
    cut = {
        "in the middle": whole[:120_000],
        "early": whole[:20],
        "by a byte": whole[:-1],
        "html": b"<html>Not found</html>",
        "empty": b"",
    }[fault]
    archive.write_bytes(cut)
    message = refused(archive)
    assert DAMAGED in message
    assert "delete it, and it will be fetched again" in message


def test_a_hole_in_the_middle(tmp_path, kind, refused):
    """The listing is whole and at its place, the data are zeros: a file written out of order."""
    archive = tmp_path / f"a.{kind}"
    write(kind, archive, INSIDE)
    whole = bytearray(archive.read_bytes())
    whole[60_000:120_000] = bytes(60_000)
    archive.write_bytes(whole)
    assert DAMAGED in refused(archive)


def test_any_flipped_bit_of_the_data_is_found(tmp_path, kind, refused):
    archive = tmp_path / "a"
    if kind == "7z":
        write_7z(archive, INSIDE, compressed=True)
    else:
        write_zip(archive, INSIDE)
    whole = archive.read_bytes()
    for place in random.Random(0).sample(range(1000, 190_000), 8):
        archive.write_bytes(flip(whole, place, 4))
        message = refused(archive)
        assert DAMAGED in message


def flip(content: bytes, place: int, bit: int) -> bytes:
    flipped = bytearray(content)
    flipped[place] ^= 1 << bit
    return bytes(flipped)


def test_a_flipped_bit_of_the_header_loses_nothing_silently(tmp_path, kind):
    """It is refused, or it was of no consequence (a time stamp, say): all is there, as it was."""
    archive = tmp_path / "a"
    small = {name: data[:50] for name, data in INSIDE.items()}
    write(kind, archive, small)
    whole, rng = archive.read_bytes(), random.Random(0)
    refusals = 0
    for place in rng.sample(range(len(whole)), 60):
        archive.write_bytes(flip(whole, place, rng.randrange(8)))
        try:
            extract(archive, tmp_path / "out")
        except InputError:
            refusals += 1
            continue
        unpacked = contents(tmp_path / "out")
        assert set(unpacked.values()) <= set(small.values())
        if unpacked.keys() != FILES.keys():  # a name has no checksum in a zip
            assert kind == "zip"
        shutil.rmtree(tmp_path / "out")
    assert refusals > 25


@pytest.mark.parametrize(
    "name",
    [
        "../evil.wav",
        "development/../../evil.wav",
        "/tmp/evil.wav",
        "//server/share/evil.wav",
        "C:\\evil.wav",
        "c:evil.wav",
        "development\\..\\..\\evil.wav",
        "\\evil.wav",
        "..",
    ],
)
def test_a_path_out_of_the_folder(tmp_path, kind, name, refused):
    archive = tmp_path / "holder" / "a"
    archive.parent.mkdir()
    write(kind, archive, {"development/x.wav": b"x", name: b"evil"})
    message = refused(archive)
    listed = name if kind == "zip" else name.replace("\\", "/")  # so the 7z is written
    assert f"names that lead out of its folder: {listed!r}; expected" in message
    assert "do not trust this archive" in message
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("name", ["a\0b.wav", "a\nb.wav", "a\x1b[2Jb.wav", "a\x7fb.wav"])
def test_control_characters(tmp_path, kind, name, refused):
    if kind == "7z" and "\0" in name:
        pytest.skip("a 7z stores its names ended by NUL: none can hold one")
    if kind == "zip":
        write_zip_members(tmp_path / "a", [(raw_name(name.encode(), 0), b"evil")])
    else:
        write_7z(tmp_path / "a", {name: b"evil"})
    message = refused(tmp_path / "a")
    assert f"control characters or broken Unicode: {name!r}" in message
    assert name not in message  # shown escaped


def test_a_name_that_is_no_unicode(tmp_path, unpacker_of_7z, refused):
    """7z stores UTF-16: one half of a surrogate pair is no text."""
    archive = tmp_path / "a.7z"
    write_7z(archive, {"x.wav": b"x"}, before_close=leave_header_unpacked)
    content = bytearray(archive.read_bytes())
    at = content.index("x.wav".encode("utf-16-le"))
    content[at : at + 2] = "\ud800".encode("utf-16-le", "surrogatepass")
    offset, size = struct.unpack_from("<QQ", content, 12)  # of the header; its CRC-32 is at 28
    struct.pack_into("<I", content, 28, zlib.crc32(content[32 + offset : 32 + offset + size]))
    struct.pack_into("<I", content, 8, zlib.crc32(content[12:32]))
    archive.write_bytes(content)
    assert f"{DAMAGED} (UnicodeDecodeError" in refused(archive)


def leave_header_unpacked(archive: py7zr.SevenZipFile) -> None:
    archive.encoded_header_mode = False


def test_names_longer_than_a_disk_takes(tmp_path, kind, refused):
    name = "雨" * 84 + ".wav"  # 88 characters, 256 bytes
    write(kind, tmp_path / "a", {"x.wav": b"x", name: b"y"})
    assert "names of more than 255 bytes" in refused(tmp_path / "a")


def test_a_file_listed_twice(tmp_path, kind, refused):
    if kind == "7z":
        write_7z(tmp_path / "a", {"x.wav": b"1", "y.wav": b"2"}, before_close=rename_second)
    else:
        with pytest.warns(UserWarning, match="Duplicate name"):
            write_zip_members(
                tmp_path / "a", [(raw_name(b"x.wav", 0), data) for data in (b"1", b"2")]
            )
    assert "files listed twice: 'x.wav'; expected" in refused(tmp_path / "a")


def rename_second(archive: py7zr.SevenZipFile) -> None:
    archive.header.files_info.files[1]["filename"] = "x.wav"


def test_links_and_devices(tmp_path, refused):
    (tmp_path / "target.wav").write_bytes(b"x")
    (tmp_path / "link.wav").symlink_to("target.wav")
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w") as archive:
        archive.write(tmp_path / "link.wav", "development/link.wav")
    assert "holds links or devices: 'development/link.wav'" in refused(tmp_path / "a.7z")
    for special in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR):
        members = [(zip_special("development/link.wav", special), b"/etc/passwd")]
        write_zip_members(tmp_path / "a.zip", members)
        assert "holds links or devices: 'development/link.wav'" in refused(tmp_path / "a.zip")


@pytest.mark.parametrize("size", [10, 49_999, 50_001, 10**12])
def test_a_zip_that_lies_about_a_size(tmp_path, size, refused, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10**15}))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in INSIDE.items():
            archive.writestr(name, data)
        archive.filelist[1].file_size = size
    assert DAMAGED in refused(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("sizes", "whole"),
    [
        ([50_000, 49_999, 50_001, 50_000], 200_000),  # the sum is right
        ([50_000] * 3 + [10**12], 10**12 + 150_000),  # more than is there
        ([50_000] * 3 + [40_000], 190_000),  # less
        ([1 << 60, 50_000, 50_000, 0], 200_000),  # the last one's is what remains: negative
    ],
)
def test_a_7z_that_lies_about_sizes(tmp_path, sizes, whole, refused, unpacker_of_7z, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10**15}))

    def lie(archive):
        archive.header.main_streams.substreamsinfo.unpacksizes[:] = sizes
        folder = archive.header.main_streams.unpackinfo.folders[0]
        archive.worker.flush_archive = lambda *_: None
        packinfo = archive.header.main_streams.packinfo
        packinfo.numstreams, packinfo.packsizes = 1, [200_000]
        folder.unpacksizes = [whole]

    write_7z(tmp_path / "a.7z", INSIDE, before_close=lie)
    assert DAMAGED in refused(tmp_path / "a.7z")


def test_a_zip_bomb_is_refused_by_its_listing(tmp_path, refused):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.wav", b"x")
        archive.filelist[0].file_size = 1 << 60
    with pytest.raises(InputError, match=r"free, a\.zip unpacks to 1152921504\.6 GB: make room"):
        extract(tmp_path / "a.zip", tmp_path / "audio" / "development")


def test_encrypted(tmp_path, unpacker_of_7z, refused):
    write_7z(tmp_path / "a.7z", {"x.wav": b"x"}, compressed=True, password="p")
    assert "is encrypted" in refused(tmp_path / "a.7z")
    write_7z(
        tmp_path / "b.7z", {"x.wav": b"x"}, compressed=True, password="p", header_encryption=True
    )
    assert "is encrypted" in refused(tmp_path / "b.7z")


def test_encrypted_zip(tmp_path, refused):
    write_zip(tmp_path / "a.zip", {"x.wav": b"x"})
    content = bytearray(tmp_path.joinpath("a.zip").read_bytes())
    content[6] |= archives.ZIP_ENCRYPTED  # in the file's header
    content[content.index(b"PK\1\2") + 8] |= archives.ZIP_ENCRYPTED  # in the listing
    (tmp_path / "a.zip").write_bytes(content)
    assert "is encrypted" in refused(tmp_path / "a.zip")


def test_volumes(tmp_path, refused):
    write_7z(tmp_path / "a.7z.001", {"x.wav": b"x"})
    (tmp_path / "a.z01").write_bytes(b"PK\3\4")
    write_zip(tmp_path / "a.zip", {"x.wav": b"x"})
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[content.index(archives.ZIP_END_SIGNATURE) + 4] = 3  # the number of this volume
    (tmp_path / "a.zip").write_bytes(content)
    for name in ("a.7z.001", "a.z01", "a.zip"):
        message = refused(tmp_path / name)
        assert "is one volume of an archive in several" in message
        assert "zip -s 0 NAME.zip" in message


def pack_by_an_unknown_method(archive: py7zr.SevenZipFile) -> None:
    lz4 = b"\x04\xf7\x11\x04"
    archive.header.main_streams.unpackinfo.folders[0].coders[0]["method"] = lz4


def test_unknown_methods(tmp_path, refused, monkeypatch):
    write_zip(tmp_path / "a.zip", {"x.wav": b"x"})
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[8] = content[content.index(b"PK\1\2") + 10] = 9  # Deflate64
    (tmp_path / "a.zip").write_bytes(content)
    message = refused(tmp_path / "a.zip")
    assert "packed by a method that Python does not know" in message
    assert "usual one (deflate)" in message
    monkeypatch.setattr(archives, "TOOLS", ())
    write_7z(tmp_path / "a.7z", {"x.wav": b"x"}, before_close=pack_by_an_unknown_method)
    message = refused(tmp_path / "a.7z")
    assert "packed by a method that py7zr does not know" in message
    assert "install 7-Zip (7zz, 7z or 7za) and run again" in message


@needs_tool
def test_what_7_zip_says_is_passed_on(tmp_path, refused):
    write_7z(tmp_path / "a.7z", {"x.wav": b"x"}, before_close=pack_by_an_unknown_method)
    message = refused(tmp_path / "a.7z")
    assert "ended with exit code 2 and said: " in message
    assert "Unsupported Method" in message


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """Call with a shell script: it stands in for 7-Zip."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(archives, "TOOLS", ("standing-in",))

    def install(script: str) -> None:
        (folder / "standing-in").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "standing-in").chmod(0o755)

    return install


def test_a_tool_that_fails_or_is_killed_or_warns(tmp_path, tool, refused):
    archive = tmp_path / "a.7z"
    write_7z(archive, {"x.wav": b"12345"})
    tool("printf 123; echo 'cannot go on' >&2; exit 8")
    message = refused(archive)
    assert "ended with exit code 8 and said: cannot go on" in message
    tool("printf 12345; kill -9 $$")
    message = refused(archive)
    assert "was killed by signal 9 while it unpacked" in message
    assert "run fewer jobs at once" in message
    tool("printf 12345678")
    assert "unpacks to more bytes than listed" in refused(archive)
    tool("printf 123")
    assert "'x.wav' lacks its last 2 bytes" in refused(archive)
    tool("printf 12346")
    assert "'x.wav' has another CRC-32 than listed" in refused(archive)
    tool("printf 12345; echo 'a warning' >&2; exit 1")
    extract(archive, tmp_path / "out")
    assert contents(tmp_path / "out") == {"x.wav": b"12345"}


SLOWLY = """
import sys, time
from captioner.corpus.download import archives, extract
from captioner.job import Progress, exit_on_sigterm
exit_on_sigterm()
archives.TOOLS = {tools!r}
advance = Progress.advance
def slowly(self, n):
    time.sleep(0.02)
    advance(self, n)
Progress.advance = slowly
extract.extract(*sys.argv[1:])
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_in_the_middle_then_whole(tmp_path, kind, number):
    archive, destination = tmp_path / f"a.{kind}", tmp_path / "audio" / "development"
    files = {f"{n}.wav": random.Random(n).randbytes(300_000) for n in range(40)}
    write(kind, archive, files)
    command = [sys.executable, "-c", SLOWLY.format(tools=archives.TOOLS), archive, destination]
    job = subprocess.Popen(command, stderr=subprocess.PIPE)
    begun = destination.with_name(".unpacking-development") / "new" / "2.wav"
    deadline = time.monotonic() + 60
    while not begun.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert begun.exists()
    children = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
    assert len(children) == (1 if archives.TOOLS else 0)
    job.send_signal(number)
    job.communicate()
    assert job.returncode != 0
    while any(is_alive(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(is_alive(child) for child in children)
    assert not destination.exists()
    if number == signal.SIGTERM:
        assert names(destination.parent) == []
    extract(archive, destination)
    assert contents(destination) == files
    assert names(destination.parent) == [destination.name]


def is_alive(child: str) -> bool:
    try:
        return Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


FULL_DISK = """
import shutil, sys
from captioner.corpus.download import archives, extract
from captioner.errors import InputError
archives.TOOLS = {tools!r}
shutil.disk_usage = lambda _: type("Usage", (), {{"free": 10**9}})  # filled by others meanwhile
try:
    extract.extract(*sys.argv[1:])
except InputError as error:
    print(error)
"""


def test_disk_full(tmp_path, kind):
    disk = tmp_path / "disk"
    disk.mkdir()
    own_mounts = ["unshare", "--mount", "--map-root-user"]
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "none", disk]
    if not shutil.which("unshare") or subprocess.run([*own_mounts, *mount]).returncode:
        pytest.skip("no small disk can be mounted here (unshare --mount --map-root-user; mount)")
    write(kind, tmp_path / "a", INSIDE)
    command = [sys.executable, "-c", FULL_DISK.format(tools=archives.TOOLS)]
    mount_and_run = 'disk=$1; shift; mount -t tmpfs -o size=100k none "$disk" && "$@"'
    script = f'{mount_and_run} && ls -A -I {LOCKS} "$disk"'
    run = subprocess.run(
        [*own_mounts, "sh", "-c", script, "sh", disk, *command, tmp_path / "a", disk / "out"],
        capture_output=True,
        text=True,
        check=True,
    )
    message = run.stdout.strip()  # and no file listed after it
    assert message.startswith(f"{disk} became full while {tmp_path / 'a'} was unpacked ")
    assert message.endswith("make room (or ask for more quota) and run again")
