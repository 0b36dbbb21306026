"""Read and resample audio: any format, rate, width and channel count that libsndfile knows."""

import logging
import os
import re
from collections.abc import Iterator
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


def read_audio(path: str | Path) -> tuple[np.ndarray, int]:
    """Read a whole file as (waveform (n_samples,) float32, sample rate in Hz).

    Whatever rate, width, coding and number of channels libsndfile reads. Integers are scaled to
    [-1, 1); channels are averaged with equal weights, surround and low-frequency channels too. A
    wav cut short is warned of and used as far as it goes. Raises `InputError` naming the file if it
    is absent, unreadable, without samples or a known length, compressed and cut short, or if it
    holds NaN or infinity.
    """
    with _open(path) as sound:
        integers = sound.subtype == "PCM_16"  # most files: half the bytes and no check for NaN
        waveform = _read_integers(sound) if integers else _mono(sound.read(dtype="float32"))
        if len(waveform) < sound.frames:
            raise InputError(
                f"{path}: found {len(waveform)} samples, expected the {sound.frames} of its header."
                " The file is damaged or cut short: fetch or export it again."
            )
        sample_rate_hz = sound.samplerate
    if not integers and not np.isfinite(waveform).all():
        raise InputError(
            f"{path}: found {np.count_nonzero(~np.isfinite(waveform))} samples that are NaN or "
            "infinite, expected finite numbers. Export the file again or leave it out."
        )
    return waveform, sample_rate_hz


def _read_integers(sound: soundfile.SoundFile) -> np.ndarray:
    """Read 16-bit samples as a waveform, in blocks: fresh memory for a whole clip costs time."""
    waveform = np.empty(sound.frames, np.float32)
    n_read = 0
    while len(samples := sound.read(BLOCK_FRAMES, dtype="int16")):
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
