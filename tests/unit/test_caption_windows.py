"""Windows of long sounds, subtitles, arrays, folders, n-best and ensembles: API and command."""

import csv
import html
import io
import json
import os
import re
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import soundfile

import captioner
from captioner.audio.reading import read_parts
from captioner.cli import main
from captioner.decoding.caption import DEFAULTS, CaptionedWindow, ScoredCaption, decoding_options
from captioner.decoding.subtitles import cues, subtitles
from captioner.decoding.windows import Windows
from captioner.errors import InputError
from captioner.models.checkpoint import save_model
from captioner.settings import read_yaml
from small_models import FRONTEND, small_model

RATE = 44100


@pytest.fixture(scope="module")
def models(tmp_path_factory, repository):
    """Two systems that share a vocabulary."""
    settings = read_yaml(repository / "config" / "frontends" / f"{FRONTEND}.yaml")
    folders = []
    for number, family in enumerate(("conv_transformer", "dcase_baseline")):
        loaded = small_model(family, settings["n_mels"], settings, seed=number)
        folders.append(tmp_path_factory.mktemp(family) / "model")
        save_model(folders[-1], loaded.model, loaded.vocabulary, loaded.description)
    return folders


@pytest.fixture(scope="module")
def long_samples():
    """7.3 s of stereo noise that changes from second to second."""
    random = np.random.default_rng(3)
    samples = random.normal(size=(int(7.3 * RATE), 2))
    levels = 10.0 ** -random.uniform(0.7, 4, 8)
    return (samples * np.repeat(levels, RATE)[: len(samples), None]).clip(-1, 1)


@pytest.fixture(scope="module")
def long_sound(long_samples, tmp_path_factory):
    path = tmp_path_factory.mktemp("sounds") / "walk.wav"
    soundfile.write(path, long_samples, RATE, subtype="PCM_16")
    return str(path)


@pytest.mark.parametrize(
    ("n", "window", "hop", "expected"),
    [
        (73, 2, 1, [(10 * k, 10 * k + 20) for k in range(6)] + [(53, 73)]),
        (60, 2, 2, [(0, 20), (20, 40), (40, 60)]),
        (61, 2, 2, [(0, 20), (20, 40), (40, 60), (41, 61)]),
        (20, 2, 1, [(0, 20)]),
        (21, 2, 2, [(0, 20), (1, 21)]),
        (7, 2, 1, [(0, 7)]),
        (1, 0.01, 0.01, [(0, 1)]),
    ],
)
def test_windows_cover_the_sound(n, window, hop, expected):
    assert list(Windows(window, hop).cut(n, 10)) == expected


@pytest.mark.parametrize(
    ("window", "hop"), [(0, 0), (2, 0), (2, 3), (2, -1), (np.inf, 1), (None, 1)]
)
def test_windows_that_leave_gaps(window, hop):
    with pytest.raises(InputError, match="windows: found"):
        Windows.of(window, hop)


@pytest.mark.parametrize(
    "form", [("wav", "PCM_16"), ("wav", "FLOAT"), ("flac", "PCM_24"), ("ogg", "VORBIS")]
)
def test_parts_are_the_samples_of_the_whole_file(form, long_samples, tmp_path):
    file = tmp_path / f"sound.{form[0]}"
    soundfile.write(file, long_samples, RATE, subtype=form[1])
    whole = soundfile.read(file, dtype="float32")[0].mean(axis=1)
    parts = list(read_parts(file, Windows(2, 0.7).cut))
    assert len(parts) == 9
    for part in parts:
        expected = whole[part.start : part.start + len(part.waveform)]
        np.testing.assert_allclose(part.waveform, expected, atol=1e-7)
    assert parts[-1].start + len(parts[-1].waveform) == len(whole) == parts[0].n_samples


def test_memory_holds_one_window(tmp_path):
    file = tmp_path / "long.wav"
    soundfile.write(file, np.zeros(600 * 8000, np.int16), 8000)
    tracemalloc.start()
    try:
        n = sum(1 for _ in read_parts(file, Windows(2, 1).cut))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n == 599
    assert peak < 600 * 8000  # a quarter of the waveform in float32


