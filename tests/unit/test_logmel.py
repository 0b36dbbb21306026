"""Log-mel energies against plain librosa calls."""

import warnings

import librosa
import numpy as np
import pytest
import scipy.signal
import yaml

from captioner.audio import logmel
from captioner.audio.logmel import BLOCK, build
from captioner.audio.mel import hz_to_mel, mel_filter_bank, mel_to_hz
from captioner.audio.reading import read_audio
from captioner.errors import InputError

NAMES = ["logmel-dcase", "logmel-released", "logmel-panns"]
TOLERANCE = 1e-3  # natural logarithm
DECIBEL = 10 / np.log(10)
RNG = np.random.default_rng(3)
TIME_S = np.arange(2 * 44100) / 44100


def sweep(from_hz, to_hz, method="linear"):
    return 0.9 * scipy.signal.chirp(TIME_S, from_hz, TIME_S[-1], to_hz, method=method)


def tones(*frequencies_hz):
    return sum(0.8 / len(frequencies_hz) * np.sin(2 * np.pi * f * TIME_S) for f in frequencies_hz)


SIGNALS = {
    "noise": 0.1 * RNG.normal(size=100_000),
    "faint noise": 1e-4 * RNG.normal(size=50_000),
    "tone": tones(1000.7),
    "tone on a bin": tones(44100 / 2048 * 40),
    "tone near the highest frequency": tones(21_000),
    "tones": tones(50, 440, 3000, 15000),
    "slow sweep": sweep(100, 110),
    "sweep": sweep(20, 20_000),
    "sweep above 14 kHz": sweep(15_000, 22_000, "logarithmic"),  # outside the bands of PANNs
    "sweep in faint noise": sweep(22_000, 100) + 1e-5 * RNG.normal(size=len(TIME_S)),
    "pulses": np.where(np.arange(60_000) % 441 == 0, 0.9, 0),
    "offset": 0.5 + 0.01 * RNG.normal(size=50_000),
    "clipped": np.clip(RNG.normal(size=60_000) * 5, -1, 1),
    "clipped tone": np.clip(5 * tones(440.3), -1, 1),
    "silent": np.zeros(50_000),
    "silent, then loud": np.concatenate([np.zeros(40_000), 0.5 * RNG.normal(size=10_000)]),
    "impulse": np.eye(1, 50_000, 25_000)[0],
    "one block of frames": 0.1 * RNG.normal(size=(BLOCK - 1) * 1024),
    "one frame more": 0.1 * RNG.normal(size=BLOCK * 1024 + 5),
}


