"""MACS, on small files in the form of MACS.yaml and the archives of TAU Urban Acoustic Scenes."""

import numpy as np
import pytest
import soundfile

from captioner.corpus.readers.macs import (
    AUTHOR,
    LICENCE,
    read_annotations,
    read_macs_yaml,
    tabulate_clips,
)
from captioner.corpus.tables import Annotation
from captioner.errors import InputError

MACS = """\
files:
- filename: airport-barcelona-0-0-a.wav
  annotations:
  - annotator_id: 52
    sentence: Adults talking and footsteps
    tags:
    - adults_talking
    - footsteps
  - annotator_id: 133
    sentence: 'No'
    tags:
    - footsteps
    - announcement
- filename: park-lisbon-1004-40148-a.wav
  annotations:
  - annotator_id: 7
    sentence: yes
    tags: []
  - annotator_id: 9
    sentence: "Bird song: children, far away"
    tags:
    - birds_singing
  - annotator_id: 11
    sentence: 100
- filename: airport-barcelona-0-12-a.wav
  annotations:
  - annotator_id: 52
    sentence: Rolling suitcases
    tags:
    - other
"""
FIRST = "airport-barcelona-0-0-a.wav"


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def test_sentences_tags_and_recordings(tmp_path):
    known = {"author": AUTHOR, "licence": LICENCE}
    assert read_macs_yaml(write(tmp_path / "MACS.yaml", MACS)) == [
        Annotation(
            FIRST,
            ("Adults talking and footsteps", "No"),
            "adults_talking;footsteps;announcement",
            "tau:airport-barcelona-0",
            **known,
        ),
        Annotation(
            "park-lisbon-1004-40148-a.wav",
            ("yes", "Bird song: children, far away", "100"),
            "birds_singing",
            "tau:park-lisbon-1004",
            **known,
        ),
        Annotation(
            "airport-barcelona-0-12-a.wav",
            ("Rolling suitcases",),
            "other",
            "tau:airport-barcelona-0",
            **known,
        ),
    ]


def test_only_described_clips_of_the_archives_belong_to_it(tmp_path):
    archives = {
        "audio.1": [FIRST, "airport-barcelona-0-1-a.wav"],
        "audio.2": ["bus-lisbon-3-4-a.wav"],
        "audio.3": ["park-lisbon-1004-40148-a.wav", "airport-barcelona-0-12-a.wav"],
    }
    for archive, names in archives.items():
        (tmp_path / archive).mkdir()
        for name in names:
            soundfile.write(tmp_path / archive / name, np.full((480, 2), 0.1), 48000, "PCM_24")
    files = {
        "audio": [str(tmp_path / archive) for archive in archives],
        "captions": write(tmp_path / "MACS.yaml", MACS),
    }
    clips = list(tabulate_clips({}, "development", files))
    annotations = read_annotations({}, "development", files)
    assert [clip.file_name for clip in clips] == sorted(a.file_name for a in annotations)
    assert clips[0].path == str(tmp_path / "audio.1" / FIRST)
    assert {(clip.sample_rate_hz, clip.n_channels, clip.bits) for clip in clips} == {(48000, 2, 24)}


def test_clips_held_out_of_it(tmp_path):
    split = write(tmp_path / "s.csv", f"file_name,split\n{FIRST},validation\n")
    files = {"captions": write(tmp_path / "MACS.yaml", MACS), "split": split}
    assert [a.file_name for a in read_annotations({}, "validation", files)] == [FIRST]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("files:", "clips:", ["found the keys ['clips']", "is it another corpus's file?"]),
        ("- filename: park", "- file: park", ["clip 2 of the list", "expected YAML with a list"]),
        ("  annotations:\n  - annotator_id: 7", "  - 7", ["cannot be read as YAML", "line "]),
        ("sentence: 'No'", "text: 'No'", ["clip 1 of the list"]),
        ("sentence: 'No'", "sentence: ' '", [f"sentence 2 of '{FIRST}' is empty"]),
        ("sentence: 'No'", "sentence:", [f"sentence 2 of '{FIRST}' is empty"]),
        ("0-12-a.wav", "0-0-a.wav", [f"'{FIRST}' stands there twice"]),
        (
            "\n  - annotator_id: 52\n    sentence: Rolling suitcases\n    tags:\n    - other",
            " []",
            ["'airport-barcelona-0-12-a.wav' has no sentence"],
        ),
    ],
)
def test_faults_are_named(tmp_path, old, new, told):
    assert old in MACS
    path = write(tmp_path / "MACS.yaml", MACS.replace(old, new))
    with pytest.raises(InputError) as error:
        read_macs_yaml(path)
    for part in [str(path), *told]:
        assert part in str(error.value)


@pytest.mark.parametrize("text", ["", "file_name,caption_1\na.wav,One\n", "files: []\n"])
def test_files_of_others_are_refused(tmp_path, text):
    with pytest.raises(InputError, match="is it another corpus's file"):
        read_macs_yaml(write(tmp_path / "MACS.yaml", text))


def test_wrong_encoding_and_missing_file(tmp_path):
    path = write(tmp_path / "MACS.yaml", MACS.replace("far away", "café"), "iso-8859-1")
    with pytest.raises(
        InputError, match=r"line 20: byte 0xe9 is not UTF-8; expected YAML in UTF-8"
    ):
        read_macs_yaml(path)
    with pytest.raises(InputError, match="is missing; expected YAML"):
        read_macs_yaml(tmp_path / "absent.yaml")