def test_a_window_is_captioned_as_if_it_were_a_file(models, long_samples, long_sound, tmp_path):
    system = captioner.load(models[1])
    (found,) = system.caption(long_sound, window=2, hop=1, n_best=2)
    assert [(w.start_s, round(w.end_s, 6)) for w in found.windows] == [
        *((k, k + 2) for k in range(6)),
        (5.3, 7.3),
    ]
    cut = []
    for number, window in enumerate(found.windows):
        cut.append(tmp_path / f"{number}.wav")
        samples = slice(round(window.start_s * RATE), round(window.end_s * RATE))
        soundfile.write(cut[-1], long_samples[samples], RATE, subtype="PCM_16")
    alone = system.caption(cut, n_best=2)
    assert [each.caption for each in alone] == [window.caption for window in found.windows]
    assert len({each.caption for each in alone}) > 1
    for each, window in zip(alone, found.windows, strict=True):
        scores = [scored.score for scored in window.n_best]
        assert scores == sorted(scores, reverse=True)
        assert [s.score for s in each.windows[0].n_best] == pytest.approx(scores, abs=1e-4)
    with pytest.raises(InputError, match="found 7 windows"):
        _ = found.caption


def test_arrays_are_files(models, long_samples, long_sound):
    system = captioner.load(str(models[0]))
    integers = soundfile.read(long_sound, dtype="int16")[0]
    floats, of_file = soundfile.read(long_sound)[0], system.caption([long_sound], window=3)[0]
    found = system.caption([integers, floats, floats.mean(axis=1)], sample_rate_hz=RATE, window=3)
    assert [each.sound for each in found] == ["array 0", "array 1", "array 2"]
    for each in found:
        assert [w.caption for w in each.windows] == [w.caption for w in of_file.windows]
        assert [w.end_s for w in each.windows] == [w.end_s for w in of_file.windows]


@pytest.mark.parametrize(
    ("array", "rate", "told"),
    [
        (np.zeros(100), None, "sample rate None"),
        (np.zeros(100), "44100", "sample rate '44100'"),
        (np.zeros(100), float("nan"), "sample rate nan"),
        (np.zeros(100), 1e300, "sample rate 1e+300"),
        (np.zeros((2, 100)), RATE, "shape (2, 100)"),
        (np.zeros(0), RATE, "shape (0,)"),
        (np.zeros((2, 2, 2)), RATE, "shape (2, 2, 2)"),
        (np.full(100, np.nan), RATE, "100 samples that are NaN"),
        (np.zeros(100, np.uint8), RATE, "type uint8"),
        (np.full(5000, 3e38), RATE, "expected a full scale of 1"),
    ],
)
def test_arrays_that_are_no_sound(array, rate, told, models):
    good = np.linspace(-0.1, 0.1, 5000)
    found = captioner.load(models[0]).caption([array, good], sample_rate_hz=rate)
    assert told in str(found[0].error)
    with pytest.raises(InputError, match="array 0"):
        _ = found[0].caption
    assert rate != RATE or found[1].caption


def test_the_command_and_the_api_say_the_same(models, long_sound, capsys):
    (found,) = captioner.load(models).caption(
        long_sound, window=2, hop=1.5, n_best=3, no_repeat_content=True, length_penalty=0.5
    )
    alone = captioner.load(models[:1]).caption(long_sound, window=2, hop=1.5, n_best=3)[0]
    assert found.windows[0].n_best[0].score != alone.windows[0].n_best[0].score  # an ensemble
    options = ["--window", "2", "--hop", "1.5", "--n-best", "3"]
    options += ["--no-repeat-content", "--length-penalty", "0.5"]
    command = ["caption", "--model", str(models[0]), "--model", str(models[1]), *options]
    expected = [
        [long_sound, window.start_s, window.end_s, rank, scored.score, scored.caption]
        for window in found.windows
        for rank, scored in enumerate(window.n_best)
    ]
    assert len(expected) == 3 * len(found.windows) > 6

    assert main([*command, "--format", "csv", long_sound]) == 0
    header, *rows = csv.reader(io.StringIO(capsys.readouterr().out))
    assert header == ["file_name", "start_s", "end_s", "rank", "score", "caption_predicted"]
    shown = [[row[0], *map(float, row[1:5]), row[5]] for row in rows]
    for row, wanted in zip(shown, expected, strict=True):
        assert row[::5] == wanted[::5]
        assert row[1:5] == pytest.approx(wanted[1:5], abs=1e-3)

    assert main([*command, "--format", "jsonl", long_sound]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["caption"] for line in lines] == [window.caption for window in found.windows]
    assert [[s["caption"] for s in line["n_best"]] for line in lines] == [
        [scored.caption for scored in window.n_best] for window in found.windows
    ]

    assert main([*command, long_sound]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[4] for line in lines] == [wanted[5] for wanted in expected]
    assert lines[3][:3] == [long_sound, "1.50", "3.50"]