@pytest.fixture(params=NAMES)
def settings(request, repository):
    path = repository / "config" / "frontends" / f"{request.param}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def librosa_mel(waveform, settings, *, center=True):
    """(n_frames, n_mels) float64 by one call of librosa, before the logarithm."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_fft=.* is too large")
        return librosa.feature.melspectrogram(
            y=waveform.astype(np.float64),
            sr=settings["sample_rate_hz"],
            n_fft=settings["n_fft"],
            hop_length=settings["hop"],
            window=settings["window"],
            center=center,
            pad_mode="reflect",
            power=settings["power"],
            n_mels=settings["n_mels"],
            fmin=settings["f_min_hz"],
            fmax=settings["f_max_hz"],
            htk=False,
            norm="slaney",
        ).T


def logarithm(mel, settings):
    floored = {"maximum": np.maximum, "add": np.add}[settings["log_floor"]]
    return scale(settings) * np.log(floored(mel, settings["log_offset"]))


def scale(settings):
    return {"natural": 1, "decibel": DECIBEL}[settings["scale"]]


def normalised(waveform, settings):
    if not settings["peak_normalise"]:
        return waveform
    return waveform / (abs(waveform).max() + 1e-8)


def assert_equal_to_librosa(waveform, settings):
    """To 1e-3 in natural logarithm (0.0043 dB), down to 200 dB below a frame's loudest band."""
    waveform = waveform.astype(np.float32)
    features = build(settings)(waveform)
    scaled = normalised(waveform.astype(np.float64), settings)
    padded = np.pad(scaled, settings["n_fft"] // 2, mode="reflect")
    plain = librosa_mel(scaled, settings)
    # librosa 0.7 padded the whole clip. librosa 0.11 pads a tail of half a window apart where the
    # clip's length is a multiple of the hop: too short to reflect, so its last frame differs.
    mel = librosa_mel(padded, settings, center=False)
    whole = slice(None, -1 if len(waveform) % settings["hop"] == 0 else None)
    assert (
        features.shape == plain.shape == (1 + len(waveform) // settings["hop"], settings["n_mels"])
    )
    assert features.dtype == np.float32
    for of_frames, expected in ((slice(None), mel), (whole, plain)):
        expected = expected[of_frames]
        near = expected >= expected.max(axis=1, keepdims=True, initial=0) * 10 ** (
            -10 * settings["power"]
        )
        error = abs(features[of_frames] - logarithm(expected, settings))
        assert error[near].max(initial=0) < TOLERANCE * scale(settings)


@pytest.mark.parametrize("signal", SIGNALS)
def test_equal_to_librosa(settings, signal):
    assert_equal_to_librosa(SIGNALS[signal], settings)


@pytest.mark.parametrize("n_samples", [2, 3, 511, 513, 700, 1024, 1025, 2047, 2049, 3072, 3073])
def test_short_clips_are_equal_to_librosa(settings, n_samples):
    assert_equal_to_librosa(0.3 * RNG.normal(size=n_samples), settings)


def test_one_sample_gives_one_finite_frame(settings):
    features = build(settings)(np.full(1, 0.5, np.float32))
    assert features.shape == (1, 64)
    assert np.isfinite(features).all()


@pytest.mark.parametrize("signal", ["tone near the highest frequency", "sweep above 14 kHz"])
def test_float32_alone_would_not_do(settings, signal, monkeypatch):
    """The signals that need frames in float64: without, they miss the tolerance."""
    assert_equal_to_librosa(SIGNALS[signal], settings)
    monkeypatch.setattr(logmel, "DOUBT", np.inf)
    with pytest.raises(AssertionError, match="max"):
        assert_equal_to_librosa(SIGNALS[signal], settings)


def test_few_frames_of_real_clips_need_float64(settings, shared_data, monkeypatch):
    exact, every = [], []

    def counting(self, windowed, mel):
        found = doubtful(self, windowed, mel)
        exact.append(len(found))
        every.append(len(mel))
        return found

    doubtful = logmel.LogMel._doubtful
    monkeypatch.setattr(logmel.LogMel, "_doubtful", counting)
    for path in (shared_data / "clips").glob("*.wav"):
        build(settings)(read_audio(path)[0])
    assert sum(exact) < 0.05 * sum(every)


def test_real_clips_are_equal_to_librosa(settings, shared_data):
    paths = sorted((shared_data / "clips").glob("*.wav"))
    assert len(paths) == 7
    for path in paths:
        assert_equal_to_librosa(read_audio(path)[0], settings)


def test_silence_gives_the_floor(settings):
    features = build(settings)(np.zeros(5000, np.float32))
    floor = scale(settings) * np.log(settings["log_offset"])
    assert features == pytest.approx(floor, abs=1e-5)


def test_norm_is_the_area_norm_of_librosa_07(repository):
    """`norm=1` of librosa 0.7 is Slaney's; in 0.11 it means L1, 3.65 to 3.86 above."""
    path = repository / "config" / "frontends" / "logmel-released.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    waveform = (0.1 * RNG.normal(size=50_000)).astype(np.float32)
    magnitudes = abs(librosa.stft(normalised(waveform, settings), n_fft=1024, hop_length=512))
    filters = librosa.filters.mel(sr=44100, n_fft=1024, n_mels=64, norm=1)
    difference = np.log(filters @ magnitudes).T[2:-2] - build(settings)(waveform)[2:-2]
    assert difference.min() > 3.6
    assert difference.max() < 3.9


@pytest.mark.parametrize(
    ("sample_rate_hz", "n_fft", "n_mels", "f_min_hz", "f_max_hz"),
    [
        (44100, 2048, 64, 0, 22050),
        (44100, 1024, 64, 0, 22050),
        (32000, 1024, 64, 50, 14000),
        (32000, 1024, 224, 50, 14000),
        (16000, 512, 128, 0, 8000),  # so narrow that some filters are empty
        (16000, 512, 1, 125, 7500),
    ],
)
@pytest.mark.filterwarnings("ignore:Empty filters")
def test_filters_are_librosas(sample_rate_hz, n_fft, n_mels, f_min_hz, f_max_hz):
    expected = librosa.filters.mel(
        sr=sample_rate_hz,
        n_fft=n_fft,
        n_mels=n_mels,
        fmin=f_min_hz,
        fmax=f_max_hz,
        dtype=np.float64,
    )
    filters = mel_filter_bank(sample_rate_hz, n_fft, n_mels, f_min_hz, f_max_hz)
    assert filters == pytest.approx(expected, abs=1e-12)


def test_mel_scale():
    frequencies_hz = np.array([0, 20, 999.9, 1000, 1000.1, 6400, 22050])
    assert hz_to_mel(frequencies_hz) == pytest.approx(librosa.hz_to_mel(frequencies_hz))
    assert mel_to_hz(hz_to_mel(frequencies_hz)) == pytest.approx(frequencies_hz)
    assert hz_to_mel([1000, 6400]) == pytest.approx([15, 42])  # 27 mel for a factor of 6.4


@pytest.mark.parametrize("n_mels", [1, 2, 3, 5, 40])
def test_any_number_of_bands(settings, n_mels):
    waveform = (0.1 * RNG.normal(size=9000)).astype(np.float32)
    settings = settings | {"n_mels": n_mels, "f_min_hz": 300, "f_max_hz": 9000}
    expected = logarithm(librosa_mel(normalised(waveform, settings), settings), settings)
    assert build(settings)(waveform) == pytest.approx(expected, abs=1e-3)


def test_hop_longer_than_the_window(settings):
    waveform = (0.1 * RNG.normal(size=30_000)).astype(np.float32)
    settings = settings | {"hop": settings["n_fft"] * 2}
    expected = logarithm(librosa_mel(normalised(waveform, settings), settings), settings)
    assert build(settings)(waveform) == pytest.approx(expected, abs=1e-3)


def test_the_waveform_is_left_as_it_was(settings):
    waveform = (0.1 * RNG.normal(size=5000)).astype(np.float32)
    before = waveform.copy()
    first = build(settings)(waveform)
    assert (waveform == before).all()
    assert (build(settings)(waveform) == first).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hopp": 5}, r"unknown \['hopp'\] and missing \[\]"),
        ({"window": "triangle"}, "window: found 'triangle', expected one of hann, hamming"),
        ({"hop": 0}, "hop: found 0, expected a number above 0"),
        ({"hop": 512.0}, "hop: found 512.0, expected the type int"),
        ({"hop": True}, "hop: found True, expected the type int"),
        ({"log_offset": "1e-10"}, "log_offset: found '1e-10', expected the type float"),
        ({"n_fft": 1023}, "n_fft: found 1023, expected an even number"),
        ({"power": 3}, "power: found 3, expected one of 1, 2"),
        ({"log_floor": "none"}, "log_floor: found 'none', expected one of maximum, add"),
        ({"f_max_hz": 30000}, r"found \(\d+, 30000\), expected 0 <= f_min_hz < f_max_hz <= \d+"),
        ({"scale": "log10"}, "scale: found 'log10', expected one of natural, decibel"),
        ({"storage": "int8"}, "storage: found 'int8', expected one of float32, float16"),
        ({"f_min_hz": 900, "f_max_hz": 800}, "expected 0 <= f_min_hz < f_max_hz"),
        ({"n_mels": 500}, "n_mels: found 500, expected bands that each hold a bin"),
    ],
)
def test_wrong_settings_are_named(settings, change, message):
    with pytest.raises(InputError, match=message):
        build(settings | change)


