import json
import runpy
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from captioner.corpus.clips import tabulate_folders
from captioner.corpus.leakage import check_leakage, find_leaks
from captioner.corpus.tables import Annotation, Clip, write_annotations, write_clips

RATE = 8000


def clip(name, digest=""):
    return Clip(name, f"audio/{name}", 1000, 20.0, 44100, 1, digest)


def note(name, sound_id=""):
    return Annotation(name, ("x",), sound_id=sound_id)


HELD_OUT = [
    (
        "clotho, evaluation",
        [note("a.wav", "freesound:1"), note("b.wav"), note("same name.wav", "freesound:2")],
        [clip("a.wav", "aa"), clip("b.wav", "bb"), clip("same name.wav", "cc")],
    ),
    ("audiocaps, test", [note("y.wav", "youtube:1")], [clip("y.wav", "yy")]),
]


@pytest.mark.parametrize(
    ("sound_id", "digest", "reason"),
    [
        ("freesound:1", "zz", "freesound:1 is a.wav of clotho, evaluation too"),
        ("youtube:1", "zz", "youtube:1 is y.wav of audiocaps, test too"),
        ("", "bb", "the same samples as b.wav of clotho, evaluation"),
        ("freesound:3", "yy", "the same samples as y.wav of audiocaps, test"),
        ("freesound:1", "aa", "freesound:1 is a.wav of clotho, evaluation too"),
        ("youtube:2", "zz", None),
        ("soundbible:1", "", None),  # the number of another collection
        ("", "", None),  # nothing is known: b.wav has no id either
    ],
)
def test_a_clip_leaks_by_id_or_by_samples(sound_id, digest, reason):
    found = find_leaks([note("x.wav", sound_id)], [clip("x.wav", digest)], HELD_OUT)
    assert found == ({"x.wav": reason} if reason else {})


def test_an_equal_name_is_no_leak():
    annotations, clips = [note("same name.wav", "freesound:9")], [clip("same name.wav", "dd")]
    assert find_leaks(annotations, clips, HELD_OUT) == {}


def test_clips_without_a_row_and_rows_without_a_clip():
    clips = [clip("no row.wav", "bb"), clip("fine.wav", "ee")]
    annotations = [note("no clip.wav", "freesound:1"), note("fine.wav")]
    assert list(find_leaks(annotations, clips, HELD_OUT)) == ["no row.wav"]


def tabulated(folder, sounds):
    folder.mkdir()
    for name, (samples, subtype) in sounds.items():
        soundfile.write(folder / name, samples, RATE, subtype=subtype)
    return list(tabulate_folders([folder]))


def test_copies_in_other_formats_leak_and_silence_does_not(tmp_path):
    rng = np.random.default_rng(0)
    noise = np.round(rng.uniform(-0.5, 0.5, 60_000) * 2**15) / 2**15
    other = noise.copy()
    other[30] += 0.01
    silence, offset = np.zeros(60_000), np.full(60_000, 0.25)
    held = tabulated(
        tmp_path / "held",
        {
            "noise.wav": (noise, "PCM_16"),
            "silence.wav": (silence, "PCM_16"),
            "offset.wav": (offset, "PCM_16"),
        },
    )
    clips = tabulated(
        tmp_path / "source",
        {
            "24.wav": (noise, "PCM_24"),
            "copy.flac": (noise, "PCM_16"),
            "float.wav": (noise, "FLOAT"),
            "other.wav": (other, "PCM_16"),
            "shorter.wav": (noise[:-1], "PCM_16"),
            "silence.wav": (silence, "PCM_16"),
            "offset.wav": (offset, "FLOAT"),
        },
    )
    soundfile.write(tmp_path / "source/slower.wav", noise, RATE // 2, subtype="PCM_16")
    clips += [c for c in tabulate_folders([tmp_path / "source"]) if c.file_name == "slower.wav"]
    found = find_leaks([], clips, [("held", [], held)])
    reason = "the same samples as noise.wav of held"
    assert found == dict.fromkeys(["24.wav", "copy.flac", "float.wav"], reason)


def test_the_rules_script(tmp_path, repository, caplog):
    held = []
    for label, annotations, clips in HELD_OUT:
        write_annotations(tmp_path / f"a {label}", annotations)
        write_clips(tmp_path / f"c {label}", clips)
        held.append((tmp_path / f"a {label}", tmp_path / f"c {label}"))
    broken = Clip("broken.wav", "x", 9, 0.0, 0, 0, fault="cut short")
    write_annotations(tmp_path / "a", [note("x.wav", "youtube:1"), note("fine.wav")])
    write_clips(tmp_path / "c", [clip("x.wav"), clip("fine.wav"), broken])
    files = [("evaluation", *held[0]), ("test", *held[1])]
    assert check_leakage(tmp_path / "a", tmp_path / "c", files)["n_clips"] == 2
    script = runpy.run_path(str(repository / "workflow/scripts/check_leakage.py"))
    job = SimpleNamespace(
        log=[str(tmp_path / "log")],
        wildcards=SimpleNamespace(corpus="clotho", source="audiocaps", split="development"),
        params=SimpleNamespace(held_out=["evaluation", "test"]),
        input=SimpleNamespace(
            clips=tmp_path / "c",
            annotations=tmp_path / "a",
            held_out_clips=[clips for _, clips in held],
            held_out_annotations=[annotations for annotations, _ in held],
        ),
        output=SimpleNamespace(leakage=tmp_path / "leaks.json"),
    )
    script["main"].__globals__["start_logging"] = lambda path: None
    with caplog.at_level("INFO"):
        script["main"](job)
    assert json.loads((tmp_path / "leaks.json").read_text()) == {
        "n_clips": 2,
        "excluded": {"x.wav": "youtube:1 is y.wav of clotho, test too"},
        "held_out": ["clotho, evaluation", "clotho, test"],
    }
    assert "1 of 2 clips" in caplog.text
