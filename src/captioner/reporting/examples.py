"""Clips to listen to: which ones, their compressed audio, their spectrograms."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from matplotlib.image import imsave
from scipy.fft import next_fast_len
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

from captioner.audio.reading import read_audio, resample
from captioner.corpus.tables import Annotation, Clip
from captioner.errors import InputError
from captioner.job import Progress

MP3_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
MP3_COMPRESSION = 0.6  # of libsndfile's 0 to 1, variable rate: about 60 kbit/s at 44.1 kHz, mono

WINDOW_S = 0.046  # as long as the task's front-end
N_BANDS, MAX_COLUMNS = 96, 640  # size of a spectrogram in pixels
DYNAMIC_RANGE_DB = 80
LOWEST_TOP_DB = -66  # a tone 60 dB below full scale: silence stays dark
LOWEST_HZ = 40

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prediction:
    """What one system says about a clip."""

    system: str  # label of the row in the score table
    caption: str
    spider: float
    trivial: bool
    first: bool  # of the system's first seed: shown at once, the others on demand


@dataclass(frozen=True)
class Example:
    """One clip of the section that can be heard."""

    identifier: str  # stable: a link to it survives a new report
    file_name: str
    duration_s: float
    sample_rate_hz: int
    audio: str | None  # relative to the page; None where the file cannot be read
    spectrogram: str | None
    problem: str  # why there is no audio
    author: str
    licence: str
    references: Sequence[str]
    predictions: Sequence[Prediction]
    spider: float  # what the examples are ranked by
    tags: Mapping[str, Sequence[tuple[str, float]]]  # what each front-end with tags hears


def choose(spider: Mapping[str, float], n: int) -> list[str]:
    """Choose `n` clips at evenly spaced ranks of SPIDEr, the worst and the best among them.

    Returns:
        File names from the lowest to the highest SPIDEr; equal scores in the order of the names.
    """
    ranked = sorted(spider, key=lambda name: (spider[name], name))
    if len(ranked) <= n:
        return ranked
    ranks = np.linspace(0, len(ranked) - 1, n).round().astype(int)
    return [ranked[rank] for rank in ranks]


def write_examples(
    clips: Sequence[Clip],
    annotations: Mapping[str, Annotation],
    predictions: Mapping[str, Sequence[Prediction]],
    spider: Mapping[str, float],
    tags: Mapping[str, Mapping[str, Sequence[tuple[str, float]]]],
    folder: Path,
) -> list[Example]:
    """Write audio and spectrogram of each clip and describe the clips for the page.

    A clip that cannot be read becomes an example without audio that says why, and a warning.

    Args:
        clips: the clips to show.
        annotations: by file name.
        predictions: of every system, by file name.
        spider: by file name.
        tags: by file name and front-end, names with probabilities.
        folder: the report's folder; sounds and spectrograms go into its `audio/`.
    """
    examples = []
    with Progress(total=len(clips), description="Examples", unit="clip") as progress:
        for clip in clips:
            identifier = "clip-" + hashlib.sha256(clip.file_name.encode()).hexdigest()[:10]
            audio, picture = f"audio/{identifier}.mp3", f"audio/{identifier}.webp"
            problem = ""
            try:
                waveform, sample_rate_hz = read_audio(clip.path)
            except InputError as error:
                problem = str(error)
                log.warning("No audio in the report for this clip: %s", error)
            else:
                write_mp3(folder / audio, waveform, sample_rate_hz)
                write_spectrogram(folder / picture, waveform, sample_rate_hz)
            annotation = annotations[clip.file_name]
            examples.append(
                Example(
                    identifier=identifier,
                    file_name=clip.file_name,
                    duration_s=clip.duration_s,
                    sample_rate_hz=clip.sample_rate_hz,
                    audio=None if problem else audio,
                    spectrogram=None if problem else picture,
                    problem=problem,
                    author=annotation.author,
                    licence=annotation.licence,
                    references=annotation.captions,
                    predictions=predictions[clip.file_name],
                    spider=spider[clip.file_name],
                    tags=tags[clip.file_name],
                )
            )
            progress.advance()
    return examples


def write_mp3(path: Path, waveform: np.ndarray, sample_rate_hz: int) -> None:
    """Write (n_samples,) float32 as MP3, resampled to the next rate that MP3 has."""
    rate = next((rate for rate in MP3_RATES_HZ if rate >= sample_rate_hz), MP3_RATES_HZ[-1])
    waveform = resample(waveform, sample_rate_hz, rate).clip(-1, 1)
    soundfile.write(
        path,
        waveform,
        rate,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=MP3_COMPRESSION,
        bitrate_mode="VARIABLE",
    )


def write_spectrogram(path: Path, waveform: np.ndarray, sample_rate_hz: int) -> None:
    """Draw (n_samples,) float32 as a mel spectrogram in dB below the clip's maximum (WebP)."""
    n_window = max(round(WINDOW_S * sample_rate_hz), 16)
    window = hann(n_window, sym=False)
    transform = ShortTimeFFT(
        window,
        n_window // 2,
        sample_rate_hz,
        mfft=next_fast_len(n_window, real=True),
        scale_to="magnitude",
    )
    waveform = np.pad(waveform, (0, max(0, n_window - len(waveform))))
    power = transform.spectrogram(waveform)  # (n_bins, n_columns)
    level = 10 * np.log10(_bands(power, transform.f, sample_rate_hz) + 1e-16)
    top = max(level.max(), LOWEST_TOP_DB)
    imsave(
        path,
        level,
        cmap="magma",
        vmin=top - DYNAMIC_RANGE_DB,
        vmax=top,
        origin="lower",
        format="webp",
        pil_kwargs={"quality": 60},
    )


def _bands(power: np.ndarray, bins_hz: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Average (n_bins, n_columns) over mel-spaced bands and, where there are many, over columns."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (LOWEST_HZ, sample_rate_hz / 2))
    mels = np.linspace(low, high, N_BANDS, endpoint=False)  # O'Shaughnessy's mel scale
    starts = np.searchsorted(bins_hz, 700 * (10 ** (mels / 2595) - 1))
    starts = np.minimum(starts, len(bins_hz) - 1)
    power = _mean_from(power, starts, axis=0)
    n_columns = power.shape[1]
    if n_columns <= MAX_COLUMNS:
        return power
    return _mean_from(power, np.arange(MAX_COLUMNS) * n_columns // MAX_COLUMNS, axis=1)


def _mean_from(values: np.ndarray, starts: np.ndarray, axis: int) -> np.ndarray:
    """Average the runs that begin at `starts`; a run of no length gives the value at its start."""
    widths = np.maximum(np.diff(starts, append=values.shape[axis]), 1)
    shape = [-1 if dimension == axis else 1 for dimension in range(values.ndim)]
    return np.add.reduceat(values, starts, axis=axis) / widths.reshape(shape)
