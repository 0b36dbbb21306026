"""Sounds cut into windows: files read piece by piece, and arrays."""

import logging
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from captioner.audio.reading import Part, read_parts
from captioner.corpus.listing import AUDIO_SUFFIXES
from captioner.errors import InputError

# Clotho's longest clips, AudioCaps' have 10 s: systems trained on either never heard longer sounds.
LONGEST_TRAINED_S = 30.0

HIGHEST_RATE_HZ = 2**31 - 1  # that libsndfile reads of a header

Sound = str | np.ndarray

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Windows:
    """How long sounds are cut. Raises `InputError` for windows that leave gaps."""

    window_s: float
    hop_s: float  # from the start of one window to the next one's

    def __post_init__(self) -> None:
        if not (0 < self.hop_s <= self.window_s and math.isfinite(self.window_s)):
            raise InputError(
                f"windows: found windows of {self.window_s:g} s, {self.hop_s:g} s apart; expected "
                "more than 0 s, and a hop of at most the window: no sound is left out."
            )

    @classmethod
    def of(cls, window_s: float | None, hop_s: float | None) -> "Windows | None":
        """Give the windows that were asked for: side by side without a hop; None without either."""
        if window_s is None:
            if hop_s is not None:
                raise InputError(
                    f"windows: found a hop of {hop_s:g} s and no window, expected both or neither."
                )
            return None
        return cls(window_s, window_s if hop_s is None else hop_s)

    def cut(self, n_samples: int, sample_rate_hz: int) -> Iterator[tuple[int, int]]:
        """Give where each window starts and ends, in samples.

        All are of full length and the last one ends with the sound, starting less than a hop after
        the one before: a system would hear a short rest unlike all that it was trained on. A sound
        shorter than a window is one.
        """
        length = max(1, round(self.window_s * sample_rate_hz))
        hop = max(1, round(self.hop_s * sample_rate_hz))
        last = max(0, n_samples - length)
        for start in range(0, last, hop):
            yield start, start + length
        yield last, n_samples


def find_sounds(names: Iterable[str | Path]) -> list[str]:
    """Give the files as named, and in the place of folders the audio files below them, sorted.

    Hidden files and folders are left out. A folder without audio, or that cannot be listed, stays
    in the list: reading it says so.
    """
    found: list[str] = []
    for name in (os.fspath(each) for each in names):
        if not os.path.isdir(name):  # noqa: PTH112, there may be 400,000
            found.append(name)
            continue
        unlisted: list[str] = []
        inside = list(_audio_below(name, unlisted))
        found += inside + unlisted if inside or unlisted else [name]
    return found


def _audio_below(folder: str, unlisted: list[str]) -> Iterator[str]:
    walk = os.walk(folder, onerror=lambda error: unlisted.append(error.filename))
    for here, folders, files in walk:
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for file in sorted(files):
            suffix = os.path.splitext(file)[1].lower()  # noqa: PTH122
            if suffix in AUDIO_SUFFIXES and not file.startswith("."):
                yield os.path.join(here, file)  # noqa: PTH118


def read_windows(
    sound: Sound, name: str, rate: int | None, windows: Windows | None
) -> Iterator[Part]:
    """Give the windows of a file or an array, or without `windows` the whole of it.

    One that is longer than what systems are trained on, and not cut, is warned of. Raises
    `InputError` naming the sound where it cannot be used.
    """

    def cut(n_samples: int, sample_rate_hz: int) -> Iterable[tuple[int, int]]:
        if windows is not None:
            return windows.cut(n_samples, sample_rate_hz)
        duration_s = n_samples / sample_rate_hz
        if duration_s > LONGEST_TRAINED_S + 1:  # a clip of 30 s may have some samples more
            log.warning(
                "%s: %.0f s long, captioned as one; systems are trained on clips of up to %.0f s. "
                "Windows (--window 20 --hop 10) say what happens when.",
                *(name, duration_s, LONGEST_TRAINED_S),
            )
        return [(0, n_samples)]

    if isinstance(sound, str):
        return read_parts(sound, cut)
    if not isinstance(rate, Real) or not 1 <= rate <= HIGHEST_RATE_HZ:
        raise InputError(
            f"{name}: found the sample rate {rate!r}, expected that of the samples in Hz "
            "(sample_rate_hz=44100)."
        )
    waveform = _waveform(sound, name)
    return (
        Part(waveform[start:end], rate, start, len(waveform))
        for start, end in cut(len(waveform), rate)
    )


def _waveform(samples: Any, name: str) -> np.ndarray:
    """Give (n_samples,) float32 of samples as `soundfile.read` gives them; see `read_audio`."""
    samples = np.asarray(samples)
    by_channel = samples.ndim == 2 and 0 < samples.shape[1] <= samples.shape[0]
    if not len(samples.shape) or not samples.size or not (samples.ndim == 1 or by_channel):
        raise InputError(
            f"{name}: found an array of shape {samples.shape}, expected (n_samples,) or "
            "(n_samples, n_channels), with samples."
        )
    if samples.dtype in (np.int16, np.int32):  # full scale is 1.0
        samples = samples / np.float32(-int(np.iinfo(samples.dtype).min))
    elif not np.issubdtype(samples.dtype, np.floating):
        raise InputError(
            f"{name}: found samples of type {samples.dtype}, expected floats of full scale 1, or "
            "integers of 16 or 32 bits."
        )
    samples = samples.astype(np.float32)
    if not np.isfinite(samples).all():
        raise InputError(
            f"{name}: found {np.count_nonzero(~np.isfinite(samples))} samples that are NaN or "
            "infinite, expected finite numbers."
        )
    return samples if samples.ndim == 1 else samples.mean(axis=1, dtype=np.float32)


def is_one(sounds: Sequence[Any] | Any) -> bool:
    """Say whether this is one sound rather than several: a path, or an array."""
    return isinstance(sounds, str | os.PathLike) or hasattr(sounds, "__array__")
