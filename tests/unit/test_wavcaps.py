"""WavCaps, on small files in the form of its JSONs and blacklists."""

import json
import logging

import numpy as np
import pytest
import soundfile

from captioner.corpus.checks import SplitTables, check_split
from captioner.corpus.expectations import Expectations
from captioner.corpus.readers.wavcaps import (
    read_annotations,
    read_blacklist,
    read_wavcaps_json,
    tabulate_clips,
)
from captioner.corpus.tables import (
    Annotation,
    read_clips,
    write_annotations,
    write_clips,
)
from captioner.corpus.tables import read_annotations as read_table
from captioner.errors import InputError

DATA = {
    "AudioSet_SL/as_final.json": [
        {"id": "Yb0RFKhbpFJA.wav", "caption": "Wind blows.", "audio": "wav/x", "duration": 10.0},
        {"id": "Y-0Gj8-vB1q4.wav", "caption": "A bell rings.", "audio": "wav/y", "duration": 10.0},
    ],
    "FreeSound/fsd_final.json": [
        {
            "id": "2219",
            "file_name": "Rain 1.wav",
            "href": "/people/x/sounds/2219/",
            "download_link": "https://freesound.org/people/x/sounds/2219/download/",
            "tags": ["rain", "field-recording"],
            "author": "Jürgen",
            "description": 'Rain.\nRecorded in {Köln}, "id": 7 🎵',
            "caption": "Rain is falling.",
            "duration": 86.4,
        },
        {"id": "2220", "caption": "A door closes.", "author": None, "tags": [], "duration": 1.0},
        {"id": "2221", "caption": "A drill runs.", "author": "z", "tags": ["drill"], "duration": 2},
    ],
    "SoundBible/sb_final.json": [
        {
            "title": "Airplane Landing",
            "description": "Large commercial airplane.",
            "author": "Daniel Simion",
            "href": "2219-Airplane-Landing-Airport.html",
            "caption": "An airplane is landing.",
            "id": "2219",
            "duration": 14.1424375,
        }
    ],
}
BLACKLIST = {"AudioSet": ["Y-0Gj8-vB1q4.wav"], "FreeSound": ["2221", "9"]}
FILES = [
    "AudioSet_SL/Yb0RFKhbpFJA.flac",
    "AudioSet_SL/Y-0Gj8-vB1q4.flac",
    "FreeSound/2219.flac",
    "FreeSound/2220.wav",
    "FreeSound/2221.flac",
    "SoundBible/2219.flac",
]


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


@pytest.fixture
def settings(tmp_path):
    for name in FILES:
        path = tmp_path / "audio" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.sin(np.arange(3200.0)) / 2, 32000)
    jsons = [
        write_json(tmp_path / "json_files" / name, {"num_captions_per_audio": 1, "data": data})
        for name, data in DATA.items()
    ]
    return {
        "audio": str(tmp_path / "audio"),
        "captions": {"development": jsons},
        "blacklists": [write_json(tmp_path / "json_files/blacklist/b.json", BLACKLIST)],
    }


def annotations_of(settings):
    return list(read_annotations(settings, "development", {}))


def test_entries_of_each_collection(settings):
    assert annotations_of(settings) == [
        Annotation(
            "AudioSet_SL/Yb0RFKhbpFJA.flac", ("Wind blows.",), sound_id="youtube:b0RFKhbpFJA"
        ),
        Annotation(
            "FreeSound/2219.flac",
            ("Rain is falling.",),
            "rain;field-recording",
            "freesound:2219",
            "Jürgen",
        ),
        Annotation("FreeSound/2220.wav", ("A door closes.",), sound_id="freesound:2220"),
        Annotation(
            "SoundBible/2219.flac",
            ("An airplane is landing.",),
            sound_id="soundbible:2219",
            author="Daniel Simion",
        ),
    ]


def test_names_with_folders_go_through_tables_and_checks(settings, tmp_path):
    write_clips(tmp_path / "c.parquet", tabulate_clips(settings, "development", {}))
    write_annotations(tmp_path / "a.parquet", read_annotations(settings, "development", {}))
    clips, annotations = read_clips(tmp_path / "c.parquet"), read_table(tmp_path / "a.parquet")
    assert [clip.file_name for clip in clips] == sorted(a.file_name for a in annotations)
    assert [clip.path for clip in clips] == [
        str(tmp_path / "audio" / clip.file_name) for clip in clips
    ]
    tables = SplitTables.read(tmp_path / "c.parquet", tmp_path / "a.parquet")
    expected = Expectations(n_captions=1, sample_rate_hz=32000)
    report = check_split("development", tables, {}, expected)
    assert {check["level"] for check in report["checks"]} == {"ok"}


def test_no_blacklist_keeps_all(settings):
    settings["blacklists"] = []
    assert [a.file_name for a in annotations_of(settings)] == FILES
    assert [c.file_name for c in tabulate_clips(settings, "development", {})] == sorted(FILES)


