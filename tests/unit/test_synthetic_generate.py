"""The synthetic corpus as files: Clotho's published form, the same bytes from the same seed."""

import csv
import hashlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import py7zr
import pytest
import soundfile

from captioner.corpus.download.registry import read_registry
from captioner.corpus.synthetic.files import published_files
from captioner.corpus.synthetic.generate import SPLITS, generate_corpus
from captioner.errors import InputError

CLIPS = {"development": 13, "validation": 2, "evaluation": 3, "test": 3}
DURATION_S = (3.0, 3.2)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a place") / "synthetic [é], 100 %"
    generate_corpus(folder, 7, CLIPS, DURATION_S, processes=1)
    return folder


@pytest.fixture(scope="module")
def wavs(corpus, tmp_path_factory):
    """The archives, extracted: a folder per split."""
    folder = tmp_path_factory.mktemp("extracted")
    for split in SPLITS:
        with py7zr.SevenZipFile(corpus / f"synthetic_audio_{split}.7z") as archive:
            archive.extractall(folder)
    return folder


def rows(path, encoding="utf-8", delimiter=","):
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".tsv"}


def test_the_folder_holds_the_published_files_and_nothing_else(corpus):
    expected = {*published_files(SPLITS).values(), "synthetic.tsv"}
    assert {path.name for path in corpus.iterdir()} == expected
    assert [path.name for path in corpus.parent.iterdir()] == [corpus.name]


def test_registry_is_right_and_its_urls_lead_to_the_files(corpus):
    entries = read_registry(corpus / "synthetic.tsv")
    assert {(entry.split, entry.kind): entry.file for entry in entries} == published_files(SPLITS)
    for entry in entries:
        address = urlsplit(entry.url)
        assert address.scheme == "file"
        assert " " not in entry.url
        path = Path(unquote(address.path))
        assert path == corpus / entry.file
        assert path.stat().st_size == entry.size_bytes
        assert hashlib.md5(path.read_bytes()).hexdigest() == entry.md5


def test_archives_are_stored_and_hold_the_splits_folder(corpus):
    for split, n in CLIPS.items():
        path = corpus / f"synthetic_audio_{split}.7z"
        with py7zr.SevenZipFile(path) as archive:
            assert archive.archiveinfo().method_names == ["COPY"]
            members = archive.namelist()
        assert members[0] == split
        assert len(members) == 1 + n
        assert all(name.startswith(f"{split}/") for name in members[1:])


def test_wavs_are_44100_hz_16_bit_mono_and_neither_clipped_nor_silent(wavs):
    for split, n in CLIPS.items():
        files = list((wavs / split).iterdir())
        assert len(files) == n
        for file in files:
            info = soundfile.info(file)
            assert (info.samplerate, info.subtype, info.channels) == (44100, "PCM_16", 1)
            assert DURATION_S[0] <= info.duration <= DURATION_S[1]
            samples, _ = soundfile.read(file, dtype="int16")
            assert np.abs(samples.astype(int)).max() < 29300  # -1 dBFS is 29204
            assert samples[: len(samples) // 20 * 20].reshape(20, -1).std(axis=1).min() > 3


def test_captions_have_the_published_form(corpus, wavs):
    for split in ("development", "validation", "evaluation"):
        path = corpus / f"synthetic_captions_{split}.csv"
        content = path.read_bytes()
        assert content.count(b"\r\n") == content.count(b"\n") == CLIPS[split] + 1
        header, *body = rows(path)
        assert header == ["file_name", *(f"caption_{k}" for k in range(1, 6))]
        assert {row[0] for row in body} == {file.name for file in (wavs / split).iterdir()}
        assert all(len(set(row[1:])) == 5 for row in body)
    assert not (corpus / "synthetic_captions_test.csv").exists()


def test_metadata_is_latin_1_and_the_test_splits_has_semicolons(corpus):
    path = corpus / "synthetic_metadata_development.csv"
    with pytest.raises(UnicodeDecodeError):
        path.read_text(encoding="utf-8")
    header, *body = rows(path, "iso-8859-1")
    assert ",".join(header) == (
        "file_name,keywords,sound_id,sound_link,start_end_samples,manufacturer,license"
    )
    assert len(body) == CLIPS["development"]
    assert any(not row[5].isascii() for row in body)
    assert all(row[3].startswith("synthetic:") for row in body)
    header, *body = rows(corpus / "synthetic_metadata_test.csv", "iso-8859-1", ";")
    assert header == ["file_name", "manufacturer", "license"]
    assert [len(row) for row in body] == [3] * CLIPS["test"]


def test_names_are_odd_on_purpose(corpus):
    names = [row[0] for row in rows(corpus / "synthetic_captions_development.csv")[1:]]
    assert len(set(names)) == len(names)
    before_first_dot = [name.split(".")[0] for name in names]
    assert len(set(before_first_dot)) == len(names) - 1  # one pair differs after it only
    assert any(name.count(".") > 2 for name in names)
    for odd in " [#(,'%&":
        assert any(odd in name for name in names), odd
    assert any(not name.isascii() for name in names)


def test_same_seed_same_bytes_whatever_the_processes(corpus, tmp_path):
    again = generate_corpus(tmp_path / "again", 7, CLIPS, DURATION_S, processes=2).parent
    assert contents(again) == contents(corpus)


def test_another_seed_is_another_corpus(corpus, tmp_path):
    other = generate_corpus(tmp_path / "other", 8, {"development": 2}, DURATION_S, 1).parent
    name = "synthetic_captions_development.csv"
    assert rows(other / name)[1][1:] != rows(corpus / name)[1][1:]


def test_a_bigger_corpus_starts_with_the_same_clips(corpus, wavs, tmp_path):
    small = {"development": 4, "test": 2}
    smaller = generate_corpus(tmp_path / "smaller", 7, small, DURATION_S, 1).parent
    name = "synthetic_captions_development.csv"
    assert rows(smaller / name) == rows(corpus / name)[:5]
    for split in small:
        with py7zr.SevenZipFile(smaller / f"synthetic_audio_{split}.7z") as archive:
            archive.extractall(tmp_path)
        for file in (tmp_path / split).iterdir():
            assert file.read_bytes() == (wavs / split / file.name).read_bytes()


def test_a_corpus_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "synthetic"
    folder.mkdir()
    (folder / "left over.csv").touch()
    registry = generate_corpus(folder, 1, {"development": 1}, DURATION_S, 1)
    assert registry == folder / "synthetic.tsv"
    assert len(list(folder.iterdir())) == 4


def test_nothing_is_left_when_it_fails(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("captioner.corpus.synthetic.generate.write_registry", full)
    with pytest.raises(OSError, match="no space"):
        generate_corpus(tmp_path / "synthetic", 1, {"development": 1}, DURATION_S, 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("clips", "duration_s", "message"),
    [
        ({"development": 1, "dev": 1}, DURATION_S, "found the split 'dev', expected development"),
        ({"development": -1}, DURATION_S, "found -1 clips for development, expected 0 or more"),
        ({"evaluation": 2}, DURATION_S, "found no development clips.*ask for one at least"),
        ({"development": 1}, (8.0, 4.0), "found durations from 8.0 to 4.0 s, expected the shorter"),
        ({"development": 1}, (1.0, 4.0), "found durations from 1.0 to 4.0 s.*at least 3.0 s"),
    ],
)
def test_bad_settings_are_named(tmp_path, clips, duration_s, message):
    with pytest.raises(InputError, match=message):
        generate_corpus(tmp_path / "synthetic", 1, clips, duration_s, 1)
    assert not list(tmp_path.iterdir())
