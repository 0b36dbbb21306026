"""The picture of a clip as a front-end hears it: where things are in it, and what it tells."""

import base64
import io
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from captioner.audio.encoders.convnext import ConvNextTiny
from captioner.audio.encoders.network import HOP, SAMPLE_RATE_HZ
from captioner.audio.encoders.panns import Cnn10, Cnn14
from captioner.audio.frontends import build_frontend
from captioner.errors import InputError
from captioner.reporting.heard import (
    CLIPPED_RUN,
    MATRIX_COLUMNS,
    HeardClip,
    Sound,
    band_centres_hz,
    envelope,
    find_clipped,
    frame_times,
    mean_of_columns,
    read_sound,
    strongest_of_rows,
    top_tags,
    unit_of,
)
from captioner.reporting.heard_figure import describe, heard_figure, write_picture
from reporting_tree import LOGMEL, TAGS, Tagger

RATE = 44100


def sound_of(waveform: np.ndarray) -> Sound:
    clipped = find_clipped(waveform[:, None])
    return Sound(waveform.astype("f4"), clipped, RATE, 1, len(waveform) / RATE)


def heard(waveform: np.ndarray, **changes: object) -> HeardClip:
    settings = {**LOGMEL, **changes}
    features = build_frontend(settings)(waveform.astype("f4"))
    return HeardClip(len(waveform) / RATE, sound_of(waveform), settings, features, [])


def tagged(n_samples: int, **settings: object) -> HeardClip:
    tagger = Tagger(**settings)  # type: ignore[arg-type]
    (found,) = tagger.hear([np.zeros(n_samples, "f4")])
    sound = sound_of(np.sin(np.arange(n_samples)))
    tags = top_tags(tagger.tags, found.tags)
    return HeardClip(n_samples / RATE, sound, tagger.settings, found.features, tags)


def texts(svg: str) -> list[str]:
    """Give the texts of a drawing, with or without a namespace."""
    return [e.text or "" for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("text")]


@pytest.mark.parametrize("seed", range(5))
def test_clipped_samples_are_those_of_long_runs(seed: int) -> None:
    random = np.random.default_rng(seed)
    samples = random.choice([-1, 0.5, 1 - 2.0**-15, 1.5], (200, 2), p=[0.3, 0.2, 0.3, 0.2])
    expected = np.zeros(200, dtype=bool)
    for channel in samples.T:
        for start in range(200 - CLIPPED_RUN + 1):
            run = channel[start : start + CLIPPED_RUN]
            if (run > 0.99).all() or (run <= -1).all():
                expected[start : start + CLIPPED_RUN] = True
    assert 0 < expected.sum() < 200
    assert (find_clipped(samples) == expected).all()
    assert not find_clipped(samples[: CLIPPED_RUN - 1]).any()


@pytest.mark.parametrize("n_samples", [1, 7, 10, 11, 1000, 4321])
def test_envelope_keeps_every_peak(n_samples: int) -> None:
    waveform = np.random.default_rng(0).normal(size=n_samples)
    sound = sound_of(waveform)
    found = envelope(sound, 10)
    parts = [
        np.arange(n_samples)[i * n_samples // len(found.low) :][
            : (i + 1) * n_samples // len(found.low) - i * n_samples // len(found.low)
        ]
        for i in range(len(found.low))
    ]
    assert len(parts) == min(10, n_samples)
    assert sum(map(len, parts)) == n_samples
    for i, part in enumerate(parts):
        assert found.low[i] == sound.waveform[part].min()
        assert found.high[i] == sound.waveform[part].max()
        assert found.clipped[i] == sound.clipped[part].any()
        assert found.times_s[i] == pytest.approx(part.mean() / RATE)