def test_plain_csv_is_what_score_reads(models, long_sound, tmp_path):
    from captioner.evaluation.tables import read_predictions

    out = tmp_path / "new" / "captions.csv"
    command = ["caption", "--model", str(models[0]), "--format", "csv", "--out", str(out)]
    assert main([*command, long_sound]) == 0
    expected = captioner.load(models[0]).caption(long_sound)[0].caption
    assert read_predictions(out) == {long_sound: expected}


def window_of(start_s, end_s, caption, duration_s=60.0, sound="a.wav"):
    return CaptionedWindow(sound, start_s, end_s, duration_s, (ScoredCaption(caption, -1.0),))


def test_cues_do_not_overlap():
    windows = [window_of(start, start + 20, f"at {start}") for start in (0, 10, 20, 27.5)]
    assert list(cues(windows)) == [
        (0, 15000, "at 0"),
        (15000, 25000, "at 10"),
        (25000, 33750, "at 20"),
        (33750, 47500, "at 27.5"),
    ]
    assert list(cues([])) == []
    assert list(cues([window_of(0, 1e-5, "tick")])) == [(0, 1, "tick")]


def test_subtitles_escape_and_number():
    windows = [window_of(0, 20, "rock & roll <b> --> été"), window_of(20, 3620.5, "rain")]
    assert subtitles(windows, "vtt") == (
        "WEBVTT\n\n00:00:00.000 --> 00:15:15.125\nrock &amp; roll &lt;b&gt; --&gt; été\n\n"
        "00:15:15.125 --> 01:00:20.500\nrain\n"
    )
    silent = replace(windows[1], n_best=())
    assert subtitles([silent, windows[0]], "srt").startswith("1\n")
    assert subtitles(windows, "srt").splitlines()[4:] == [
        "2",
        "00:15:15,125 --> 01:00:20,500",
        "rain",
    ]


@pytest.mark.parametrize("form", ["vtt", "srt"])
def test_subtitles_of_several_sounds(form, models, long_sound, tmp_path, capsys):
    short = tmp_path / "in" / "short.flac"
    short.parent.mkdir()
    soundfile.write(short, np.linspace(-0.1, 0.1, 20000), 8000)
    command = ["caption", "--model", str(models[0]), "--window", "2", "--format", form]
    assert main([*command, long_sound, str(short)]) == 2  # which of them is printed?
    assert "--out FOLDER" in capsys.readouterr().err
    folder = tmp_path / "out"
    assert main([*command, "--out", str(folder), long_sound, str(short)]) == 0
    assert sorted(path.name for path in folder.iterdir()) == [f"short.{form}", f"walk.{form}"]
    assert main([*command, long_sound]) == 0
    text = (folder / f"walk.{form}").read_text(encoding="utf-8")
    assert text == capsys.readouterr().out
    times = re.findall(r"[\d:.,]{12} --> [\d:.,]{12}", text)
    assert len(times) == 4
    assert times[-1].endswith(("07.300", "07,300"))
    found = captioner.load(models[0]).caption(long_sound, window=2)[0]
    for window in found.windows:
        assert html.escape(window.caption, quote=False) in text
    twin = tmp_path / "walk.wav"
    twin.write_bytes(short.read_bytes())
    assert main([*command, "--out", str(folder), long_sound, str(twin)]) == 1
    assert str(twin) in capsys.readouterr().err
    assert main([*command, "--n-best", "2", long_sound]) == 2


