"""The spectrogram of a sound of any length, in a picture of bounded size."""

import base64
from typing import Any

import numpy as np

from captioner.audio.logmel import LogMel
from captioner.audio.reading import Part, resample
from captioner.audio.spectrogram import DYNAMIC_RANGE_DB, LOWEST_TOP_DB, SPECTROGRAM
from captioner.reporting.heard import band_centres_hz

MOST_COLUMNS = 960
LOUDEST_DB = 400  # of float samples far beyond full scale, whose energies are infinite


class Spectrogram:
    """Mel energies over time; a column is the loudest of its frames, so that no event is lost."""

    def __init__(self, duration_s: float):
        """Prepare for a sound of this length."""
        self._duration_s = duration_s
        n_frames = int(duration_s * SPECTROGRAM.sample_rate_hz / SPECTROGRAM.hop)
        self._n_columns = max(1, min(MOST_COLUMNS, n_frames))
        self._logmel = LogMel(SPECTROGRAM)
        self._levels = np.full((self._n_columns, SPECTROGRAM.n_mels), -np.inf, np.float32)  # dB

    def add(self, part: Part) -> None:
        """Take the next samples."""
        rate = SPECTROGRAM.sample_rate_hz
        waveform = resample(part.waveform, part.sample_rate_hz, rate)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            frames = self._logmel(waveform)  # (n_frames, n_mels)
        frames = np.nan_to_num(frames, nan=LOUDEST_DB, posinf=LOUDEST_DB)
        times = part.start / part.sample_rate_hz + np.arange(len(frames)) * SPECTROGRAM.hop / rate
        columns = (times / self._duration_s * self._n_columns).astype(int)
        np.maximum.at(self._levels, columns.clip(0, self._n_columns - 1), frames)

    def as_json(self) -> dict[str, Any]:
        """Give the picture: a byte for each band of each column, 255 for `top_db`, 0 for `low_db`.

        `levels` is base64 of n_columns runs of n_bands bytes, the lowest band first; `hz` are the
        bands' centres.
        """
        top = max(float(self._levels.max()), LOWEST_TOP_DB)
        shares = (self._levels - (top - DYNAMIC_RANGE_DB)) / DYNAMIC_RANGE_DB
        levels = np.rint(255 * shares.clip(0, 1)).astype(np.uint8)
        return {
            "n_columns": self._n_columns,
            "n_bands": SPECTROGRAM.n_mels,
            "hz": [round(float(hz), 1) for hz in band_centres_hz(vars(SPECTROGRAM))],
            "top_db": round(top, 2),
            "low_db": round(top - DYNAMIC_RANGE_DB, 2),
            "levels": base64.b64encode(levels.tobytes()).decode("ascii"),
        }
