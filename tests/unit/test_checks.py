import json
import runpy
import time
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from captioner.corpus import caption_checks
from captioner.corpus.caption_checks import check_captions
from captioner.corpus.checks import SplitTables, check_split, raise_on_errors
from captioner.corpus.clips import tabulate_folders
from captioner.corpus.expectations import Expectations, expectations_of
from captioner.corpus.readers.clotho import read_annotations
from captioner.corpus.tables import Annotation, Clip, write_annotations, write_clips
from captioner.errors import InputError
from captioner.settings import read_yaml

LENGTHS = Expectations(n_captions=2, caption_words=(2, 3))
NOTHING = Expectations()


def clip(name="a.wav", **measured):
    measured = {"size": 1000, "duration_s": 20.0, "sample_rate_hz": 44100, **measured}
    return Clip(name, f"audio/{name}", n_channels=1, **measured)


def levels(report):
    return {check["name"]: check["level"] for check in report["checks"]}


def offenders(report, name):
    (check,) = [check for check in report["checks"] if check["name"] == name]
    return check["level"], check["offenders"]


@pytest.fixture(scope="module")
def official(shared_data):
    return {
        split: SplitTables(
            annotations=read_annotations(
                {"n_captions": 5}, split, {"captions": shared_data / f"clotho_captions_{split}.csv"}
            )
        )
        for split in ("development", "validation", "evaluation")
    }


@pytest.mark.parametrize("split", ["development", "validation", "evaluation"])
def test_official_captions_pass(official, repository, split):
    settings = read_yaml(repository / "config/corpora/clotho-v2.1.yaml")
    expected = expectations_of(settings, split, captioned=True)
    annotations = official[split].annotations
    assert expected.n_clips == len(annotations)
    # A sound clip for each row, with samples of its own: the archives are 9 GB.
    clips = [clip(a.file_name, digest=f"{split} {n}", bits=16) for n, a in enumerate(annotations)]
    others = {name: held for name, held in official.items() if name != split}
    report = check_split(split, SplitTables(clips, annotations), others, expected)
    assert set(levels(report).values()) == {"ok"}
    assert {"names", "punctuation", "caption lengths", "clips"} <= set(levels(report))
    assert split == "development" or "words" in levels(report)
    raise_on_errors(report)
    lengths = {int(length): n for length, n in report["caption_lengths"].items()}
    assert sum(lengths.values()) == 5 * len(annotations)
    assert (min(lengths), max(lengths)) == (8, 20)


def test_four_names_stand_in_two_official_splits_and_are_no_finding(official):
    names = {split: {a.file_name for a in tables.annotations} for split, tables in official.items()}
    shared = {
        name
        for one in names
        for other in names
        if one < other
        for name in names[one] & names[other]
    }
    assert len(shared) == 4
    rows = [a for a in official["evaluation"].annotations if a.file_name in shared]
    tables = SplitTables([clip(a.file_name, digest=a.file_name) for a in rows], rows)
    others = {
        "development": SplitTables(
            [clip(name, digest=f"other {name}") for name in shared],
            official["development"].annotations,
        )
    }
    assert set(levels(check_split("evaluation", tables, others, NOTHING)).values()) == {"ok"}


