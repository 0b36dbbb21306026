from urllib.parse import quote

import pytest

from captioner.corpus.download.registry import COLUMNS, Entry, read_registry, write_registry
from captioner.errors import InputError

ROW = ["test", "metadata", "a b.csv", "https://host/a%20b.csv", "0" * 32, "12"]


def write(path, *rows, header=COLUMNS):
    path.write_text("".join("\t".join(row) + "\n" for row in (header, *rows)), encoding="utf-8")
    return path


REGISTRIES = ["corpora/clotho-v1", "corpora/clotho-v2", "corpora/clotho-v2.1", "corpora/macs"]


@pytest.mark.parametrize("name", [*REGISTRIES, "frontends/weights"])
def test_every_registry_is_well_formed(repository, name):
    entries = read_registry(repository / f"config/{name}.tsv")
    assert len({(entry.key, entry.file) for entry in entries}) == len(entries)
    for entry in entries:
        assert entry.zenodo_record
        assert f"/files/{quote(entry.file)}" in entry.url
        assert entry.key == entry.md5 or entry.key == f"zenodo-{entry.zenodo_record}"


def test_clotho_registry_is_complete(repository):
    entries = read_registry(repository / "config/corpora/clotho-v2.1.tsv")
    captioned = ["development", "validation", "evaluation"]
    expected = [(s, k) for s in captioned for k in ("audio_archive", "captions", "metadata")]
    expected += [("test", "audio_archive"), ("test", "metadata"), ("analysis", "audio_archive")]
    assert sorted((e.split, e.kind) for e in entries) == sorted(expected)
    assert len({e.md5 for e in entries}) == 12


@pytest.mark.parametrize(
    "url",
    [
        "https://zenodo.org/record/12/files/a.7z?download=1",
        "https://zenodo.org/records/12/files/a.7z",
        "https://zenodo.org/api/records/12/files/a.7z/content",
    ],
)
def test_an_unknown_md5_is_a_matter_for_zenodo(tmp_path, url):
    row = ["test", "audio_archive", "a.7z", url, "", ""]
    (entry,) = read_registry(write(tmp_path / "r.tsv", row))
    assert (entry.zenodo_record, entry.key) == ("12", "zenodo-12")
    with pytest.raises(InputError, match="nothing only for a file on Zenodo"):
        read_registry(write(tmp_path / "r.tsv", [*row[:3], "https://host/12", "", ""]))


def test_audio_may_come_in_several_archives(tmp_path):
    rows = [["test", "audio_archive", f"{n}.7z", "https://h/", str(n) * 32, ""] for n in (1, 2)]
    assert len(read_registry(write(tmp_path / "r.tsv", *rows))) == 2


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
