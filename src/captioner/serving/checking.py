"""Look at an uploaded file before a model hears it: header first, then every sample, in pieces."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from captioner.audio.reading import AudioInfo, Part, probe, read_parts
from captioner.decoding.windows import Windows
from captioner.errors import InputError
from captioner.reporting.heard import SILENCE
from captioner.serving.picture import Spectrogram
from captioner.serving.turns import StoppedError
from captioner.serving.uploads import Limits, RefusedError

RATES_HZ = (1000, 192_000)
MOST_CHANNELS = 16  # ambisonics of third order
PIECE_S = 4.0  # 49 MB of 16 channels at 192 kHz: all that a header's promise makes us allocate


@dataclass(frozen=True)
class Checked:
    """What is known of a sound that can be captioned."""

    info: AudioInfo
    silent: bool  # no sample of the channels' mean reaches -80 dB of full scale
    spectrogram: Spectrogram


def check_header(path: Path, limits: Limits) -> AudioInfo:
    """Read the header alone.

    Raises `RefusedError`: 415 for what is not audio, 422 for audio that is too long or of an absurd
    kind.
    """
    try:
        info = probe(path)
    except InputError as error:
        if isinstance(error.__cause__, soundfile.LibsndfileError):
            raise RefusedError(
                415,
                f"Found what cannot be read as audio ({error.__cause__.error_string}), expected "
                "wav, flac, ogg, mp3 or another format that libsndfile reads. Convert the sound.",
            ) from error
        raise refusal(error, path) from error
    if info.duration_s > limits.duration_s:
        raise RefusedError(
            422,
            f"Found a sound of {_time(info.duration_s)}, expected at most "
            f"{_time(limits.duration_s)}. Send a part of it, or start the server with a larger "
            "--max-seconds.",
        )
    if not RATES_HZ[0] <= info.sample_rate_hz <= RATES_HZ[1]:
        raise RefusedError(
            422,
            f"Found a sample rate of {info.sample_rate_hz:,} Hz, expected {RATES_HZ[0]:,} to "
            f"{RATES_HZ[1]:,} Hz. Convert the sound.",
        )
    if info.n_channels > MOST_CHANNELS:
        raise RefusedError(
            422,
            f"Found {info.n_channels} channels, expected at most {MOST_CHANNELS}. Mix the sound "
            "down.",
        )
    return info


def check(path: Path, limits: Limits, stop: threading.Event) -> Checked:
    """Decode the whole sound, no more of it in memory than a few seconds.

    Raises `RefusedError` as `check_header`, and 422 where samples are missing or no numbers;
    `StoppedError` when `stop` is set.
    """
    info = check_header(path, limits)
    spectrogram = Spectrogram(info.duration_s)
    peak = 0.0
    try:
        for part in _pieces(path):
            if stop.is_set():
                raise StoppedError
            peak = max(peak, float(np.abs(part.waveform).max()))
            spectrogram.add(part)
    except InputError as error:
        if isinstance(error.__cause__, soundfile.LibsndfileError):
            raise RefusedError(
                422,
                f"Found a sound that cannot be decoded ({error.__cause__.error_string}), expected "
                f"{_time(info.duration_s)} of it. The file is damaged or cut short: fetch or "
                "export it again.",
            ) from error
        raise refusal(error, path) from error
    return Checked(info, peak < SILENCE, spectrogram)


def refusal(error: InputError, path: Path) -> RefusedError:
    """Tell what is wrong with an upload; where it lies here is nobody's business."""
    return RefusedError(422, without_place(str(error), path))


def without_place(text: str, path: Path) -> str:
    """Take a temporary file's path out of a message."""
    said = text.removeprefix(f"{path}: ").replace(str(path), "the sound")
    return said[:1].upper() + said[1:]


def _pieces(path: Path) -> Iterator[Part]:
    return read_parts(path, Windows(PIECE_S, PIECE_S).cut)


def _time(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    said = [(hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join(f"{n:.3g} {unit}" for n, unit in said if n) or "0 s"
