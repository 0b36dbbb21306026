"""Zips: the same bytes for the same files, and nothing of a hostile one is believed or unpacked."""

import struct
import zipfile

import pytest

from captioner.errors import InputError
from captioner.submission.archive import MAX_FILES, MB, read_archive, write_archive
from captioner.submission.check import Known, check_package
from captioner.submission.findings import Findings
from good_package import CLIPS, NAMES, good_files, write_zip

OUT = NAMES["output"]


def errors(path):
    """Give code and file of each error of a package."""
    return [(finding.code, finding.file) for finding in check_package(path, Known(CLIPS)).errors]


def written(folder):
    folder.mkdir()
    for name, content in good_files().items():
        (folder / name).write_bytes(content)
    return {path.name: path for path in folder.iterdir()}


def test_the_same_files_give_the_same_bytes(tmp_path):
    first, second = written(tmp_path / "a"), written(tmp_path / "b")
    (tmp_path / "b" / OUT).chmod(0o600)
    write_archive(tmp_path / "a.zip", first)
    write_archive(tmp_path / "b.zip", dict(reversed(second.items())))
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == good_files()
    assert errors(tmp_path / "a.zip") == []


@pytest.mark.parametrize("name", ["../out.csv", "/out.csv", "a/../../out.csv", "C:/out.csv"])
def test_names_that_lead_out(tmp_path, name):
    path = write_zip(tmp_path / "p.zip", {**good_files(), name: b""})
    assert errors(path) == [("path", name)]
    assert [found.name for found in tmp_path.iterdir()] == ["p.zip"]


def test_backslashes_lead_out_too(tmp_path):
    path = write_zip(tmp_path / "p.zip", {**good_files(), "x..x..x.csv": b""})
    path.write_bytes(path.read_bytes().replace(b"x..x..x.csv", b"..\\..\\x.csv"))
    [(code, _)] = errors(path)
    assert code == "path"


def test_links(tmp_path):
    path = write_zip(tmp_path / "p.zip", good_files())
    with zipfile.ZipFile(path, "a") as archive:
        entry = zipfile.ZipInfo("link.csv")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    assert errors(path) == [("path", "link.csv")]


def test_encrypted(tmp_path):
    path = write_zip(tmp_path / "p.zip", good_files())
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        places = [archive.getinfo(OUT).header_offset + 6]
    places.append(content.index(b"PK\x01\x02") + 8)
    for place in places:
        content[place] |= 1
    path.write_bytes(content)
    assert errors(path) == [("encrypted", OUT)]


@pytest.mark.parametrize("name", [OUT, "bomb.csv"])
def test_a_bomb_is_not_unpacked(tmp_path, name, monkeypatch):
    path = write_zip(tmp_path / "p.zip", {**good_files(), name: bytes(60 * MB)})
    assert path.stat().st_size < MB
    read = zipfile.ZipExtFile.read
    sizes = []

    def counting(self, n=-1):
        content = read(self, n)
        sizes.append(len(content))
        return content

    monkeypatch.setattr(zipfile.ZipExtFile, "read", counting)
    assert ("too-large", name) in errors(path)
    assert max(sizes) < MB


def test_a_size_that_lies(tmp_path):
    """Says 10 bytes, holds 60 MB: what is stated is unpacked, and the checksum fails."""
    path = write_zip(tmp_path / "p.zip", {OUT: bytes(60 * MB)})
    content = path.read_bytes()
    assert content.count(struct.pack("<L", 60 * MB)) == 2
    path.write_bytes(content.replace(struct.pack("<L", 60 * MB), struct.pack("<L", 10)))
    assert ("damaged", OUT) in errors(path)


def test_many_files_that_are_small_bombs_together(tmp_path):
    bombs = {f"{number}.pdf": bytes(40 * MB) for number in range(6)}
    path = write_zip(tmp_path / "p.zip", {**good_files(), **bombs})
    findings = Findings()
    assert read_archive(path, findings).contents == {}
    assert [finding.code for finding in findings.errors] == ["too-large"]


def test_many_files(tmp_path):
    few = {f"{number}.txt": b"" for number in range(MAX_FILES + 1)}
    assert errors(write_zip(tmp_path / "p.zip", few)) == [("too-large", "")]
    many = {f"{number}.txt": b"" for number in range(3000)}
    assert errors(write_zip(tmp_path / "q.zip", many)) == [("too-large", "")]


def test_a_name_twice(tmp_path):
    path = write_zip(tmp_path / "p.zip", good_files())
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr(OUT, "another")
    assert errors(path) == [("twice", OUT)]


def test_damaged_content(tmp_path):
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in good_files().items():
            archive.writestr(name, content)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"rain falls", b"rain fails", 1))
    assert errors(path) == [("damaged", OUT)]


@pytest.mark.parametrize("cut", [0, 10, 200, -30])
def test_what_is_no_zip(tmp_path, cut):
    path = write_zip(tmp_path / "p.zip", good_files())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"p\.zip: found no zip"):
        read_archive(path, Findings())


def test_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_archive(tmp_path / "p.zip", Findings())


def test_a_zip_in_a_zip_is_not_opened(tmp_path):
    inner = write_zip(tmp_path / "inner.zip", {OUT: b"file_name\n"}).read_bytes()
    found = check_package(
        write_zip(tmp_path / "p.zip", {**good_files(), "inner.zip": inner}), Known(CLIPS)
    )
    assert [(f.code, f.file) for f in found.found] == [("not-needed", "inner.zip")]
