"""Log-mel energies of centred, windowed frames, in float32 and blocks that stay in cache."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

from captioner.audio.frontends import Heard
from captioner.audio.mel import mel_filter_bank
from captioner.errors import InputError

BLOCK = 64  # frames transformed at a time: with their spectrum 1 MB at n_fft 2048, an L2 cache
BAND_GROUPS = 8  # mel bands multiplied at a time cover few bins: a seventh of the dense product
# Expected relative error of a band above which a frame is transformed again: the largest of
# millions of bands was 30 times what was expected, so that errors stay below 1e-3.
DOUBT = 2e-5
PEAK_OFFSET = 1e-8  # of the released baseline: a silent clip is not divided by zero
WINDOWS = {"hann": np.hanning, "hamming": np.hamming}
DECIBEL = 10 / np.log(10)  # 10 log10(x) = DECIBEL * ln(x)
CHOICES = {
    "window": tuple(WINDOWS),
    "power": (1, 2),
    "log_floor": ("maximum", "add"),
    "scale": ("natural", "decibel"),
    "storage": ("float32", "float16"),
}


@dataclass(frozen=True)
class LogMelSettings:
    """Settings of one log-mel front-end, as in config/frontends/logmel-*.yaml."""

    kind: str
    sample_rate_hz: int
    window: str  # hann | hamming, periodic
    n_fft: int  # samples of the window and the transform
    hop: int  # samples between frames
    n_mels: int
    f_min_hz: float
    f_max_hz: float
    power: int  # 1: magnitudes, 2: energies
    log_offset: float
    log_floor: str  # maximum: log(max(x, log_offset)), add: log(x + log_offset)
    scale: str  # natural: ln, decibel: 10 log10
    peak_normalise: bool  # divide the clip by max |x| + 1e-8 first
    storage: str  # float32 | float16, of the shard; readers give float32

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> "LogMelSettings":
        """Check names, types and ranges; raises `InputError` naming the setting."""
        names = [field.name for field in fields(cls)]
        if set(settings) != set(names):
            raise InputError(
                f"log-mel settings: found unknown {sorted(set(settings) - set(names))} and missing "
                f"{sorted(set(names) - set(settings))}, expected {', '.join(names)}."
            )
        for field in fields(cls):
            value = settings[field.name]
            if type(value) not in ((int, float) if field.type is float else (field.type,)):
                _refuse(field.name, value, f"the type {getattr(field.type, '__name__', field)}")
        checked = cls(**settings)
        for name, choices in CHOICES.items():
            if settings[name] not in choices:
                _refuse(name, settings[name], f"one of {', '.join(map(str, choices))}")
        for name in ("sample_rate_hz", "n_fft", "hop", "n_mels", "log_offset"):
            if settings[name] <= 0:
                _refuse(name, settings[name], "a number above 0")
        if checked.n_fft % 2:
            _refuse("n_fft", checked.n_fft, "an even number")
        if not 0 <= checked.f_min_hz < checked.f_max_hz <= checked.sample_rate_hz / 2:
            _refuse(
                "f_min_hz, f_max_hz",
                (checked.f_min_hz, checked.f_max_hz),
                f"0 <= f_min_hz < f_max_hz <= {checked.sample_rate_hz / 2} (half the sample rate)",
            )
        return checked


class LogMel:
    """Log-mel front-end: (n_samples,) float32 -> (1 + n_samples // hop, n_mels) float32.

    Frame t is centred on sample t * hop; the waveform is reflected at both ends, as often as a
    clip shorter than the window needs. The filters are Slaney's (`mel_filter_bank`); `scale` names
    the logarithm. Equal to librosa in float64 to 1e-3 in natural logarithm (0.0043 dB), down to
    bands 200 dB below their frame's loudest, where float64 ends: frames with a band too faint for
    float32 are transformed in float64. In recordings these are a few in a hundred; of pure tones
    and sweeps, which leave bands empty, most.
    """

    def __init__(self, settings: LogMelSettings):
        """Prepare window and filters; `InputError` if a mel band holds no bin of the FFT."""
        self._settings = settings
        self.settings: dict[str, Any] = asdict(settings)
        self.sample_rate_hz = settings.sample_rate_hz
        self.n_features = settings.n_mels
        self.tags: tuple[str, ...] = ()
        self.weights_md5 = ""
        self.batch_s = 0.0
        window = WINDOWS[settings.window](settings.n_fft + 1)[:-1]  # periodic, as for any STFT
        self._window = window  # (n_fft,) float64
        filters = mel_filter_bank(
            settings.sample_rate_hz,
            settings.n_fft,
            settings.n_mels,
            settings.f_min_hz,
            settings.f_max_hz,
        )
        empty = np.flatnonzero(~filters.any(axis=1))
        if len(empty):
            _refuse(
                "n_mels",
                settings.n_mels,
                f"bands that each hold a bin of the FFT; {len(empty)} hold none, the first is "
                f"number {empty[0]}. Use fewer bands or a longer n_fft",
            )
        self._doubt = _doubt(filters, settings.power).astype(np.float32)
        if settings.power == 2:
            filters = np.repeat(filters, 2, axis=1)  # re**2 and im**2 side by side: one product
        self._groups = [
            _band_group(filters, first, last) for first, last in _bounds(settings.n_mels)
        ]

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Give (n_frames, n_mels) float32 of a waveform (n_samples,), n_samples > 0."""
        settings = self._settings
        window = self._window
        if settings.peak_normalise:  # the transform is linear: scale the window, not the clip
            window = window / (float(max(waveform.max(), -waveform.min())) + PEAK_OFFSET)
        window32 = window.astype(np.float32)
        mel = np.empty((1 + len(waveform) // settings.hop, settings.n_mels), np.float32)
        block = np.empty((BLOCK, settings.n_fft), np.float32)
        done = 0
        for frames in self._frames(waveform):
            for start in range(0, len(frames), BLOCK):
                part = frames[start : start + BLOCK]
                windowed = np.multiply(part, window32, out=block[: len(part)])
                of_part = mel[done : done + len(part)]
                self._transform(windowed, of_part)
                if len(again := self._doubtful(windowed, of_part)):
                    exact = np.empty((len(again), settings.n_mels))
                    self._transform(part[again] * window, exact)
                    of_part[again] = exact
                done += len(part)
        if settings.log_floor == "maximum":
            np.maximum(mel, np.float32(settings.log_offset), out=mel)
        else:
            np.add(mel, np.float32(settings.log_offset), out=mel)
        np.log(mel, out=mel)
        if settings.scale == "decibel":
            mel *= np.float32(DECIBEL)
        return mel

    def _frames(self, waveform: np.ndarray) -> Iterator[np.ndarray]:
        """Give all frames in order, as views (n, n_fft) of the waveform and its reflected ends.

        No copy of the whole clip is padded: the fresh memory would cost as much as the transform.
        """
        n_fft, hop, half = self._settings.n_fft, self._settings.hop, self._settings.n_fft // 2
        first = -(-half // hop)  # the first frame that lies within the waveform
        n_inside = (len(waveform) - half) // hop + 1 - first
        if len(waveform) <= n_fft or n_inside < 1:
            yield _windows(np.pad(waveform, half, mode="reflect"), n_fft, hop)
            return
        head = np.concatenate([waveform[half:0:-1], waveform[:n_fft]])
        yield _windows(head, n_fft, hop)[:first]
        yield _windows(waveform[first * hop - half :], n_fft, hop)
        rest = waveform[(first + n_inside) * hop - half :]
        tail = np.concatenate([rest, waveform[-half - 1 : -1][::-1]])
        if len(tail) >= n_fft:
            yield _windows(tail, n_fft, hop)

    def _transform(self, windowed: np.ndarray, mel: np.ndarray) -> None:
        """Write mel energies or magnitudes (n, n_mels) of windowed frames (n, n_fft).

        Both are float32 or both float64.
        """
        spectrum = scipy.fft.rfft(windowed, axis=1, workers=1)
        if self._settings.power == 1:
            values = np.abs(spectrum)
        else:
            values = spectrum.view(mel.dtype)  # re, im, re, im, ...
            np.square(values, out=values)
        for bins, bands, weights in self._groups:
            np.matmul(values[:, bins], weights, out=mel[:, bands])

    def _doubtful(self, windowed: np.ndarray, mel: np.ndarray) -> np.ndarray:
        """Give the frames of a block in which some band is too faint for float32, see `_doubt`."""
        level = np.einsum("tn,tn->t", windowed, windowed)[:, None]
        if self._settings.power == 1:
            np.sqrt(level, out=level)
        doubtful = np.maximum(mel, np.float32(self._settings.log_offset)) < level * self._doubt
        return np.flatnonzero(doubtful.any(axis=1))

    def hear(self, waveforms: Sequence[np.ndarray]) -> list[Heard]:
        """Give the features of several waveforms, without tags."""
        return [Heard(self(waveform), None) for waveform in waveforms]


def build(settings: dict[str, Any], weights: Path | None = None) -> LogMel:
    """Build the front-end; raises `InputError` naming a setting that is wrong."""
    if weights is not None:
        raise InputError(f"log-mel: found weights ({weights}), expected none: it has no network.")
    return LogMel(LogMelSettings.from_dict(settings))


def _doubt(filters: np.ndarray, power: int) -> np.ndarray:
    """Give what a band must reach, relative to its frame's level, for float32 to do (n_mels,).

    The FFT's rounding adds noise of about u |x| to every bin of a windowed frame x, u being 2**-24
    (measured: 2.6 u for a tone). It changes the energy of a band with filter f by a standard
    deviation of at most sqrt(2 max(f) E) u |x|, its magnitude by sqrt(max(f) sum(f) / 2) u |x|.
    """
    rounding = 2.0**-24 / DOUBT
    if power == 2:
        return 2 * filters.max(axis=1) * rounding**2  # times |x|**2
    return np.sqrt(filters.max(axis=1) * filters.sum(axis=1) / 2) * rounding  # times |x|


def _windows(samples: np.ndarray, n_fft: int, hop: int) -> np.ndarray:
    """Give a view (n, n_fft) of every window that fits into `samples`, `hop` apart."""
    return sliding_window_view(samples, n_fft)[::hop]


def _bounds(n_mels: int) -> list[tuple[int, int]]:
    edges = np.linspace(0, n_mels, min(BAND_GROUPS, n_mels) + 1).astype(int).tolist()
    return list(pairwise(edges))


def _band_group(filters: np.ndarray, first: int, last: int) -> tuple[slice, slice, np.ndarray]:
    """Give the bins and bands of filters `first` to `last` - 1, and their weights (bins, bands)."""
    bins = np.flatnonzero(filters[first:last].any(axis=0))
    span = slice(int(bins[0]), int(bins[-1]) + 1)
    weights = np.ascontiguousarray(filters[first:last, span].T, dtype=np.float32)
    return span, slice(first, last), weights


def _refuse(name: str, found: object, expected: str) -> None:
    raise InputError(f"log-mel setting {name}: found {found!r}, expected {expected}.")
