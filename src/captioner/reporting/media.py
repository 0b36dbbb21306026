"""Sounds and spectrograms of a split's clips for the report, a shard of them at a time.

They are made by a job of their own: a report that is built again encodes no hours of sound again.
"""

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile
from matplotlib.image import imsave

from captioner.audio.logmel import LogMel
from captioner.audio.mel import hz_to_mel
from captioner.audio.reading import read_audio, resample
from captioner.audio.spectrogram import DYNAMIC_RANGE_DB, LOWEST_TOP_DB, SPECTROGRAM
from captioner.corpus.shards import shard_of
from captioner.corpus.tables import Clip
from captioner.errors import InputError
from captioner.job import Progress, atomic_path, write_json

PROBLEMS = "problems.json"  # file name -> why the clip has neither sound nor picture
# MP3 is what every browser plays; Safari learned Ogg Vorbis only in 2025.
MP3_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
MP3_COMPRESSION = 0.6  # of libsndfile's 0 to 1, variable rate: about 60 kbit/s at 44.1 kHz, mono

MAX_COLUMNS = 640  # of the picture, more than a card has pixels
MARKED_HZ = (1000, 4000, 16000)

log = logging.getLogger(__name__)


def media_name(file_name: str) -> str:
    """Give the stem of a clip's files in the report: safe in any address, the same in any run."""
    return "clip-" + hashlib.sha256(file_name.encode()).hexdigest()[:10]


def marked_frequencies() -> list[tuple[str, float]]:
    """Give labels of the spectrograms' frequency axis and their heights, 0 to 1 from below."""
    low, high = hz_to_mel(SPECTROGRAM.f_min_hz), hz_to_mel(SPECTROGRAM.f_max_hz)
    return [(f"{hz // 1000} kHz", float((hz_to_mel(hz) - low) / (high - low))) for hz in MARKED_HZ]


def prepare_clips(
    clips: Iterable[Clip], shard: int, n_shards: int, audio: str, folder: str | Path
) -> None:
    """Write spectrogram and, where they are wanted, sound of the clips of `shard` of `n_shards`.

    A clip that cannot be read is a warning and an entry of `PROBLEMS`: reports outlive audio.

    Args:
        clips: the clips of the split; each belongs to one shard (`shard_of`).
        shard: which one, from 0.
        n_shards: how many there are.
        audio: "compressed": an MP3 per clip; otherwise only the spectrogram (WebP).
        folder: is replaced; it appears complete or not at all.
    """
    mine = [clip for clip in clips if shard_of(clip.file_name, n_shards) == shard]
    frontend = LogMel(SPECTROGRAM)
    problems = {}
    with (
        atomic_path(folder) as temporary,
        Progress(len(mine), f"Listening, shard {shard}", "clip") as progress,
    ):
        temporary.mkdir()
        for clip in mine:
            try:
                waveform, sample_rate_hz = read_audio(clip.path)
            except InputError as error:
                problems[clip.file_name] = str(error)
                log.warning("No audio in the report for this clip: %s", error)
            else:
                stem = temporary / media_name(clip.file_name)
                write_spectrogram(stem.with_suffix(".webp"), waveform, sample_rate_hz, frontend)
                if audio == "compressed":
                    write_mp3(stem.with_suffix(".mp3"), waveform, sample_rate_hz)
            progress.advance()
        write_json(temporary / PROBLEMS, problems)


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


def write_spectrogram(
    path: Path, waveform: np.ndarray, sample_rate_hz: int, frontend: LogMel
) -> None:
    """Draw (n_samples,) float32 as log-mels over 80 dB (WebP), time from edge to edge."""
    waveform = resample(waveform, sample_rate_hz, frontend.sample_rate_hz)
    level = _columns(frontend(waveform).T)  # (n_mels, n_columns) in dB
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


def _columns(level: np.ndarray) -> np.ndarray:
    """Average neighbours among the columns of (n_rows, n_columns) until `MAX_COLUMNS` are left."""
    n_columns = level.shape[1]
    if n_columns <= MAX_COLUMNS:
        return level
    starts = np.arange(MAX_COLUMNS) * n_columns // MAX_COLUMNS
    return np.add.reduceat(level, starts, axis=1) / np.diff(starts, append=n_columns)
