"""Faults of captions CSVs and folders: one message with the file, found, expected, what to do."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from captioner.corpus import folder
from captioner.corpus.checks import SplitTables, check_split, raise_on_errors
from captioner.corpus.expectations import expectations_of
from captioner.corpus.readers import folder as folder_reader
from captioner.corpus.readers.captions import read_captions_csv
from captioner.errors import InputError

HEADER = "file_name,caption_1,caption_2\n"
NAMES = ["a.b.wav", "a.c.wav", "it's [1] (x).wav", "Bäume 雨.wav"]


def write(path: Path, text: str, encoding="utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("caption_1,caption_2\nx,y\n", ["file_name missing", "expected file_name, caption_1"]),
        ("file_name,caption_1\na.wav,x\n", ["caption_2 missing", "2 captions are declared"]),
        ("file_name,caption_1,caption_2,caption_3\na,x,y,z\n", ["2 captions are declared"]),
        ("file_name,caption_1,caption2\na,x,y\n", ["caption_2 missing"]),
        ("", ["the header is empty"]),
        (HEADER, ["a header and no rows"]),
        (HEADER + "a.wav,One,Two\na.wav,One,Two\n", ["'a.wav' stands in 2 rows, expected in one"]),
        (HEADER + "a.wav,One, \n", ["line 2: caption_2 of 'a.wav' is empty"]),
        (HEADER + "a.wav,One\n", ["line 2: 2 cells, expected 3"]),
        (HEADER + "a.wav,One, two,Three\n", ["line 2: 4 cells, expected 3"]),
        (HEADER + " ,One,Two\n", ["line 2: the file name is empty"]),
        (HEADER + 'a.wav,"One"x,Two\n', ["line 2: not a CSV"]),
    ],
)
def test_captions_csv(tmp_path, text, told):
    path = write(tmp_path / "captions 1.2.csv", text)
    with pytest.raises(InputError) as error:
        read_captions_csv(path, n_captions=2)
    for part in [str(path), *told]:
        assert part in str(error.value)


def test_number_of_captions_comes_from_the_header_if_not_declared(tmp_path):
    path = write(tmp_path / "c.csv", "file_name,caption_1,caption_3\na,x,y\n")
    with pytest.raises(InputError, match=r"caption_2 missing.*expected file_name, caption_1, ca"):
        read_captions_csv(path, n_captions=None)


def test_only_ten_faults_are_shown(tmp_path):
    rows = "".join(f"{number}.wav,,Two\n" for number in range(25))
    with pytest.raises(InputError) as error:
        read_captions_csv(write(tmp_path / "c.csv", HEADER + rows), 2)
    assert "faults (25)" in str(error.value)
    assert str(error.value).count("is empty") == 10
    assert "and 15 more" in str(error.value)


@pytest.mark.parametrize("encoding", ["iso-8859-1", "utf-16"])
def test_captions_that_are_not_utf_8(tmp_path, encoding):
    text = HEADER + "a.wav,One,Two\nb.wav,Ein Gürteltier,Two\n"
    with pytest.raises(InputError) as error:
        read_captions_csv(write(tmp_path / "c.csv", text, encoding), 2)
    line = 3 if encoding == "iso-8859-1" else 1
    assert f"{tmp_path / 'c.csv'}, line {line}: byte 0xf" in str(error.value)
    assert "is not UTF-8; expected a CSV in UTF-8: save it again" in str(error.value)


def test_an_unknown_split_in_a_column(tmp_path):
    path = write(tmp_path / "c.csv", "file_name,split,caption_1\na.wav,training,x\n")
    with pytest.raises(InputError, match="line 2: split is 'training', expected one of develop"):
        read_captions_csv(path, None, split_column=True)


@pytest.fixture
def corpus(tmp_path):
    audio = tmp_path / "odd [audio]"
    audio.mkdir()
    for name in NAMES:
        noise = np.random.default_rng(1).uniform(-0.5, 0.5, 8000)
        soundfile.write(audio / name, noise, 8000, subtype="PCM_16")
    text = "file_name,split,caption_1\n" + "".join(f"{n},development,A dog\n" for n in NAMES)
    captions = write(tmp_path / "captions.csv", text)
    return {"audio": str(audio), "captions": str(captions), "n_captions": 1, "kind": "folder"}


def checked(corpus):
    clips = list(folder_reader.tabulate_clips(corpus, "development", {}))
    annotations = folder_reader.read_annotations(corpus, "development", {})
    expected = expectations_of({**corpus, "expected": {}}, "development", captioned=True)
    return check_split("development", SplitTables(clips, annotations), {}, expected)


def levels(report):
    return {check["name"]: check["level"] for check in report["checks"] if check["level"] != "ok"}


def test_odd_names_are_no_fault(corpus):
    assert levels(checked(corpus)) == {}


def test_a_wav_named_in_the_csv_and_absent(corpus):
    (Path(corpus["audio"]) / "a.c.wav").unlink()
    report = checked(corpus)
    assert levels(report) == {"wav of each row": "error"}
    with pytest.raises(InputError) as error:
        raise_on_errors(report)
    assert "wav of each row: expected a wav for every row; found 1 otherwise\n    a.c.wav" in str(
        error.value
    )
    assert "What to do" in str(error.value)


def test_a_wav_in_the_folder_and_not_in_the_csv(corpus):
    stray = Path(corpus["audio"]) / "a.c.d.wav"
    stray.write_bytes((Path(corpus["audio"]) / "a.c.wav").read_bytes())
    report = checked(corpus)
    assert levels(report) == {"wavs in no table": "warning"}
    (check,) = [c for c in report["checks"] if c["name"] == "wavs in no table"]
    assert check["offenders"] == [str(stray)]
    raise_on_errors(report)  # the stray is not used: work goes on


def test_no_wav_at_all_and_no_folder(corpus):
    for name in NAMES:
        (Path(corpus["audio"]) / name).unlink()
    with pytest.raises(InputError, match="holds none of the audio files expected there"):
        checked(corpus)
    corpus["captions"], corpus["audio"] = {"test": None}, {"test": f"{corpus['audio']}/x"}
    with pytest.raises(InputError, match="is not a folder; expected one with audio files"):
        folder.folder_splits(corpus)


def test_unknown_splits_and_missing_captions_of_a_folder_corpus(corpus, tmp_path):
    with pytest.raises(InputError, match=r"names the splits \['train'\]; expected only"):
        folder.folder_splits({**corpus, "captions": {"train": corpus["captions"]}})
    bare = write(tmp_path / "bare.csv", "file_name\na.b.wav\n")
    settings = {**corpus, "captions": {"development": str(bare)}, "n_captions": None}
    with pytest.raises(InputError, match="development has clips without captions"):
        folder.folder_splits(settings)
    settings = {**corpus, "captions": {"test": None}, "audio": {"development": corpus["audio"]}}
    with pytest.raises(InputError, match="gives no `audio` folder for test"):
        folder.folder_splits(settings)
