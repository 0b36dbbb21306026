"""Sounds and spectrograms of the report: what they hold, and clips that cannot be read."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from captioner.audio.logmel import LogMel
from captioner.audio.mel import hz_to_mel
from captioner.audio.spectrogram import SPECTROGRAM
from captioner.corpus.shards import shard_of
from captioner.corpus.tables import Clip
from captioner.reporting.media import (
    PROBLEMS,
    marked_frequencies,
    media_name,
    prepare_clips,
    write_mp3,
    write_spectrogram,
)


def light_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("L"), dtype=float)


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
    write_spectrogram(tmp_path / "x.webp", waveform, rate, LogMel(SPECTROGRAM))
    light = light_of(tmp_path / "x.webp")
    assert light.shape[0] == 96
    assert light.shape[1] <= 640
    if seconds >= 1:
        height = float(hz_to_mel(1000) / hz_to_mel(22050))
        assert height == dict(marked_frequencies())["1 kHz"]
        quarter = light[:, light.shape[1] // 4]
        assert quarter.argmax() == pytest.approx(96 * (1 - height), abs=2)
        assert quarter.max() > light[:, 3 * light.shape[1] // 4].max() + 30


def test_spectrogram_of_silence(tmp_path: Path) -> None:
    silence = np.zeros(44100, dtype="f4")
    write_spectrogram(tmp_path / "x.webp", silence, 44100, LogMel(SPECTROGRAM))
    assert light_of(tmp_path / "x.webp").max() < 10, "dark"


def test_shards_together_hold_every_clip_once(tmp_path: Path) -> None:
    names = [
        "rain #1 50%?.wav",
        "naïve café – 雨.wav",
        "gone.wav",
        "text.wav",
        "'quoted' \"x\".wav",
    ]
    clips = []
    for name in names:
        path = tmp_path / name
        if name == "text.wav":
            path.write_text("no audio")
        elif name != "gone.wav":
            soundfile.write(path, np.zeros(4000), 8000)
        clips.append(Clip(name, str(path), 1, 0.5, 8000, 1))
    for audio, endings in (("compressed", [".mp3", ".webp"]), ("none", [".webp"])):
        problems: dict[str, str] = {}
        for shard in range(2):
            folder = tmp_path / audio / str(shard)
            prepare_clips(clips, shard, 2, audio, folder)
            found = json.loads((folder / PROBLEMS).read_text(encoding="utf-8"))
            mine = [name for name in names if shard_of(name, 2) == shard]
            assert set(found) == {"gone.wav", "text.wav"} & set(mine)
            problems |= found
            files = {p.name for p in folder.iterdir()} - {PROBLEMS}
            heard = [media_name(name) for name in mine if name not in found]
            assert files == {name + ending for name in heard for ending in endings}
            assert all(name.isascii() for name in files)
        assert "no such file" in problems["gone.wav"] and "text.wav" in problems["text.wav"]
