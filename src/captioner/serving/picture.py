"""The spectrogram of a sound of any length, in a picture of bounded size."""

import base64
from typing import Any

import numpy as np

from captioner.audio.logmel import LogMel, LogMelSettings
from captioner.audio.reading import Part, resample
from captioner.reporting.heard import band_centres_hz

MOST_COLUMNS = 960
RANGE_DB = 80  # shown, below the loudest
QUIETEST_TOP_DB = -20  # a tone 60 dB below full scale: silence stays dark
LOUDEST_DB = 400  # of float samples far beyond full scale, whose energies are infinite
SETTINGS = LogMelSettings(  # frames of 46 ms and a band up to 22 kHz, as the task's baseline hears
    kind="logmel",
    sample_rate_hz=44100,
    window="hann",
    n_fft=2048,
    hop=1024,
    n_mels=96,
    f_min_hz=40.0,
    f_max_hz=22050.0,
    power=2,
    log_offset=1e-10,
    log_floor="maximum",
    scale="decibel",
    peak_normalise=False,
    storage="float32",
)


class Spectrogram:
    """Mel energies over time; a column is the loudest of its frames, so that no event is lost."""

    def __init__(self, duration_s: float):
        """Prepare for a sound of this length."""
        self._duration_s = duration_s
        n_frames = int(duration_s * SETTINGS.sample_rate_hz / SETTINGS.hop)
        self._n_columns = max(1, min(MOST_COLUMNS, n_frames))
        self._logmel = LogMel(SETTINGS)
        self._levels = np.full((self._n_columns, SETTINGS.n_mels), -np.inf, np.float32)  # dB

    def add(self, part: Part) -> None:
        """Take the next samples."""
        rate = SETTINGS.sample_rate_hz
        waveform = resample(part.waveform, part.sample_rate_hz, rate)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            frames = self._logmel(waveform)  # (n_frames, n_mels)
        frames = np.nan_to_num(frames, nan=LOUDEST_DB, posinf=LOUDEST_DB)
        times = part.start / part.sample_rate_hz + np.arange(len(frames)) * SETTINGS.hop / rate
        columns = (times / self._duration_s * self._n_columns).astype(int)
        np.maximum.at(self._levels, columns.clip(0, self._n_columns - 1), frames)

    def as_json(self) -> dict[str, Any]:
        """Give the picture: a byte for each band of each column, 255 for `top_db`, 0 for `low_db`.

        `levels` is base64 of n_columns runs of n_bands bytes, the lowest band first; `hz` are the
        bands' centres.
        """
        top = max(float(self._levels.max()), QUIETEST_TOP_DB)
        shares = (self._levels - (top - RANGE_DB)) / RANGE_DB
        levels = np.rint(255 * shares.clip(0, 1)).astype(np.uint8)
        return {
            "n_columns": self._n_columns,
            "n_bands": SETTINGS.n_mels,
            "hz": [round(float(hz), 1) for hz in band_centres_hz(vars(SETTINGS))],
            "top_db": round(top, 2),
            "low_db": round(top - RANGE_DB, 2),
            "levels": base64.b64encode(levels.tobytes()).decode("ascii"),
        }