def test_official_clips_with_their_captions_pass(official, repository, shared_data):
    settings = read_yaml(repository / "config/corpora/clotho-v2.1.yaml")
    clips = list(tabulate_folders([shared_data / "clips"]))
    names = {clip.file_name for clip in clips}
    rows = [row for row in official["evaluation"].annotations if row.file_name in names]
    report = check_split(
        "evaluation",
        SplitTables(clips, rows),
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
    report = check_split(
        "evaluation",
        SplitTables(annotations=annotations),
        {"development": SplitTables(annotations=development)},
        LENGTHS,
    )
    assert offenders(report, "captions per clip") == ("error", ["c.wav: 3"])
    assert offenders(report, "empty captions") == ("error", ["b.wav, caption 2: '...'"])
    assert offenders(report, "caption lengths") == (
        "warning",
        ["b.wav: 0 words: ...", "c.wav: 4 words: a b c d"],
    )
    assert offenders(report, "words") == ("warning", ["zebra"])
    assert offenders(report, "punctuation") == ("ok", [])
    assert report["caption_lengths"] == {"0": 1, "2": 4, "3": 1, "4": 1}


def test_without_a_declared_number_a_clip_has_one_caption_at_least():
    annotations = [
        Annotation("a.wav", ("x",)),
        Annotation("b.wav", ()),
        Annotation("c", ("x", "y")),
    ]
    report = check_split("development", SplitTables(annotations=annotations), {}, NOTHING)
    assert offenders(report, "captions per clip") == ("error", ["b.wav: 0"])


@pytest.mark.parametrize(
    ("caption", "left"),
    [
        ("A walkie-talkie, “on” 5 o'clock… ¿qué?", []),
        ("naïve nai\u0308ve कुत्ता भौंकता है", []),  # marks of other scripts are no punctuation
        ("rain\u200bfall", ["rain\u200bfall"]),  # an invisible character
        ("rain → wind", ["→"]),
        ("20° outside", ["20°"]),
    ],
)
def test_punctuation_is_judged_independently_of_the_text_rules(caption, left):
    annotations = [Annotation("a.wav", (caption,))]
    checks, _ = check_captions(annotations, None, NOTHING)
    (check,) = [check for check in checks if check["name"] == "punctuation"]
    assert check["offenders"] == [f"a.wav, caption 1: {word!r}" for word in left]


def test_punctuation_that_the_text_rules_leave_is_found(monkeypatch):
    monkeypatch.setattr(caption_checks, "tokenize", lambda caption, rule: caption.split())
    annotations = [Annotation("a.wav", ("rain, walkie-talkie ok",))]
    checks, _ = check_captions(annotations, None, NOTHING)
    (check,) = [check for check in checks if check["name"] == "punctuation"]
    assert (check["level"], len(check["offenders"])) == ("warning", 2)


def test_names_are_compared_both_ways():
    clips = [clip("a.b.wav"), clip("a.c.wav")]
    annotations = [Annotation(name, ("x",)) for name in ("a.b.wav", "a.d.wav", "a.d.wav")]
    report = check_split(
        "development", SplitTables(clips, annotations), {}, Expectations(n_clips=3)
    )
    assert offenders(report, "clips") == ("error", ["development: 2 wavs, 3 rows"])
    assert offenders(report, "names") == ("error", ["a.d.wav: 2 rows"])
    assert offenders(report, "wav of each row") == ("error", ["a.d.wav", "a.d.wav"])
    assert offenders(report, "row of each wav") == ("error", ["a.c.wav"])
    with pytest.raises(InputError) as error:
        raise_on_errors(report)
    for told in ("expected 3 clips; found 2 wavs, 3 rows", "a.d.wav: 2 rows", "    a.c.wav"):
        assert told in str(error.value)


def test_damaged_clips_are_a_warning_and_count_as_published():
    tables = SplitTables(
        [clip("a.wav")],
        [Annotation("a.wav", ("x",)), Annotation("b.wav", ("x",))],
        {"b.wav": "audio/b.wav: found a file that cannot be read"},
    )
    report = check_split("development", tables, {}, Expectations(n_clips=2))
    found = {name: level for name, level in levels(report).items() if level != "ok"}
    assert found == {"damaged clips": "warning"}
    assert offenders(report, "damaged clips")[1] == [
        "audio/b.wav: found a file that cannot be read"
    ]
    (check,) = [check for check in report["checks"] if check["name"] == "damaged clips"]
    assert check["found"] == "1 left out"


def test_clips_held_out_of_development_count_with_it():
    settings = {
        "expected": {"n_clips": {"development": 3, "evaluation": 1}},
        "hold_out": {"shares": {"validation": 0.3}, "seed": 0},
    }
    held = {
        split: SplitTables([clip(n) for n in names], [Annotation(n, ("x",)) for n in names])
        for split, names in {
            "development": ["a.wav", "b.wav"],
            "validation": ["c.wav"],
            "evaluation": ["d.wav"],
        }.items()
    }
    for split in held:
        others = {name: tables for name, tables in held.items() if name != split}
        expected = expectations_of(settings, split, captioned=True)
        report = check_split(split, held[split], others, expected)
        assert offenders(report, "clips") == ("ok", [])
    held["validation"] = SplitTables()
    expected = expectations_of(settings, "development", captioned=True)
    (check, *_) = check_split("development", held.pop("development"), held, expected)["checks"]
    assert (check["level"], check["expected"], check["found"]) == (
        "error",
        "3 clips with validation",
        "2 wavs, 2 rows",
    )


def test_samples_are_judged_by_what_the_table_measures():
    clips = [
        clip("fine.wav", peak=0.5, full_scale=0.0005),
        clip("soft.wav", peak=0.0002),
        clip("silent.wav", peak=0.00005),
        clip("nothing.wav", peak=0.0, constant=True),
        clip("constant.wav", peak=0.5, constant=True),
        clip("clipped.wav", full_scale=0.01),
    ]
    report = check_split("development", SplitTables(clips), {}, NOTHING)
    assert offenders(report, "sound") == (
        "warning",
        ["silent.wav: silent", "nothing.wav: silent", "constant.wav: constant",
         "clipped.wav: clipped"],
    )  # fmt: skip


def test_overlap_is_judged_by_sound_id_and_samples_not_by_name():
    annotations = [
        Annotation("same name.wav", ("x",), sound_id="freesound:1", licence="by"),
        Annotation("b.wav", ("x",), sound_id="freesound:2", licence="by"),
        Annotation("c.wav", ("x",), licence="zero"),
        Annotation("d.wav", ("x",)),
    ]
    development = [
        Annotation("same name.wav", ("x",), sound_id="freesound:3"),
        Annotation("other.wav", ("x",), sound_id="freesound:2"),
        Annotation("youtube.wav", ("x",), sound_id="youtube:1"),
        Annotation("unknown.wav", ("x",)),
    ]
    clips = [clip("same name.wav", digest="1"), clip("c.wav", digest="3"), clip("d.wav")]
    there = [clip("same name.wav", digest="2"), clip("cc.wav", digest="3"), clip("unknown.wav")]
    report = check_split(
        "validation",
        SplitTables(clips, annotations),
        {"development": SplitTables(there, development)},
        NOTHING,
    )
    assert offenders(report, "overlap by sound id") == (
        "warning",
        ["b.wav: freesound:2 is other.wav of development too"],
    )
    assert offenders(report, "overlap by samples") == (
        "warning",
        ["c.wav: the same samples as cc.wav of development"],
    )
    assert offenders(report, "metadata") == ("warning", ["d.wav"])
    assert report["licences"] == {"by": 2, "zero": 1, "unknown": 1}


def test_only_ten_offenders_are_kept_and_all_are_counted():
    annotations = [Annotation(f"{number}.wav", ("x",)) for number in range(25)]
    report = check_split("development", SplitTables(annotations=annotations), {}, NOTHING)
    (check,) = [check for check in report["checks"] if check["name"] == "wav of each row"]
    assert (len(check["offenders"]), check["found"]) == (10, "25 otherwise")


def test_expectations_of_a_yaml():
    settings = {"n_captions": 5, "expected": {"bits": 16, "n_clips": {"test": 7}}}
    assert expectations_of(settings, "test", captioned=False) == Expectations(
        n_clips=7, n_captions=0, bits=16
    )
    assert expectations_of({"expected": {}}, "test", captioned=True) == Expectations()
    held_out = {
        "kind": "folder",
        "expected": {"n_clips": {"development": 9, "test": 7}},
        "hold_out": {"shares": {"validation": 0.1, "evaluation": 0.1}, "seed": 0},
    }
    assert expectations_of(held_out, "validation", captioned=True) == Expectations(
        n_clips=9, counted_with=("development", "evaluation"), all_listed=True
    )
    assert expectations_of({**held_out, "hold_out": None}, "validation", True).n_clips is None


def test_checks_open_no_audio_and_take_seconds_for_7000_clips():
    rng = np.random.default_rng(0)
    words = [f"w{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(600)]

    def tables(n_clips, split):
        names = [f"{split} {n}.wav" for n in range(n_clips)]
        captions = rng.choice(words, (n_clips, 5, 12))
        return SplitTables(
            [clip(name, digest=name) for name in names],
            [
                Annotation(name, tuple(" ".join(c) for c in held), sound_id=f"freesound:{name}")
                for name, held in zip(names, captions, strict=True)
            ],
        )

    evaluation, development = tables(1000, "evaluation"), tables(6000, "development")
    start = time.process_time()
    report = check_split("evaluation", evaluation, {"development": development}, LENGTHS)
    check_split("development", development, {"evaluation": evaluation}, LENGTHS)
    assert time.process_time() - start < 15  # about 1 s
    assert offenders(report, "words") == ("ok", [])


def test_a_clip_of_the_disk_has_the_measures_of_its_samples(tmp_path):
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "a.wav", rng.uniform(-0.5, 0.5, 400_000), 8000, subtype="PCM_16")
    (found,) = tabulate_folders([tmp_path])
    assert (found.bits, found.constant, found.full_scale) == (16, False, 0)
    assert found.peak == pytest.approx(0.5, abs=1e-3)
    report = check_split(
        "development",
        SplitTables([found], [Annotation("a.wav", ("a dog", "dogs bark"))]),
        {},
        LENGTHS,
    )
    assert set(levels(report).values()) == {"ok"}


def test_the_rules_script(tmp_path, repository):
    broken = Clip("broken.wav", "x", 9, 0.0, 0, 0, fault="broken.wav: found a file cut short")
    write_clips(tmp_path / "c", [clip("a.wav", digest="1"), broken])
    write_annotations(tmp_path / "a", [Annotation(n, ("x",)) for n in ("a.wav", "broken.wav")])
    write_clips(tmp_path / "other c", [clip("b.wav", digest="1")])
    write_annotations(tmp_path / "other a", [Annotation("b.wav", ("x",))])
    script = runpy.run_path(str(repository / "workflow/scripts/check_split.py"))
    script["main"].__globals__["start_logging"] = lambda path: None
    settings = {"expected": {"n_clips": {"evaluation": 2}}, "n_captions": 1}
    job = SimpleNamespace(
        log=[str(tmp_path / "log")],
        wildcards=SimpleNamespace(corpus="x", split="evaluation"),
        params=SimpleNamespace(settings=settings, others=["development"]),
        input=SimpleNamespace(
            clips=tmp_path / "c",
            annotations=tmp_path / "a",
            other_clips=[tmp_path / "other c"],
            other_annotations=[tmp_path / "other a"],
        ),
        output=SimpleNamespace(checks=tmp_path / "checks.json"),
    )
    script["main"](job)
    found = levels(json.loads((tmp_path / "checks.json").read_text()))
    assert {name for name, level in found.items() if level != "ok"} == {
        "damaged clips",
        "overlap by samples",
    }
    job.params.settings = {**settings, "n_captions": 2}
    job.output.checks = tmp_path / "second.json"
    with pytest.raises(InputError, match="captions per clip: expected 2; found 2 otherwise"):
        script["main"](job)
    assert not (tmp_path / "second.json").exists()
