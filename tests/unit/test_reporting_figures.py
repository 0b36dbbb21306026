"""Figures and spectrograms: what they show, in the page's own colours."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from captioner.reporting.examples import write_mp3, write_spectrogram
from captioner.reporting.figures import Bar, frequency_figure, histogram_figure, spider_figure


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("text")]


def ids(svg: str) -> list[str]:
    return [e.attrib["id"] for e in ElementTree.fromstring(svg).iter() if "id" in e.attrib]


def bar(label: str, value: float = 0.1, kind: str = "system", **more: Any) -> Bar:
    return Bar(label, value, kind, **more)


def test_bars_carry_names_and_numbers_and_follow_the_page() -> None:
    labels = ["A <b> & $x$", "Typical", "Published"]
    bars = [
        bar(labels[0], 0.2964),
        bar(labels[1], 0.05, "trivial"),
        bar(labels[2], 0.051, "published"),
    ]
    figure = spider_figure(bars, "p")
    assert {*labels, "0.296", "0.050", "0.051"} <= set(texts(figure.svg))
    for colour in ("currentColor", "var(--rule)", "var(--series-0)", "var(--series-4)"):
        assert colour in figure.svg
    assert "#1b1f24" not in figure.svg
    assert "width=" not in figure.svg.split(">")[0]
    root = ElementTree.fromstring(figure.svg)
    assert "A <b> & $x$ 0.296" in root.attrib["aria-label"]
    assert figure.caption == (
        "SPIDEr, the mean of CIDEr and SPICE (blue: system, orange: trivial, green: published)."
    )


def test_bars_with_intervals_and_seeds_say_so() -> None:
    bars = [bar("A", 0.3, interval=(0.2, 0.9), seeds=(0.25, 0.35)), bar("B", 0.2)]
    figure = spider_figure(bars, "p")
    assert figure.caption.endswith("Lines: the intervals of the table. Dots: single seeds.")
    assert "var(--page)" in figure.svg, "the dots are open"
    ticks = [float(text) for text in texts(figure.svg) if re.fullmatch(r"\d\.\d+", text)]
    assert 0.4 <= max(ticks) <= 0.6, "an interval much wider than the scores is cut"


def test_ids_are_unique_among_figures_and_references_hold() -> None:
    one, two = (spider_figure([bar("A")], name).svg for name in ("one", "two"))
    assert not set(ids(one)) & set(ids(two))
    for part in one.split("url(#")[1:]:
        assert part.split(")")[0] in ids(one)


def test_histograms_leave_out_empty_splits() -> None:
    values = {"development": [8, 9, 9, 20], "test": []}
    figure = histogram_figure(values, "Length", "words", "lengths", whole=True)
    assert figure.caption == "development: median 9, 8 to 20."
    assert "test" not in texts(figure.svg)
    assert {"Length", "words", "share of the split (%)"} <= set(texts(figure.svg))
    equal = histogram_figure({"a": [10.0, 10.0]}, "Duration", "s", "d", whole=False)
    assert equal.caption == "a: median 10.0, 10.0 to 10.0."
    assert histogram_figure({"test": []}, "Length", "words", "x", whole=True).svg == ""


def test_frequencies_of_words_by_rank() -> None:
    figure = frequency_figure({"development": [1, 900, 1, 30], "test": []}, "f")
    assert figure.caption == "development: 2 of 4 words occur once."
    assert not any("$" in text for text in texts(figure.svg)), "no formulas for labels"
    assert {"rank of the word", "occurrences", "development", "100"} <= set(texts(figure.svg))
    assert "test" not in texts(figure.svg)
    assert frequency_figure({"test": []}, "f").svg == ""


@pytest.mark.parametrize("rate", [8000, 22255, 44100, 96000])
def test_mp3_sounds_like_the_clip(tmp_path: Path, rate: int) -> None:
    time = np.arange(rate) / rate
    write_mp3(tmp_path / "x.mp3", np.sin(2 * np.pi * 1000 * time).astype("f4") * 0.5, rate)
    decoded, decoded_rate = soundfile.read(tmp_path / "x.mp3")
    spectrum = np.abs(np.fft.rfft(decoded * np.hanning(len(decoded))))
    peak_hz = spectrum.argmax() * decoded_rate / len(decoded)
    assert peak_hz == pytest.approx(1000, abs=2)
    assert decoded_rate == {22255: 24000, 96000: 48000}.get(rate, rate)
    assert decoded.std() == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("seconds", [0.001, 1.0, 30.0])
@pytest.mark.parametrize("rate", [8000, 44100])
def test_spectrogram_shows_a_tone_where_it_is(tmp_path: Path, seconds: float, rate: int) -> None:
    n_samples = round(seconds * rate)
    waveform = np.sin(2 * np.pi * 1000 * np.arange(n_samples) / rate).astype("f4")
    waveform[n_samples // 2 :] *= 1e-3
    write_spectrogram(tmp_path / "x.webp", waveform, rate)
    with Image.open(tmp_path / "x.webp") as image:
        light = np.asarray(image.convert("L"), dtype=float)
    assert light.shape[0] == 96
    assert light.shape[1] <= 640
    if seconds >= 1:
        mel = [2595 * np.log10(1 + f / 700) for f in (40, 1000, rate / 2)]
        expected = 95 - 96 * (mel[1] - mel[0]) / (mel[2] - mel[0])
        quarter = light[:, light.shape[1] // 4]
        assert quarter.argmax() == pytest.approx(expected, abs=2)
        assert quarter.max() > light[:, 3 * light.shape[1] // 4].max() + 30


def test_spectrogram_of_silence(tmp_path: Path) -> None:
    write_spectrogram(tmp_path / "x.webp", np.zeros(44100, dtype="f4"), 44100)
    with Image.open(tmp_path / "x.webp") as image:
        assert np.asarray(image.convert("L")).max() < 10, "dark"
