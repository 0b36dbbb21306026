import os
import stat
import struct
import subprocess
import sys
import zipfile
import zlib

import py7zr
import pytest

from archive_writers import (
    BACKENDS,
    contents,
    modes,
    names,
    needs_tool,
    raw_name,
    write,
    write_7z,
    write_zip_members,
)
from captioner.corpus.download import archives
from captioner.corpus.download.extract import extract
from captioner.errors import InputError

FILES = {
    "a.b.wav": os.urandom(70_000),
    "a.c.WAV": b"",
    'it\'s [1], (x) & "y" 100%.flac': b"one",
    "Bäume 雨 e\N{COMBINING ACUTE ACCENT}.wav": b"two" * 1000,
    "-so @list *?.ogg": b"three" * 300_000,
}


@pytest.fixture(params=BACKENDS)
def kind(request, monkeypatch) -> str:
    kind, tools = request.param
    monkeypatch.setattr(archives, "TOOLS", tools)
    return kind


@pytest.fixture(params=BACKENDS[:2])
def unpacker_of_7z(request, monkeypatch):
    monkeypatch.setattr(archives, "TOOLS", request.param[1])


def test_audio_comes_out_flat_whole_and_read_only(tmp_path, kind, caplog):
    caplog.set_level("INFO")
    archive = tmp_path / "-some @archive [1] *.7z"
    (tmp_path / "-some @archive [1] other.7z").write_bytes(b"what a wildcard would find too")
    inside = {f"development/{name}": data for name, data in FILES.items()}
    others = {"README.txt": b"x" * 5000, "__MACOSX/development/._a.b.wav": b"not sound"}
    write(kind, archive, others | inside | {"validation/deeper/y.wav": b"y"})
    destination = tmp_path / "audio here" / "development"
    extract(archive, destination)
    assert contents(destination) == FILES | {"y.wav": b"y"}
    assert modes(destination) == {0o444}
    assert names(destination.parent) == ["development"]
    assert "2 files are no audio, left out: 'README.txt', '__MACOSX/" in caplog.text


def test_what_is_there_is_left_as_it_is(tmp_path, kind, caplog):
    caplog.set_level("INFO")
    write(kind, tmp_path / "a", {"x.wav": b"whole"})
    extract(tmp_path / "a", tmp_path / "out")
    (tmp_path / "a").write_bytes(b"not read again")
    extract(tmp_path / "a", tmp_path / "out")
    assert contents(tmp_path / "out") == {"x.wav": b"whole"}
    assert "is there already" in caplog.text


def test_what_a_killed_job_left_is_replaced(tmp_path, kind):
    write(kind, tmp_path / "a", {"x.wav": b"whole"})
    left = tmp_path / ".unpacking-out" / "new"
    left.mkdir(parents=True)
    (left / "x.wav").write_bytes(b"ha")
    (left / "y.wav").write_bytes(b"other")
    extract(tmp_path / "a", tmp_path / "out")
    assert contents(tmp_path / "out") == {"x.wav": b"whole"}
    assert names(tmp_path) == ["a", "out"]


@needs_tool
@pytest.mark.parametrize(
    "switches",
    [
        ["-m0=LZMA2", "-ms=on"],
        ["-m0=LZMA", "-ms=off"],
        ["-m0=Delta:2", "-m1=LZMA2", "-ms=100k"],
        ["-m0=BZip2"],
        ["-m0=Deflate"],
        ["-m0=PPMd"],
        ["-m0=Copy"],
    ],
    ids=" ".join,
)
def test_archives_of_7_zip_come_out_the_same_by_both(tmp_path, monkeypatch, switches):
    folder = tmp_path / "development"
    folder.mkdir()
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    (folder / "empty folder").mkdir()
    tool = next(tool for tool in archives.TOOLS if archives.shutil.which(tool))
    command = [tool, "a", "-t7z", "-bso0", "-bsp0", *switches, tmp_path / "a.7z", folder]
    subprocess.run(command, check=True)
    extract(tmp_path / "a.7z", tmp_path / "by tool")
    monkeypatch.setattr(archives, "TOOLS", ())
    extract(tmp_path / "a.7z", tmp_path / "by library")
    assert contents(tmp_path / "by tool") == FILES
    assert contents(tmp_path / "by library") == FILES


def test_several_streams_and_empty_files_only(tmp_path, unpacker_of_7z):
    write_7z(tmp_path / "a.7z", {"1.wav": b"one" * 1000, "e.wav": b"", "2.wav": b"two"})
    with py7zr.SevenZipFile(tmp_path / "a.7z", "a") as archive:
        archive.writestr(b"three" * 9000, "3.wav")
    extract(tmp_path / "a.7z", tmp_path / "out")
    expected = {"1.wav": b"one" * 1000, "e.wav": b"", "2.wav": b"two", "3.wav": b"three" * 9000}
    assert contents(tmp_path / "out") == expected
    write_7z(tmp_path / "b.7z", {"1.wav": b"", "2.wav": b""})
    extract(tmp_path / "b.7z", tmp_path / "empty")
    assert contents(tmp_path / "empty") == {"1.wav": b"", "2.wav": b""}


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("Bäume 雨.wav".encode(), "Bäume 雨.wav"),  # UTF-8 that nothing announces
        ("Bäume.wav".encode("cp437"), "Bäume.wav"),  # the standard's own encoding
        ("Bäume.wav".encode("cp1252"), "BΣume.wav"),  # another: readable, one for one
        (b"dir\\x.wav", "x.wav"),  # an old packer for Windows
    ],
)
def test_zip_names_in_other_encodings(tmp_path, raw, name):
    write_zip_members(tmp_path / "a.zip", [(raw_name(raw, 0), b"sound")])
    extract(tmp_path / "a.zip", tmp_path / "out")
    assert contents(tmp_path / "out") == {name: b"sound"}


