"""One clip as a front-end hears it: the facts behind the picture of `heard_figure`."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from captioner.audio.mel import hz_to_mel, mel_to_hz
from captioner.audio.reading import probe
from captioner.errors import InputError
from captioner.reporting.tables import counted

PICTURE_FORMATS = (".png", ".svg", ".pdf")
N_TAGS = 10
SILENCE = 1e-4  # -80 dB of full scale
FULL_SCALE = 1 - 2.0**-15  # the highest value of 16 bits
CLIPPED_RUN = 3  # samples in a row at full scale: a peak-normalised clip touches it once or twice
WAVE_COLUMNS = 900  # of the waveform's picture: more than it has pixels
MATRIX_COLUMNS = 1600  # of the features' picture, in which a clip of 30 s keeps every frame
MATRIX_ROWS = 256  # of an embedding's picture


@dataclass(frozen=True)
class Sound:
    """An audio file from its start, as far as it was read."""

    waveform: np.ndarray  # (n_samples,) float32, the mean of the channels
    clipped: np.ndarray  # (n_samples,) bool: within a run of full-scale samples of a channel
    sample_rate_hz: int
    n_channels: int
    file_duration_s: float  # of the whole file

    @property
    def duration_s(self) -> float:
        """What was read."""
        return len(self.waveform) / self.sample_rate_hz

    @property
    def silent(self) -> bool:
        """No sample reaches -80 dB of full scale."""
        return max(-self.waveform.min(), self.waveform.max()) < SILENCE


@dataclass(frozen=True)
class HeardClip:
    """What a front-end made of a clip."""

    duration_s: float
    sound: Sound | None  # None: the audio is gone or damaged, its features are there
    settings: Mapping[str, Any]  # of the front-end
    features: np.ndarray  # (n_frames, n_features) float32
    tags: Sequence[tuple[str, float]]  # names and probabilities, the most probable first


@dataclass(frozen=True)
class Envelope:
    """A waveform in columns of equal length, each array (n_columns,)."""

    times_s: np.ndarray  # centres
    low: np.ndarray
    high: np.ndarray
    clipped: np.ndarray  # bool: one sample or more


@dataclass(frozen=True)
class FrameTimes:
    """When the frames are: frame t is centred on `first_s + t * step_s`."""

    first_s: float
    step_s: float


# Embeddings pool 16 or 32 log-mel frames of 10 ms, the first of them centred on 0 s; ConvNeXt pads
# four in front (`captioner.audio.encoders`).
ENCODER_TIMES = {
    "cnn10": FrameTimes(0.075, 0.16),
    "cnn14": FrameTimes(0.155, 0.32),
    "convnext_tiny": FrameTimes(0.115, 0.32),
}


def read_sound(path: str | Path, longest_s: float) -> Sound:
    """Read the first `longest_s` seconds of an audio file, all of it if it is shorter.

    Raises `InputError` naming the file if it is absent, unreadable, without samples or cut short,
    or if it holds NaN or infinity.
    """
    info = probe(path)
    n_samples = max(1, round(longest_s * info.sample_rate_hz))
    try:
        with soundfile.SoundFile(os.fsencode(path)) as sound:
            n_samples = min(n_samples, sound.frames)
            samples = sound.read(n_samples, dtype="float32", always_2d=True)  # (n, n_channels)
    except soundfile.LibsndfileError as error:
        raise InputError(
            f"{path}: found a file that cannot be read as audio ({error.error_string}), expected "
            "a format that libsndfile reads (wav, flac, ogg, mp3, ...). Convert it."
        ) from error
    if len(samples) < n_samples:
        raise InputError(
            f"{path}: found {len(samples)} samples, expected the {n_samples} of its header. The "
            "file is damaged or cut short: fetch or export it again."
        )
    if not np.isfinite(samples).all():
        raise InputError(
            f"{path}: found samples that are NaN or infinite, expected finite numbers. Export the "
            "file again."
        )
    return Sound(
        samples.mean(axis=1),
        find_clipped(samples),
        info.sample_rate_hz,
        info.n_channels,
        info.duration_s,
    )


def find_clipped(samples: np.ndarray) -> np.ndarray:
    """Give (n,) bool of samples (n, n_channels): in a run of `CLIPPED_RUN` or more at full scale.

    A run counts where one channel stays at or beyond one and the same end of the scale.
    """
    clipped = np.zeros(len(samples), dtype=bool)
    if len(samples) < CLIPPED_RUN:
        return clipped
    for full in (samples >= FULL_SCALE, samples <= -FULL_SCALE):
        starts = full[: len(full) - CLIPPED_RUN + 1].copy()
        for offset in range(1, CLIPPED_RUN):
            starts &= full[offset : offset + len(starts)]
        found = np.logical_or.reduce(starts, axis=1)
        for offset in range(CLIPPED_RUN):
            clipped[offset : offset + len(found)] |= found
    return clipped


def envelope(sound: Sound, n_columns: int = WAVE_COLUMNS) -> Envelope:
    """Give the lowest and highest sample of each of `n_columns` columns (fewer, if as few samples).

    Memory and the size of a picture do not depend on the length; no peak is lost.
    """
    n_samples = len(sound.waveform)
    n_columns = min(n_columns, n_samples)
    starts = np.arange(n_columns) * n_samples // n_columns
    ends = np.append(starts[1:], n_samples)
    return Envelope(
        (starts + ends - 1) / 2 / sound.sample_rate_hz,
        np.minimum.reduceat(sound.waveform, starts),
        np.maximum.reduceat(sound.waveform, starts),
        np.logical_or.reduceat(sound.clipped, starts),
    )


def frame_times(settings: Mapping[str, Any], n_frames: int, duration_s: float) -> FrameTimes:
    """Tell when frames are.

    Frames of a log-mel are centred on multiples of the hop, an encoder's on the middle of what they
    pool. Those of a kind that is not known here are spread evenly, right to less than a frame.
    """
    if "hop" in settings:
        return FrameTimes(0.0, settings["hop"] / settings["sample_rate_hz"])
    if settings["kind"] in ENCODER_TIMES:
        return ENCODER_TIMES[settings["kind"]]
    step_s = duration_s / n_frames
    return FrameTimes(step_s / 2, step_s)


def band_centres_hz(settings: Mapping[str, Any]) -> np.ndarray:
    """Give the centre of each band of a log-mel, (n_mels,) in Hz (see `mel_filter_bank`)."""
    low, high = hz_to_mel(settings["f_min_hz"]), hz_to_mel(settings["f_max_hz"])
    return mel_to_hz(np.linspace(low, high, settings["n_mels"] + 2))[1:-1]


def unit_of(settings: Mapping[str, Any]) -> str:
    """Name what the numbers of the features are."""
    if not is_log_mel(settings):
        return "activation"
    quantity = {1: "magnitude", 2: "energy"}[settings["power"]]
    return f"mel {quantity} (dB)" if in_decibel(settings) else f"ln mel {quantity}"


def shape_text(clip: HeardClip) -> str:
    """Say how many frames of how many values the features are."""
    n_frames, n_features = clip.features.shape
    kind = "mel band" if is_log_mel(clip.settings) else "dimension"
    return f"{counted(n_frames, 'frame')} of {counted(n_features, kind)}"


def is_log_mel(settings: Mapping[str, Any]) -> bool:
    """Whether features are mel bands, which have frequencies, rather than an embedding."""
    return "n_mels" in settings


def in_decibel(settings: Mapping[str, Any]) -> bool:
    """Whether the logarithm of a log-mel is 10 log10 rather than ln."""
    return bool(settings.get("scale") == "decibel")


def describe_sound(sound: Sound) -> str:
    """Say what is odd about a sound: silent or clipped; "" of others."""
    if sound.silent:
        return "The clip is silent."
    if n_clipped := np.count_nonzero(sound.clipped):
        share = 100 * n_clipped / len(sound.waveform)
        percent = f"{share:.2g}" if share < 1 else f"{share:.0f}"
        return f"{n_clipped} of {len(sound.waveform)} samples ({percent} %) are clipped."
    return ""


def top_tags(
    names: Sequence[str], probabilities: np.ndarray | None, n: int = N_TAGS
) -> list[tuple[str, float]]:
    """Give the `n` most probable tags, the first of equals first; none of a front-end without."""
    if probabilities is None:
        return []
    order = np.argsort(-probabilities, kind="stable")[:n]
    return [(names[index], float(probabilities[index])) for index in order]


def mean_of_columns(matrix: np.ndarray, longest: int) -> tuple[np.ndarray, int]:
    """Average runs of k columns of (n_rows, n_columns) so that at most `longest` are left.

    The last run may be shorter. Gives the matrix and k, 1 where nothing was averaged.
    """
    n_columns = matrix.shape[1]
    k = -(-n_columns // longest)
    if k <= 1:
        return matrix, 1
    starts = np.arange(0, n_columns, k)
    widths = np.diff(starts, append=n_columns)
    return np.add.reduceat(matrix, starts, axis=1) / widths, k


def strongest_of_rows(matrix: np.ndarray, longest: int) -> tuple[np.ndarray, int]:
    """Take the value of largest magnitude of each k rows of (n_rows, n_columns), column by column.

    Embeddings are sparse and their dimensions in no order: a mean would hide what is active. Gives
    at most `longest` rows, and k.
    """
    n_rows = len(matrix)
    k = -(-n_rows // longest)
    if k <= 1:
        return matrix, 1
    starts = np.arange(0, n_rows, k)
    low = np.minimum.reduceat(matrix, starts, axis=0)
    high = np.maximum.reduceat(matrix, starts, axis=0)
    return np.where(-low > high, low, high), k