def test_several_blacklists_add_up(settings, tmp_path):
    settings["blacklists"].append(write_json(tmp_path / "2.json", {"FreeSound": [2219]}))
    assert [a.file_name for a in annotations_of(settings)] == [FILES[0], FILES[3], FILES[5]]


def test_blacklisted_clips_are_counted(settings, caplog):
    with caplog.at_level(logging.INFO):
        annotations_of(settings)
    assert "fsd_final.json: 1 of 3 clips are blacklisted" in caplog.text
    assert "sb_final.json: 0 of 1 clips are blacklisted" in caplog.text


def test_missing_clips_are_counted_and_named(settings, tmp_path, caplog):
    (tmp_path / "audio/FreeSound/2219.flac").unlink()
    assert "FreeSound/2219.flac" not in [a.file_name for a in annotations_of(settings)]
    assert "1 of 2 clips have no audio and are left out: 2219" in caplog.text
    (tmp_path / "audio/FreeSound/2220.wav").unlink()
    with pytest.raises(
        InputError, match=r"FreeSound holds the audio of none of 2 clips; expected f"
    ):
        annotations_of(settings)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"AudioSet": []}, []),
        ({}, ["found []", "a blacklist of WavCaps"]),
        ([1], ["found list"]),
        ({"FreeSound": "1"}, ["found ['FreeSound']"]),
        ({"FreeSounds": ["1"]}, ["found ['FreeSounds']", "under AudioSet and FreeSound"]),
        ({"data": []}, ["found ['data']"]),
    ],
)
def test_blacklists_of_another_form_are_refused(tmp_path, content, told):
    path = write_json(tmp_path / "b.json", content)
    if not told:
        assert read_blacklist(path) == {"AudioSet_SL": set()}
        return
    with pytest.raises(InputError) as error:
        read_blacklist(path)
    for part in [path, *told]:
        assert part in str(error.value)


def test_an_absent_blacklist_is_an_error(settings, tmp_path):
    settings["blacklists"] = [str(tmp_path / "absent.json")]
    with pytest.raises(
        InputError, match=r"absent\.json is missing; expected a blacklist of WavCaps"
    ):
        annotations_of(settings)
    (tmp_path / "absent.json").write_text('{"FreeSound": [')
    with pytest.raises(InputError, match="cannot be read as JSON"):
        annotations_of(settings)


def test_a_json_in_no_collections_folder_is_refused(settings, tmp_path):
    content = {"num_captions_per_audio": 1, "data": DATA["FreeSound/fsd_final.json"]}
    settings["captions"]["development"] = [write_json(tmp_path / "json/fsd_final.json", content)]
    with pytest.raises(
        InputError, match=r"is in a folder 'json'; expected the folder of a collect"
    ):
        annotations_of(settings)


def test_other_splits_have_no_clips(settings):
    with pytest.raises(InputError, match=r"no `captions` for evaluation"):
        list(tabulate_clips(settings, "evaluation", {}))


GOOD = {"id": "1", "caption": "Rain."}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([GOOD], ["found no mapping"]),
        ({"files": []}, ["found the keys ['files']", "is it another corpus's file?"]),
        ({"data": []}, ["found the keys ['data']"]),
        (BLACKLIST, ["found the keys ['AudioSet', 'FreeSound']"]),
        ({"data": [GOOD, {"id": "2"}]}, ["clip 2 of the list: found \"{'id': '2'}\""]),
        ({"data": [GOOD, {"caption": "Rain."}]}, ["clip 2 of the list"]),
        ({"data": [GOOD, {"id": "2", "caption": None}]}, ["clip 2 of the list"]),
        ({"data": [GOOD, {"id": "2", "caption": " "}]}, ["the caption of '2' is empty"]),
        ({"data": [GOOD, GOOD]}, ["'1' stands there twice"]),
        ({"data": [{"id": "../1", "caption": "Rain."}]}, ["clip 1 of the list has the id '../1'"]),
        ({"data": [{"id": "", "caption": "Rain."}]}, ["clip 1 of the list has the id ''"]),
    ],
)
def test_faults_are_named(tmp_path, content, told):
    path = write_json(tmp_path / "fsd_final.json", content)
    with pytest.raises(InputError) as error:
        read_wavcaps_json(path)
    for part in [path, *told]:
        assert part in str(error.value)


def test_wrong_encoding_cut_and_missing_files(tmp_path):
    path = tmp_path / "fsd_final.json"
    path.write_bytes('{"data": [{"id": "1", "caption": "café"}]}'.encode("iso-8859-1"))
    with pytest.raises(InputError, match="line 1: byte 0xe9 is not UTF-8; expected JSON in UTF-8"):
        read_wavcaps_json(path)
    path.write_text('{"data": [{"id": "1", "caption": "Rain."}')
    with pytest.raises(InputError, match="cannot be read as JSON"):
        read_wavcaps_json(path)
    with pytest.raises(InputError, match="is missing; expected JSON"):
        read_wavcaps_json(tmp_path / "absent.json")
