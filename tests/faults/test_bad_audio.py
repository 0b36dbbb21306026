"""Faults of wavs: an error that names the file, or a recorded warning where work can go on."""

import numpy as np
import pytest
import soundfile

from captioner.corpus.checks import SplitTables, check_split, raise_on_errors
from captioner.corpus.clips import tabulate_folders
from captioner.corpus.expectations import Expectations
from captioner.corpus.tables import Annotation
from captioner.errors import InputError

RATE = 16000
N_SAMPLES = 5 * RATE
NAME = "it's a [b].c (ü).wav"
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, N_SAMPLES)
EXPECTED = Expectations(sample_rate_hz=RATE, bits=16, n_channels=1, duration_s=(2, 10))


def report_on(folder, samples, rate=RATE, subtype="PCM_16"):
    soundfile.write(folder / NAME, samples, rate, subtype=subtype)
    clips = list(tabulate_folders([folder]))
    tables = SplitTables(clips, [Annotation(NAME, ("A dog",))])
    return check_split("development", tables, {}, EXPECTED)


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
    with pytest.raises(InputError, match="found 1 samples that are NaN or infinite") as error:
        report_on(tmp_path, samples, subtype="FLOAT")
    assert str(tmp_path / NAME) in str(error.value)


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
        list(tabulate_folders([tmp_path]))
    for name in names[1:]:
        assert str(tmp_path / name) in str(error.value)
    assert "ok.wav" not in str(error.value)
    assert "expected" in str(error.value)


def test_damaged_files_are_skipped_where_the_corpus_says_so(tmp_path, caplog):
    for name in ("ok.wav", "text.wav", "nan.wav", "cut.flac", "mid.flac"):
        soundfile.write(tmp_path / name, NOISE[:N_SAMPLES], RATE)
    (tmp_path / "text.wav").write_bytes(b"404")
    nan = np.where(np.arange(N_SAMPLES) == 31_234, np.nan, NOISE)
    soundfile.write(tmp_path / "nan.wav", nan, RATE, subtype="FLOAT")
    flac = (tmp_path / "cut.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(flac[: len(flac) // 2])
    clips = list(tabulate_folders([tmp_path], damaged="skip"))
    assert [clip.file_name for clip in clips] == [
        "cut.flac", "mid.flac", "nan.wav", "ok.wav", "text.wav"
    ]  # fmt: skip
    faulty = {clip.file_name: clip for clip in clips if clip.fault}
    assert sorted(faulty) == ["cut.flac", "nan.wav", "text.wav"]
    for name, clip in faulty.items():
        assert (clip.duration_s, clip.digest) == (0, "")
        assert str(tmp_path / name) in clip.fault
        assert str(tmp_path / name) in caplog.text
    assert "Damaged clips, left out: 3" in caplog.text
    with pytest.raises(InputError) as error:
        list(tabulate_folders([tmp_path]))
    assert sorted(name for name in faulty if name in str(error.value)) == sorted(faulty)


def test_damage_between_the_excerpts_is_found_by_decoding_all(tmp_path):
    soundfile.write(tmp_path / NAME, np.tile(NOISE, 4), RATE, format="FLAC")
    whole = bytearray((tmp_path / NAME).read_bytes())
    for position in range(int(len(whole) * 0.55), int(len(whole) * 0.56)):
        whole[position] ^= 0xFF
    (tmp_path / NAME).write_bytes(whole)
    (clip,) = tabulate_folders([tmp_path], damaged="skip")
    assert str(tmp_path / NAME) in clip.fault
