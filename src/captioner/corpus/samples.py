"""What a clip's header does not say: whether its samples are sound.

43 hours of audio are 14 GB, too much to read for a check. Only floats can be NaN, so files of
floats are read whole; of the others, excerpts spread over the clip: whoever is silent or constant
is so in all of them, and only then the rest is read. Both findings are therefore exact, whatever
the clip; the share of clipped samples is an estimate.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

N_EXCERPTS = 8
EXCERPT_FRAMES = 4096
SILENCE = 1e-4  # -80 dB of full scale
FULL_SCALE = 1 - 2.0**-15  # the highest value of 16 bits
CLIPPED_SHARE = 1e-3  # of the samples at full scale; a peak-normalised clip has a handful

BITS = {
    "PCM_S8": 8, "PCM_U8": 8, "ULAW": 8, "ALAW": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32,
    "FLOAT": 32, "DOUBLE": 64,
}  # fmt: skip


@dataclass(frozen=True)
class Findings:
    """What the samples of one clip are like."""

    bits: int | None  # per sample; None for compressed audio, which has no such number
    faults: tuple[str, ...] = ()  # of "unreadable", "NaN or infinite"
    oddities: tuple[str, ...] = ()  # of "silent", "constant", "clipped"


def inspect_samples(path: str | Path) -> Findings:
    """Look at the samples of one clip, as far as needed."""
    try:
        with soundfile.SoundFile(os.fsencode(path)) as sound:
            bits = BITS.get(sound.subtype)
            whole = sound.subtype in ("FLOAT", "DOUBLE")
            samples = sound.read(dtype="float32") if whole else _excerpts(sound)
            if not np.isfinite(samples).all():
                return Findings(bits, faults=("NaN or infinite",))
            if not whole and _level(samples) != "":
                sound.seek(0)
                samples = sound.read(dtype="float32")
    except soundfile.LibsndfileError:
        return Findings(None, faults=("unreadable",))
    level = _level(samples)
    clipped = np.mean(np.abs(samples) >= FULL_SCALE) > CLIPPED_SHARE
    return Findings(bits, oddities=(level,) if level else ("clipped",) if clipped else ())


def _excerpts(sound: soundfile.SoundFile) -> np.ndarray:
    """Read `N_EXCERPTS` excerpts, the first and the last samples among them; (n_samples, ...)."""
    if sound.frames <= N_EXCERPTS * EXCERPT_FRAMES:
        return sound.read(dtype="float32")
    excerpts = []
    for start in np.linspace(0, sound.frames - EXCERPT_FRAMES, N_EXCERPTS, dtype=int):
        sound.seek(start)
        excerpts.append(sound.read(EXCERPT_FRAMES, dtype="float32"))
    return np.concatenate(excerpts)


def _level(samples: np.ndarray) -> str:
    """Say "silent" or "constant" of samples that are; "" of others."""
    low, high = samples.min(initial=0), samples.max(initial=0)
    if max(-low, high) < SILENCE:
        return "silent"
    return "constant" if samples.min() == samples.max() else ""
