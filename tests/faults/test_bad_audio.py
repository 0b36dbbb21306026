"""Faults of wavs: an error that names the file, or a recorded warning where work can go on."""

import numpy as np
import pytest
import soundfile

from captioner.corpus.checks import Expectations, check_split, raise_on_errors
from captioner.corpus.clips import tabulate_folder
from captioner.corpus.tables import Annotation
from captioner.errors import InputError

RATE = 16000
N_SAMPLES = 5 * RATE
NAME = "it's a [b].c (ü).wav"
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, N_SAMPLES)
EXPECTED = Expectations(sample_rate_hz=RATE, bits=16, n_channels=1, duration_s=(2, 10))


def report_on(folder, samples, rate=RATE, subtype="PCM_16"):
    soundfile.write(folder / NAME, samples, rate, subtype=subtype)
    clips = tabulate_folder(folder)
    return check_split("development", clips, [Annotation(NAME, ("A dog",))], {}, EXPECTED)


def found(report):
    return {
        (check["name"], check["level"]): check["offenders"]
        for check in report["checks"]
        if check["level"] != "ok"
    }


@pytest.mark.parametrize("amplitude", [0.5, 2e-4])
def test_sound_audio_has_no_finding(tmp_path, amplitude):
    assert found(report_on(tmp_path, NOISE * amplitude * 2)) == {}


@pytest.mark.parametrize(
    ("samples", "rate", "subtype", "check", "offender"),
    [
        (np.zeros(N_SAMPLES), RATE, "PCM_16", "sound", "silent"),
        (np.zeros(N_SAMPLES), RATE, "FLOAT", "sound", "silent"),
        (np.full(N_SAMPLES, 0.25), RATE, "PCM_16", "sound", "constant"),
        (np.clip(NOISE * 4, -1, 1), RATE, "PCM_16", "sound", "clipped"),
        (np.stack([NOISE, NOISE], axis=1), RATE, "PCM_16", "channels", "2 channels"),
        (NOISE, RATE, "PCM_U8", "sample width", "8 bit"),
        (NOISE, RATE, "PCM_24", "sample width", "24 bit"),
        (NOISE, 22050, "PCM_16", "sample rate", "22050 Hz"),
        (NOISE[:RATE], RATE, "PCM_16", "durations", "1.00 s"),
    ],
)
def test_a_recorded_warning(tmp_path, samples, rate, subtype, check, offender):
    report = report_on(tmp_path, samples, rate, subtype)
    findings = found(report)
    if subtype == "FLOAT":
        assert findings.pop(("sample width", "warning")) == [f"{NAME}: 32 bit"]
    assert findings == {(check, "warning"): [f"{NAME}: {offender}"]}
    raise_on_errors(report)


@pytest.mark.parametrize("position", [0, 31_234, N_SAMPLES - 1])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_nan_is_an_error_wherever_it_is(tmp_path, position, value):
    samples = NOISE.copy()
    samples[position] = value
    report = report_on(tmp_path, samples, subtype="FLOAT")
    assert found(report)["samples", "error"] == [f"{tmp_path / NAME}: NaN or infinite"]
    with pytest.raises(InputError, match="samples: expected readable, finite numbers; found 1"):
        raise_on_errors(report)


@pytest.mark.parametrize("position", [9000, 31_234, N_SAMPLES - 9000])
def test_a_clip_with_one_click_is_not_silent(tmp_path, position):
    samples = np.zeros(N_SAMPLES)
    samples[position] = 0.5  # between the excerpts
    assert found(report_on(tmp_path, samples)) == {}


@pytest.mark.parametrize("content", ["no samples", "nothing", "text", "cut header"])
def test_every_unusable_file_is_named(tmp_path, content):
    names = ["ok.wav", NAME, "other.x.wav"]
    for name in names:
        soundfile.write(tmp_path / name, NOISE, RATE)
    for name in names[1:]:
        path = tmp_path / name
        if content == "no samples":
            soundfile.write(path, np.zeros(0), RATE)
        else:
            whole = path.read_bytes()
            path.write_bytes({"nothing": b"", "text": b"404", "cut header": whole[:20]}[content])
    with pytest.raises(InputError) as error:
        tabulate_folder(tmp_path)
    for name in names[1:]:
        assert str(tmp_path / name) in str(error.value)
    assert "ok.wav" not in str(error.value)
    assert "expected" in str(error.value)


def test_a_file_damaged_after_it_was_tabulated_is_named(tmp_path):
    soundfile.write(tmp_path / NAME, NOISE, RATE)
    clips = tabulate_folder(tmp_path)
    (tmp_path / NAME).write_bytes(b"404")
    report = check_split("development", clips, [Annotation(NAME, ("A dog",))], {}, EXPECTED)
    assert found(report)["samples", "error"] == [f"{tmp_path / NAME}: unreadable"]