def test_folders_and_names_on_standard_input(models, long_sound, tmp_path, monkeypatch, capsys):
    for name in ("b.WAV", "a/y.wav", "a/x.flac", "a/notes.txt", ".hidden/z.wav", "a/.z.wav"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        with file.open("wb") as stream:
            form = "FLAC" if name.endswith("flac") else "WAV"
            soundfile.write(stream, np.linspace(-0.1, 0.1, 5000), 8000, format=form)
    names = f"{tmp_path / 'a' / 'x.flac'}\n\n{tmp_path / 'absent.wav'}\r\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(names.encode())))
    assert main(["caption", "--model", str(models[0]), str(tmp_path), "-"]) == 1
    printed = capsys.readouterr()
    shown = [line.split("\t")[0] for line in printed.out.splitlines()]
    expected = [tmp_path / name for name in ("b.WAV", "a/x.flac", "a/y.wav", "a/x.flac")]
    assert shown == list(map(str, expected))
    assert "absent.wav" in printed.err


def test_a_long_sound_uncut_is_warned_of(models, tmp_path, caplog):
    file = tmp_path / "long.wav"
    soundfile.write(file, np.zeros(8000 * 32), 8000)
    system = captioner.load(models[0])
    system.caption(file, window=20)
    assert not caplog.records
    assert system.caption(file)[0].caption is not None
    assert "long.wav: 32 s long" in caplog.text
    assert "--window" in caplog.text


def test_a_file_cut_short_gives_the_windows_it_has(models, long_sound, tmp_path):
    cut = tmp_path / "cut.flac"
    soundfile.write(cut, soundfile.read(long_sound)[0], RATE)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    (found,) = captioner.load(models[0]).caption([cut], window=1)
    assert 0 < len(found.windows) < 7
    assert "cut.flac: found" in str(found.error)


def test_default_options_are_the_configs(repository):
    beam3 = read_yaml(repository / "config" / "config.yaml")["decodings"]["beam3"]
    options = decoding_options(1, {})
    assert {name: getattr(options, name) for name in beam3} == beam3
    assert decoding_options(7, {}).beam_size == 7
    assert decoding_options(1, {"max_length": 2}).min_length == 2
    assert decoding_options(1, {"min_length": 40}).max_length == 40
    assert decoding_options(2, {"samples": 4}).beam_size == 1
    assert decoding_options(1, {"forced_words": ["a", "b", "c"]}).beam_size == 4
    with pytest.raises(InputError, match="n_best"):
        decoding_options(5, {"beam_size": 2})
    with pytest.raises(InputError, match="'beams'"):
        decoding_options(1, {"beams": 2})
    assert DEFAULTS["batch_size"] > 1


def test_words_forced_and_banned(models, long_sound, capsys):
    command = ["caption", "--model", str(models[0]), "--forced-word", "wind", "--banned-word", "a"]
    assert main([*command, long_sound]) == 0
    words = capsys.readouterr().out.split("\t")[1].split()
    assert "wind" in words
    assert "a" not in words


def test_import_is_light(models, tmp_path):
    code = (
        "import sys, captioner; light = set(sys.modules); "
        f"captioner.load({str(models[0])!r}).caption({str(tmp_path / 'a.wav')!r})[0].caption; "
        "heavy = {name.partition('.')[0] for name in sys.modules}; "
        "assert not {'torch', 'numpy', 'soundfile'} & light, light; "
        "print(sorted({'librosa', 'sklearn', 'pyarrow', 'jsonschema', 'pandas'} & heavy))"
    )
    soundfile.write(tmp_path / "a.wav", np.linspace(-0.1, 0.1, 5000), 8000)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_no_job_of_the_workflow_depends_on_it(repository):
    """`import captioner` anywhere would rebuild everything for an edit of this command."""
    importing = re.compile(r"^\s*(import captioner|from captioner import .*)$", re.MULTILINE)
    for folder in ("src/captioner", "workflow/scripts"):
        for path in (repository / folder).rglob("*.py"):
            assert not importing.search(path.read_text(encoding="utf-8")), path


def test_a_reader_that_goes_away_ends_it_quietly(models, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.linspace(-0.1, 0.1, 500), 8000)
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "captioner.cli", "caption", "--model", str(models[0])]
    ran = subprocess.run(
        [*command, str(tmp_path / "a.wav")], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (141, b"")


def test_ctrl_c_is_130_without_a_traceback(monkeypatch, capsys):
    def interrupted(_names):
        raise KeyboardInterrupt

    monkeypatch.setattr("captioner.decoding.windows.find_sounds", interrupted)
    assert main(["caption", "--model", "absent", "a.wav"]) == 130
    assert capsys.readouterr().err == ""
