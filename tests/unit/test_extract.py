import os
import stat
import zipfile

import py7zr
import pytest

from captioner.corpus.extract import extract
from captioner.errors import InputError

FILES = {
    "a.b.wav": os.urandom(70_000),
    "a.c.wav": b"",
    "it's [1], (x).wav": b"one",
    "Bäume 雨.wav": b"two" * 1000,
}


def write_7z(path, files):
    with py7zr.SevenZipFile(path, "w", filters=[{"id": py7zr.FILTER_COPY}]) as archive:
        for number, (name, data) in enumerate(files.items()):
            archive.writestr(data, f"{number}")
            archive.header.files_info.files[-1]["filename"] = name  # writestr refuses bad ones


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


writers = pytest.mark.parametrize("write", [write_7z, write_zip])


@writers
def test_files_come_out_flat_whole_and_read_only(tmp_path, write):
    archive = tmp_path / "some archive"
    inside = {f"development/{name}": data for name, data in FILES.items()}
    write(archive, inside | {"README.txt": b"x", "development/deeper/y.wav": b"y"})
    destination = tmp_path / "audio here" / "development"
    extract(archive, destination, "development")
    assert {path.name: path.read_bytes() for path in destination.iterdir()} == FILES
    modes = {stat.S_IMODE(path.stat().st_mode) for path in destination.iterdir()}
    assert modes == {0o444}
    assert [path.name for path in destination.parent.iterdir()] == ["development"]


@writers
def test_another_splits_archive_is_refused(tmp_path, write):
    write(tmp_path / "a", {"evaluation/x.wav": b"x"})
    with pytest.raises(InputError, match=r"no files in a folder 'test', only in \['evaluation'\]"):
        extract(tmp_path / "a", tmp_path / "out", "test")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@writers
@pytest.mark.parametrize("name", ["../evil.wav", "development/../../evil.wav"])
def test_a_path_out_of_the_folder_is_refused(tmp_path, write, name):
    holder = tmp_path / "holder"
    holder.mkdir()
    write(holder / "a", {"development/x.wav": b"x", name: b"evil"})
    with pytest.raises(InputError, match=r"names that lead out of its folder: '.*evil"):
        extract(holder / "a", holder / "audio" / "out", "development")
    assert not list(tmp_path.rglob("*evil*"))
    assert not (holder / "audio" / "out").exists()


@pytest.mark.parametrize("name", ["/tmp/evil.wav", "C:\\evil.wav", "development\\..\\..\\evil.wav"])
def test_an_absolute_path_is_refused(tmp_path, name):
    write_zip(tmp_path / "a.zip", {"development/x.wav": b"x", name: b"evil"})
    with pytest.raises(InputError, match="names that lead out"):
        extract(tmp_path / "a.zip", tmp_path / "out", "development")


def test_links_are_refused(tmp_path):
    (tmp_path / "target.wav").write_bytes(b"x")
    (tmp_path / "link.wav").symlink_to("target.wav")
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w") as archive:
        archive.write(tmp_path / "link.wav", "development/link.wav")
    link = zipfile.ZipInfo("development/link.wav")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    for name in ("a.7z", "a.zip"):
        with pytest.raises(InputError, match=r"holds links: 'development/link\.wav'"):
            extract(tmp_path / name, tmp_path / "out", "development")


def test_too_little_disk(tmp_path, monkeypatch):
    write_7z(tmp_path / "a.7z", {"development/x.wav": b"x" * 5000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(InputError, match="make room"):
        extract(tmp_path / "a.7z", tmp_path / "out", "development")


def test_what_a_killed_job_left_is_not_used(tmp_path):
    write_7z(tmp_path / "a.7z", {"development/x.wav": b"whole"})
    left = tmp_path / ".unpacking-out" / "development"
    left.mkdir(parents=True)
    (left / "x.wav").write_bytes(b"ha")
    (left / "y.wav").write_bytes(b"other")
    extract(tmp_path / "a.7z", tmp_path / "out", "development")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        "x.wav": b"whole"
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.7z", "out"]
