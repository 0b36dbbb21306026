import json

import numpy as np
import pytest
import soundfile

from captioner.corpus.checks import (
    Expectations,
    check_split,
    expectations_of,
    raise_on_errors,
)
from captioner.corpus.clips import tabulate_folders
from captioner.corpus.clotho import read_annotations
from captioner.corpus.tables import Annotation
from captioner.errors import InputError
from captioner.settings import read_yaml

LENGTHS = Expectations(n_captions=2, caption_words=(2, 3))


def levels(report):
    return {check["name"]: check["level"] for check in report["checks"]}


def offenders(report, name):
    (check,) = [check for check in report["checks"] if check["name"] == name]
    return check["level"], check["offenders"]


@pytest.fixture(scope="module")
def official(shared_data):
    return {
        split: read_annotations(
            {"n_captions": 5}, split, {"captions": shared_data / f"clotho_captions_{split}.csv"}
        )
        for split in ("development", "validation", "evaluation")
    }


@pytest.mark.parametrize("split", ["development", "validation", "evaluation"])
def test_official_captions_pass(official, repository, split):
    settings = read_yaml(repository / "config/corpora/clotho-v2.1.yaml")
    others = {name: held for name, held in official.items() if name != split}
    expected = expectations_of(settings, split, captioned=True)
    assert expected.n_clips == len(official[split])
    report = check_split(split, [], official[split], others, expected)
    found = levels(report)
    audio = {"clips", "wav of each row"}  # no wav was given
    assert {name for name, level in found.items() if level == "error"} == audio
    assert found["captions per clip"] == found["empty captions"] == found["names"] == "ok"
    assert found["caption lengths"] == "ok"  # 8 to 20 words
    assert split == "development" or found["words"] == "ok"
    lengths = {int(length): n for length, n in report["caption_lengths"].items()}
    assert sum(lengths.values()) == 5 * len(official[split])
    assert (min(lengths), max(lengths)) == (8, 20)


def test_official_clips_with_their_captions_pass(official, repository, shared_data):
    settings = read_yaml(repository / "config/corpora/clotho-v2.1.yaml")
    clips = list(tabulate_folders([shared_data / "clips"]))
    names = {clip.file_name for clip in clips}
    rows = [row for row in official["evaluation"] if row.file_name in names]
    report = check_split(
        "evaluation",
        clips,
        rows,
        {"development": official["development"]},
        expectations_of(
            {**settings, "expected": {**settings["expected"], "n_clips": {"evaluation": 7}}},
            "evaluation",
            captioned=True,
        ),
    )
    assert set(levels(report).values()) == {"ok"}
    assert sum(report["durations_s"].values()) == 7
    assert report["licences"] == {"unknown": 7}
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_findings_of_captions():
    annotations = [
        Annotation("a.wav", ("A dog!", "One two, three.")),
        Annotation("b.wav", ("A zebra", "...")),
        Annotation("c.wav", ("a b c d", "x y", "dog three")),
    ]
    development = [Annotation("d.wav", ("a b c d x y", "dog one two three"))]
    report = check_split("evaluation", [], annotations, {"development": development}, LENGTHS)
    assert offenders(report, "captions per clip") == ("error", ["c.wav: 3"])
    assert offenders(report, "empty captions") == ("error", ["b.wav, caption 2: '...'"])
    assert offenders(report, "caption lengths") == (
        "warning",
        ["b.wav: 0 words: ...", "c.wav: 4 words: a b c d"],
    )
    assert offenders(report, "words") == ("warning", ["zebra"])
    assert report["caption_lengths"] == {"0": 1, "2": 4, "3": 1, "4": 1}


def test_names_are_compared_both_ways(tmp_path):
    for name in ("a.b.wav", "a.c.wav"):
        soundfile.write(tmp_path / name, np.random.default_rng(0).uniform(-1, 1, 800) / 2, 8000)
    clips = list(tabulate_folders([tmp_path]))
    annotations = [Annotation(name, ("x",)) for name in ("a.b.wav", "a.d.wav", "a.d.wav")]
    report = check_split("development", clips, annotations, {}, Expectations(n_clips=3))
    assert offenders(report, "clips") == ("error", ["development: 2 wavs, 3 rows"])
    assert offenders(report, "names") == ("error", ["a.d.wav: 2 rows"])
    assert offenders(report, "wav of each row") == ("error", ["a.d.wav", "a.d.wav"])
    assert offenders(report, "row of each wav") == ("error", ["a.c.wav"])
    with pytest.raises(InputError) as error:
        raise_on_errors(report)
    for told in ("expected 3 clips; found 2 wavs, 3 rows", "a.d.wav: 2 rows", "    a.c.wav"):
        assert told in str(error.value)


def test_overlap_is_judged_by_sound_id_not_by_name():
    annotations = [
        Annotation("same name.wav", ("x",), sound_id="1", licence="by"),
        Annotation("b.wav", ("x",), sound_id="2", licence="by"),
        Annotation("c.wav", ("x",), licence="zero"),
        Annotation("d.wav", ("x",)),
    ]
    development = [
        Annotation("same name.wav", ("x",), sound_id="3"),
        Annotation("other.wav", ("x",), sound_id="2"),
        Annotation("unknown.wav", ("x",)),
    ]
    report = check_split(
        "validation", [], annotations, {"development": development}, Expectations()
    )
    assert offenders(report, "overlap") == (
        "warning",
        ["b.wav: sound 2 is in development too"],
    )
    assert offenders(report, "metadata") == ("warning", ["d.wav"])
    assert report["licences"] == {"by": 2, "zero": 1, "unknown": 1}


def test_only_ten_offenders_are_kept_and_all_are_counted():
    annotations = [Annotation(f"{number}.wav", ("x",)) for number in range(25)]
    report = check_split("development", [], annotations, {}, Expectations())
    (check,) = [check for check in report["checks"] if check["name"] == "wav of each row"]
    assert (len(check["offenders"]), check["found"]) == (10, "25 otherwise")


def test_expectations_of_a_yaml():
    settings = {"n_captions": 5, "expected": {"bits": 16, "n_clips": {"test": 7}}}
    assert expectations_of(settings, "test", captioned=False) == Expectations(
        n_clips=7, n_captions=0, bits=16
    )
    assert expectations_of({"expected": {}}, "test", captioned=True) == Expectations()