def test_decibels_are_ten_decimal_logarithms(settings):
    waveform = SIGNALS["noise"].astype(np.float32)
    natural = build(settings | {"scale": "natural"})(waveform)
    decibel = build(settings | {"scale": "decibel"})(waveform)
    assert decibel == pytest.approx(10 * np.log10(np.exp(natural.astype(np.float64))), abs=1e-4)


@pytest.mark.parametrize("signal", ["noise", "tones", "silent", "sweep above 14 kHz"])
def test_log_mels_of_convnext_are_equal_to_librosa(repository, signal):
    """The same STFT with 224 bands, the lowest so narrow that they hold one bin each."""
    path = repository / "config" / "frontends" / "logmel-panns.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8")) | {"n_mels": 224}
    assert_equal_to_librosa(SIGNALS[signal], settings)


def test_clips_are_heard_each_for_itself(settings):
    waveforms = [SIGNALS[name].astype(np.float32) for name in ("noise", "tone", "silent")]
    frontend = build(settings)
    heard = frontend.hear(waveforms)
    for of_clip, waveform in zip(heard, waveforms, strict=True):
        assert (of_clip.features == frontend(waveform)).all()
        assert of_clip.tags is None
    assert (frontend.tags, frontend.weights_md5, frontend.batch_s) == ((), "", 0)


def test_weights_are_refused(settings, tmp_path):
    with pytest.raises(InputError, match=r"log-mel: found weights .*a\.pth"):
        build(settings, tmp_path / "a.pth")


def test_a_missing_setting_is_named(settings):
    del settings["hop"]
    with pytest.raises(InputError, match=r"missing \['hop'\]"):
        build(settings)