def test_info_zips_unicode_path_counts_if_it_is_of_this_name(tmp_path):
    def field(raw, name):
        body = struct.pack("<BI", 1, zlib.crc32(raw)) + name.encode()
        another = struct.pack("<HHB", 0xCAFE, 1, 0)
        return another + struct.pack("<HH", archives.ZIP_UNICODE_PATH, len(body)) + body

    members = [
        (raw_name(b"B?ume.wav", 0, field(b"B?ume.wav", "Bäume 雨.wav")), b"0"),
        (raw_name(b"renamed.wav", 1, field(b"before.wav", "before.wav")), b"1"),
    ]
    write_zip_members(tmp_path / "a.zip", members)
    extract(tmp_path / "a.zip", tmp_path / "out")
    assert contents(tmp_path / "out") == {"Bäume 雨.wav": b"0", "renamed.wav": b"1"}


def test_files_of_one_name_in_two_folders_are_refused(tmp_path, kind):
    write(kind, tmp_path / "a", {"one/x.wav": b"1", "two/x.wav": b"2", "two/y.wav": b"3"})
    with pytest.raises(
        InputError, match=r"different folders: 'one/x\.wav', 'two/x\.wav'; expected"
    ):
        extract(tmp_path / "a", tmp_path / "out")
    assert names(tmp_path) == ["a"]


def test_an_archive_without_audio_says_what_it_holds(tmp_path, kind):
    write(kind, tmp_path / "a", {"one/x.csv": b"1", "LICENSE": b"2"})
    with pytest.raises(InputError, match=r"no audio file \(.*\.wav\), only 'LICENSE', 'one/x.csv'"):
        extract(tmp_path / "a", tmp_path / "out")
    write(kind, tmp_path / "b", {})
    with pytest.raises(InputError, match=r"no audio file .* only nothing"):
        extract(tmp_path / "b", tmp_path / "out")
    assert names(tmp_path) == ["a", "b"]


def test_only_audio_counts_for_the_space_needed(tmp_path, kind, monkeypatch):
    write(kind, tmp_path / "a", {"x.wav": b"x" * 5000, "film.mkv": b"x" * 50_000})
    free = 5000
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free}))
    extract(tmp_path / "a", tmp_path / "out")
    assert contents(tmp_path / "out") == {"x.wav": b"x" * 5000}
    free = 4999
    with pytest.raises(InputError, match="make room"):
        extract(tmp_path / "a", tmp_path / "other")
    assert names(tmp_path) == ["a", "out"]


def test_two_runs_at_once_share_the_work(tmp_path, kind):
    """All end well, one folder is whole, and only one run unpacks."""
    write(kind, tmp_path / "a", {f"{n}.wav": os.urandom(1000) for n in range(300)})
    code = (
        "import logging, sys; from captioner.corpus.download import archives;"
        "logging.basicConfig(level='INFO', format='%(message)s');"
        f"archives.TOOLS = {archives.TOOLS!r};"
        "from captioner.corpus.download.extract import extract; input(); extract(*sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, tmp_path / "a", tmp_path / "out"]
    pipe = subprocess.PIPE
    runs = [subprocess.Popen(command, stdin=pipe, stderr=pipe, text=True) for _ in range(3)]
    for run in runs:
        run.stdin.write("\n")
        run.stdin.flush()
    said = [run.communicate()[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], said
    assert len(contents(tmp_path / "out")) == 300
    assert names(tmp_path) == ["a", "out"]
    assert sum("is there already" in text for text in said) == 2
    assert sum("100%" in text for text in said) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from Linux's /proc")
def test_memory_stays_flat(tmp_path):
    """A long silence packs a thousandfold; py7zr's own loop would hold 128 MB pieces of it."""
    data = bytes(150_000_000)
    write_7z(tmp_path / "a.7z", {"silence.wav": data}, compressed=True)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("silence.wav", data)
    code = (
        "import sys; from captioner.corpus.download import archives; archives.TOOLS = ();"
        "from captioner.corpus.download.extract import extract; extract(*sys.argv[1:]);"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    for name in ("a.7z", "a.zip"):
        command = [sys.executable, "-c", code, tmp_path / name, tmp_path / "out"]
        peak_kb = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        assert (tmp_path / "out" / "silence.wav").stat().st_size == len(data)
        assert peak_kb < 200_000


def test_a_zip_of_another_unix_type_is_no_plain_file():
    info = zipfile.ZipInfo("x.wav")
    assert archives._is_plain(info)
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    assert archives._is_plain(info)
    for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK):
        info.external_attr = kind << 16
        assert not archives._is_plain(info)
    info.external_attr = stat.FILE_ATTRIBUTE_REPARSE_POINT
    assert not archives._is_plain(info)
