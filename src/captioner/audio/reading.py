"""Read and resample audio: any format, rate, width and channel count that libsndfile knows."""

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from captioner.errors import InputError

# 20-bit precision, librosa's default: aliases stay below the noise of 16-bit audio, and 91 % of
# the band passes.
RESAMPLING_QUALITY = "HQ"
BLOCK_FRAMES = 2**18  # 0.5 MB of 16-bit samples
INT16_SCALE = np.float32(2.0**-15)  # full scale of 16-bit audio is 1.0, as libsndfile has it
# How libsndfile's header log tells a wav or aiff with fewer bytes than its header promises.
CUT_SHORT = re.compile(r"^ ?(?:data|SSND) : (\d+) \(should be (\d+)\)", re.MULTILINE)
UNKNOWN_LENGTH = 2**63 - 1  # libsndfile's SF_COUNT_MAX
STREAM_BYTES = 2**30  # programs that write to a pipe promise a size near 2 or 4 GiB

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AudioInfo:
    """What an audio file's header says."""

    duration_s: float
    sample_rate_hz: int
    n_channels: int
    size: int  # bytes of the file


def probe(path: str | Path) -> AudioInfo:
    """Read an audio file's header only.

    A wav cut short is warned of and used as far as it goes. Raises `InputError` naming the file if
    it is absent, unreadable or has no samples or no known length.
    """
    with _open(path) as sound:
        return AudioInfo(
            duration_s=sound.frames / sound.samplerate,
            sample_rate_hz=sound.samplerate,
            n_channels=sound.channels,
            size=Path(path).stat().st_size,
        )


@dataclass(frozen=True)
class Part:
    """Some of a sound's samples."""

    waveform: np.ndarray  # (n_samples,) float32
    sample_rate_hz: int
    start: int  # where it begins in the sound, in samples
    n_samples: int  # of the whole sound


def read_parts(
    path: str | Path, cut: Callable[[int, int], Iterable[tuple[int, int]]]
) -> Iterator[Part]:
    """Read parts of a file one after the other, with no more of it in memory than one part.

    `cut(n_samples, sample_rate_hz)` gives where each part starts and ends; a part starts after the
    one before it and no later than that ends. The samples are those of `read_audio`, and so are the
    errors, which may come after some parts.
    """
    with _open(path) as sound:
        begin, held = 0, np.empty(0, np.float32)
        for start, end in cut(sound.frames, sound.samplerate):
            held = np.concatenate([held[start - begin :], _read(sound, end - begin - len(held))])
            begin = start
            _check(path, sound, held, start, end)
            yield Part(held, sound.samplerate, start, sound.frames)


def read_audio(path: str | Path) -> tuple[np.ndarray, int]:
    """Read a whole file as (waveform (n_samples,) float32, sample rate in Hz).

    Whatever rate, width, coding and number of channels libsndfile reads. Integers are scaled to
    [-1, 1); channels are averaged with equal weights, surround and low-frequency channels too. A
    wav cut short is warned of and used as far as it goes. Raises `InputError` naming the file if it
    is absent, unreadable, without samples or a known length, compressed and cut short, or if it
    holds NaN or infinity.
    """
    with _open(path) as sound:
        waveform = _read(sound, sound.frames)
        _check(path, sound, waveform, 0, sound.frames)
        return waveform, sound.samplerate


def _check(
    path: str | Path, sound: soundfile.SoundFile, found: np.ndarray, start: int, end: int
) -> None:
    """Raise `InputError` where some of the samples `start` to `end` are missing or no numbers."""
    if len(found) < end - start:
        raise InputError(
            f"{path}: found {start + len(found)} samples, expected the {sound.frames} of its "
            "header. The file is damaged or cut short: fetch or export it again."
        )
    if sound.subtype != "PCM_16" and not np.isfinite(found).all():  # integers are finite
        raise InputError(
            f"{path}: found {np.count_nonzero(~np.isfinite(found))} samples that are NaN or "
            "infinite, expected finite numbers. Export the file again or leave it out."
        )


def _read(sound: soundfile.SoundFile, n_samples: int) -> np.ndarray:
    """Read the next samples as a waveform, (n_samples,) or fewer at the end of the file.

    Of 16-bit samples half the bytes, in blocks: fresh memory for a whole clip costs time.
    """
    if sound.subtype != "PCM_16":
        return _mono(sound.read(n_samples, dtype="float32"))
    waveform = np.empty(n_samples, np.float32)
    n_read = 0
    while len(samples := sound.read(min(BLOCK_FRAMES, n_samples - n_read), dtype="int16")):
        np.multiply(_mono(samples), INT16_SCALE, out=waveform[n_read : n_read + len(samples)])
        n_read += len(samples)
    return waveform[:n_read]


def _mono(samples: np.ndarray) -> np.ndarray:
    """Average the channels of (n_samples,) or (n_samples, n_channels), in float32."""
    return samples if samples.ndim == 1 else samples.mean(axis=1, dtype=np.float32)


def resample(waveform: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Resample (n_samples,) float32 with soxr at quality HQ; the same array if the rates agree.

    The result has at least one sample.
    """
    if from_hz == to_hz:
        return waveform
    resampled = soxr.resample(waveform, from_hz, to_hz, quality=RESAMPLING_QUALITY)
    return resampled if len(resampled) else waveform[:1]


@contextmanager
def _open(path: str | Path) -> Iterator[soundfile.SoundFile]:
    """Open for reading; every failure of libsndfile, then or later, becomes an `InputError`."""
    if Path(path).is_dir():
        raise InputError(f"{path}: found a folder, expected an audio file, or a folder with some.")
    if not Path(path).is_file():
        raise InputError(
            f"{path}: found no such file, expected audio. Check the path, or extract it again."
        )
    try:
        with soundfile.SoundFile(os.fsencode(path)) as sound:
            if sound.frames == 0:
                raise InputError(
                    f"{path}: found audio without samples, expected at least one. "
                    "Export the file again or leave it out."
                )
            if sound.frames == UNKNOWN_LENGTH:
                raise InputError(
                    f"{path}: found no length in its header, expected one (flac that a program "
                    "wrote to a pipe has none). Convert it, to flac or wav, or leave it out."
                )
            cut = CUT_SHORT.search(sound.extra_info)
            if cut and int(cut[2]) < int(cut[1]) < STREAM_BYTES:
                log.warning(
                    "%s: found %s bytes of audio, expected the %s of its header. The file is cut "
                    "short: fetch or export it again; what is there is used.",
                    path,
                    cut[2],
                    cut[1],
                )
            yield sound
    except soundfile.LibsndfileError as error:
        raise InputError(
            f"{path}: found a file that cannot be read as audio ({error.error_string}), expected "
            "a format that libsndfile reads (wav, flac, ogg, mp3, ...). Convert it or leave it out."
        ) from error
