import pytest

from captioner.corpus.tables import (
    Annotation,
    Clip,
    read_annotations,
    read_clips,
    write_annotations,
    write_clips,
)
from captioner.errors import InputError

NAMES = ["a.b.wav", "a.c.wav", 'it\'s "odd" [1], (x).wav', "Bäume 雨.wav"]


def test_clips_come_back_as_written(tmp_path):
    clips = [Clip(n, f"{tmp_path}/{n}", 5_000_000_000, 15.02, 44100, 1) for n in NAMES]
    write_clips(tmp_path / "clips.parquet", clips)
    assert read_clips(tmp_path / "clips.parquet") == clips


def test_annotations_come_back_as_written(tmp_path):
    annotations = [Annotation(n, ("A dog, barking", 'says "hi"'), author="Ünal") for n in NAMES]
    annotations.append(Annotation("test.wav", ()))
    write_annotations(tmp_path / "a.parquet", annotations)
    assert read_annotations(tmp_path / "a.parquet") == annotations


def test_empty_table_keeps_its_columns(tmp_path):
    write_clips(tmp_path / "clips.parquet", [])
    assert read_clips(tmp_path / "clips.parquet") == []


def test_wrong_table_is_named(tmp_path):
    write_clips(tmp_path / "clips.parquet", [])
    with pytest.raises(InputError, match=r"clips\.parquet has the columns .* expected .*captions"):
        read_annotations(tmp_path / "clips.parquet")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read_clips(tmp_path / "cut.parquet")
