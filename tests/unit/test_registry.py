from collections import Counter

import pytest

from captioner.corpus.registry import COLUMNS, Entry, read_registry, write_registry
from captioner.errors import InputError

ROW = ["test", "metadata", "a b.csv", "https://host/a%20b.csv", "0" * 32, "12"]


def write(path, *rows, header=COLUMNS):
    path.write_text("".join("\t".join(row) + "\n" for row in (header, *rows)), encoding="utf-8")
    return path


def test_clotho_registry_is_complete_and_well_formed(repository):
    entries = read_registry(repository / "config/corpora/clotho-v2.1.tsv")
    captioned = ["development", "validation", "evaluation"]
    expected = [(s, k) for s in captioned for k in ("audio_archive", "captions", "metadata")]
    expected += [("test", "audio_archive"), ("test", "metadata")]
    assert sorted((e.split, e.kind) for e in entries) == sorted(expected)
    assert len(entries) == 11
    assert max(Counter(e.file for e in entries).values()) == 1
    assert len({e.md5 for e in entries}) == 11
    for entry in entries:
        assert entry.url.startswith("https://zenodo.org/record/")
        assert f"/files/{entry.file}?" in entry.url


def test_clotho_captions_have_the_registered_md5(repository, shared_data):
    import hashlib

    for entry in read_registry(repository / "config/corpora/clotho-v2.1.tsv"):
        if entry.kind == "captions":
            data = (shared_data / entry.file).read_bytes()
            assert hashlib.md5(data).hexdigest() == entry.md5


def test_write_then_read_gives_the_same(tmp_path):
    entries = [
        Entry("test", "metadata", "é [1].csv", "file:///a%20b/%C3%A9.csv", "ab" * 16, None),
        Entry("test", "audio_archive", "x.y.7z", "https://host/x.y.7z", "cd" * 16, 7),
    ]
    write_registry(tmp_path / "r.tsv", entries)
    assert read_registry(tmp_path / "r.tsv") == entries


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("split", "", "the split is empty"),
        ("kind", "audio", "kind is 'audio', expected one of audio_archive"),
        ("file", "a/b.csv", "without a folder"),
        ("url", "ftp://host/a", "starts with https, http, file"),
        ("md5", "0" * 31, "expected 32 digits"),
        ("md5", "G" * 32, "expected 32 digits"),
        ("size_bytes", "12 MB", "expected a number of bytes"),
    ],
)
def test_malformed_cell_is_named(tmp_path, column, value, told):
    row = [value if name == column else cell for name, cell in zip(COLUMNS, ROW, strict=True)]
    path = write(tmp_path / "r.tsv", [*ROW[:4], "1" * 32, ""], row)
    with pytest.raises(InputError, match=told) as error:
        read_registry(path)
    assert f"{path}, line 3" in str(error.value)


def test_malformed_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"the header is \['split', 'file'\]"):
        read_registry(write(tmp_path / "r.tsv", header=("split", "file")))
    with pytest.raises(InputError, match="5 cells, expected 6"):
        read_registry(write(tmp_path / "r.tsv", ROW[:5]))
    with pytest.raises(InputError, match="2 rows for one kind and split"):
        read_registry(write(tmp_path / "r.tsv", ROW, [*ROW[:2], "other.csv", *ROW[3:]]))
    with pytest.raises(InputError, match=r"2 rows with the file name 'a b\.csv'"):
        read_registry(write(tmp_path / "r.tsv", ROW, ["validation", *ROW[1:]]))
    with pytest.raises(InputError, match="is missing"):
        read_registry(tmp_path / "absent.tsv")