def test_sound_is_read_from_its_start_with_all_channels(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, (RATE, 2))
    samples[100:110, 1] = 1
    soundfile.write(tmp_path / "x.wav", samples, RATE, subtype="FLOAT")
    sound = read_sound(tmp_path / "x.wav", 0.5)
    assert (len(sound.waveform), sound.duration_s, sound.file_duration_s) == (RATE // 2, 0.5, 1.0)
    assert (sound.sample_rate_hz, sound.n_channels) == (RATE, 2)
    assert sound.waveform == pytest.approx(samples[: RATE // 2].mean(axis=1), abs=1e-7)
    assert np.flatnonzero(sound.clipped).tolist() == list(range(100, 110))
    assert len(read_sound(tmp_path / "x.wav", 99).waveform) == RATE


def test_unusable_sounds_are_named(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), RATE)
    (tmp_path / "text.wav").write_text("text")
    faults = {"nan": "NaN or infinite", "empty": "without samples", "text": "cannot be read"}
    for name, fault in faults.items():
        with pytest.raises(InputError, match=rf"{name}\.wav: .*{fault}"):
            read_sound(tmp_path / f"{name}.wav", 10)
    with pytest.raises(InputError, match="no such file"):
        read_sound(tmp_path / "absent.wav", 10)


@pytest.mark.parametrize("hop", [320, 1000])
def test_log_mel_frames_are_centred_on_multiples_of_the_hop(hop: int) -> None:
    """The oracle is a click: the frame that hears it loudest is the one whose time is nearest."""
    settings = {**LOGMEL, "n_fft": 1024, "hop": hop}
    for at in (5 * hop, 20 * hop):
        waveform = np.zeros(30 * hop, "f4")
        waveform[at] = 1
        loudness = build_frontend(settings)(waveform).sum(axis=1)
        times = frame_times(settings, len(loudness), len(waveform) / RATE)
        assert times.first_s + loudness.argmax() * times.step_s == pytest.approx(at / RATE)


@pytest.mark.parametrize("kind, network", [
    ("cnn10", Cnn10), ("cnn14", Cnn14), ("convnext_tiny", ConvNextTiny),
])  # fmt: skip
def test_encoder_frames_are_as_far_apart_as_the_network_has_them(kind, network) -> None:
    times = frame_times({"kind": kind}, 100, 1.0)
    assert times.step_s == pytest.approx(network.stride * HOP / SAMPLE_RATE_HZ)
    assert 0 < times.first_s < times.step_s / 2


def test_frames_of_an_unknown_kind_are_spread_over_the_clip() -> None:
    times = frame_times({"kind": "transformer"}, 5, 10.0)
    assert (times.first_s, times.step_s) == (1.0, 2.0)


@pytest.mark.parametrize("hz", [100, 1000, 9000])
def test_band_centres_are_where_tones_are_heard(hz: int) -> None:
    centres = band_centres_hz(LOGMEL)
    tone = np.sin(2 * np.pi * hz * np.arange(RATE) / RATE).astype("f4")
    loudest = build_frontend(LOGMEL)(tone)[10:-10].mean(axis=0).argmax()
    assert loudest == np.abs(centres - hz).argmin()
    assert len(centres) == 64


def test_columns_are_averaged_and_rows_keep_what_is_strongest() -> None:
    matrix = np.random.default_rng(0).normal(size=(5, 11))
    averaged, k = mean_of_columns(matrix, 4)
    assert k == 3
    assert averaged == pytest.approx(
        np.stack([matrix[:, i : i + 3].mean(axis=1) for i in (0, 3, 6, 9)], axis=1)
    )
    strongest, k = strongest_of_rows(matrix, 2)
    assert k == 3
    for row, part in zip(strongest, (matrix[:3], matrix[3:]), strict=True):
        assert (row == part[np.abs(part).argmax(axis=0), np.arange(11)]).all()
    for function in (mean_of_columns, strongest_of_rows):
        assert function(matrix, 11)[0] is matrix


def test_tags_are_ordered_and_none_without_probabilities() -> None:
    names = ["a", "b", "c", "d"]
    assert top_tags(names, np.array([0.1, 0.5, 0.5, 0.25]), 3) == [
        ("b", 0.5), ("c", 0.5), ("d", 0.25),
    ]  # fmt: skip
    assert top_tags(names, None) == []


def test_units() -> None:
    assert unit_of(LOGMEL) == "ln mel energy"
    assert unit_of({**LOGMEL, "power": 1}) == "ln mel magnitude"
    assert unit_of({**LOGMEL, "scale": "decibel"}) == "mel energy (dB)"
    assert unit_of({"kind": "cnn14"}) == "activation"


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".svg", ".pdf"])
def test_picture_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new" / f"x{suffix}"
    title = "a_b $x$ " + "long " * 30 + "end.wav"
    write_picture(tagged(RATE), title, "1 s, 44.1 kHz", path)
    start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix.lower()]
    assert path.read_bytes().startswith(start)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    if suffix == ".svg":
        shown = texts(path.read_text(encoding="utf-8"))
        (cut,) = [text for text in shown if text.startswith("a_b $x$")]
        assert "…" in cut and cut.endswith("end.wav")
        assert {"1 s, 44.1 kHz", "time (s)", "activation", "probability", *TAGS} <= set(shown)


def test_click_and_tone_stand_where_the_axes_say(tmp_path: Path) -> None:
    """Rendered: a click at 2 s of 4 is in the middle, in waveform and features alike."""
    waveform = np.zeros(4 * RATE)
    waveform[2 * RATE] = 1
    write_picture(heard(waveform), "click", "", tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        pixels = np.asarray(image.convert("RGB"), dtype=float)
    blue = np.abs(pixels - (0, 0x72, 0xB2)).sum(axis=2) < 60
    tall = np.flatnonzero(blue.sum(axis=0) > 20)
    dark = (pixels.sum(axis=2) < 30).sum(axis=0)
    background = np.flatnonzero(dark[:1200] > 250)  # columns of the matrix but for the click's
    left, right = background.min(), background.max()
    assert tall.mean() == pytest.approx((left + right) / 2, abs=2)
    loud = [x for x in range(left, right) if dark[x] <= 250]
    assert np.mean(loud) == pytest.approx((left + right) / 2, abs=2)
    assert len(loud) < 0.06 * (right - left), "three frames of 23 ms, drawn smoothly"


def test_page_figure_is_small_themed_and_says_what_it_shows() -> None:
    clip = tagged(30 * RATE, n_features=2048)
    figure = heard_figure(clip, "x.wav as tagger hears it", "heard-7")
    assert len(figure.svg) < 250_000
    assert "image/png" not in figure.svg
    pictures = re.findall(r"data:image/webp;base64,([^\"]+)", figure.svg)
    with Image.open(io.BytesIO(base64.b64decode(pictures[0]))) as image:
        assert image.width > 300
    assert "var(--series-0)" in figure.svg and "currentColor" in figure.svg
    root = ElementTree.fromstring(figure.svg)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"].startswith("x.wav as tagger hears it. ")
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids)) and all(name.startswith("heard-7-") for name in ids)
    assert {"embedding dimension", "(the strongest of 8)"} <= set(texts(figure.svg))
    assert figure.caption == describe(clip)
    assert "2\u202f048 dimensions, one every 160 ms" in figure.caption
    assert "A row is the strongest of 8 dimensions." in figure.caption


def test_long_clips_are_averaged_and_said_to_be(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(5 * MATRIX_COLUMNS, 64)).astype("f4")
    sound = sound_of(np.random.default_rng(1).uniform(-0.5, 0.5, 300 * RATE))
    clip = HeardClip(300.0, sound, {**LOGMEL, "hop": 1654}, features, [])
    figure = heard_figure(clip, "long", "x")
    assert "A column is the mean of 5 frames." in figure.caption
    assert "time (s), means of 5 frames" in texts(figure.svg)
    assert len(figure.svg) < 250_000


def test_silent_clipped_and_lost_clips_are_said_to_be() -> None:
    silent = heard(np.zeros(RATE))
    assert "The clip is silent." in describe(silent)
    assert "silent" in texts(heard_figure(silent, "x", "x").svg)
    loud = heard(np.sin(np.arange(RATE) / 50).clip(-0.5, 0.5) * 2)
    n_clipped = np.count_nonzero(loud.sound.clipped)  # type: ignore[union-attr]
    assert n_clipped > RATE // 2
    assert f"{n_clipped} of 44100 samples" in describe(loud)
    assert f"▼ {n_clipped} samples clipped" in texts(heard_figure(loud, "x", "x").svg)
    lost = HeardClip(1.0, None, LOGMEL, loud.features, [])
    assert "could not be read" in describe(lost)
    assert "amplitude" not in texts(heard_figure(lost, "x", "x").svg)
    quiet = heard(0.01 * np.sin(np.arange(RATE) / 50))
    assert not {"silent", "clipped"} & set(re.findall(r"\w+", describe(quiet)))


@pytest.mark.parametrize("n_samples", [1, 2, 100])
@pytest.mark.parametrize("scale", ["natural", "decibel"])
def test_shortest_clips_can_be_drawn(n_samples: int, scale: str) -> None:
    figure = heard_figure(heard(np.full(n_samples, 0.3), scale=scale), "x", "x")
    assert "1 frame of 64 mel bands" in figure.caption
    assert {"frequency (Hz)", "1000", "10000"} <= set(texts(figure.svg))


def test_embeddings_with_both_signs_have_zero_in_the_middle() -> None:
    features = np.random.default_rng(0).normal(size=(30, 100)).astype("f4")
    sound = sound_of(np.sin(np.arange(RATE)))
    svg = heard_figure(HeardClip(1.0, sound, {"kind": "x"}, features, []), "x", "x").svg
    numbers = [float(t.replace("−", "-")) for t in texts(svg) if re.fullmatch(r"−?[\d.]+", t)]
    assert min(numbers) == -max(n for n in numbers if n < 10)
    zeros = HeardClip(1.0, sound, {"kind": "x"}, np.zeros((30, 100), "f4"), [])
    assert "embedding dimension" in texts(heard_figure(zeros, "x", "x").svg)
