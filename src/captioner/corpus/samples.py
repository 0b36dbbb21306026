"""What a clip's header does not say: the measures of its samples, and their digest.

43 hours of audio are 14 GB, too much to read for a check. Only floats can be NaN, so files of
floats are read whole; of the others, excerpts spread over the clip: whoever is quiet or constant
is so in all of them, and only then the rest is read. Both findings are therefore exact, whatever
the clip; the share of samples at full scale is an estimate. All are taken at 16 bits.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from captioner.errors import InputError

N_EXCERPTS = 8
EXCERPT_FRAMES = 4096
FULL_SCALE = 2**15 - 1  # the highest value of 16 bits
QUIET = 2.0**-10  # -60 dB of full scale: with nothing louder in the excerpts, the rest is read

BITS = {
    "PCM_S8": 8, "PCM_U8": 8, "ULAW": 8, "ALAW": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32,
    "FLOAT": 32, "DOUBLE": 64,
}  # fmt: skip
FLOATS = ("FLOAT", "DOUBLE")


@dataclass(frozen=True)
class Measures:
    """What the samples of one clip are like; the fields of the same names of `tables.Clip`."""

    bits: int | None
    digest: str
    peak: float
    constant: bool
    full_scale: float


def measure_samples(path: str | Path) -> Measures:
    """Look at the samples of one clip, as far as needed.

    The digest, hexadecimal blake2b, covers the numbers of frames and channels, the rate and the
    excerpts at 16 bits (all samples, if the excerpts are constant), so that copies of a recording
    in wav, flac, 24 bits or float agree. It is "" where all samples are equal: silence is not a
    recording that two corpora could share.

    Raises `InputError` naming the file if samples are NaN or infinite, or cannot be read.
    """
    try:
        with soundfile.SoundFile(os.fsencode(path)) as sound:
            if sound.subtype in FLOATS:
                samples = _read(path, sound)
                excerpts = np.concatenate([samples[part] for part in _parts(sound.frames)])
            else:
                samples = excerpts = _read_excerpts(path, sound)
                if _peak(excerpts) < QUIET or _is_constant(excerpts):
                    sound.seek(0)
                    samples = _read(path, sound)
            shape = f"{sound.frames} {sound.samplerate} {sound.channels} "
            bits = BITS.get(sound.subtype)
    except soundfile.LibsndfileError as error:
        raise InputError(
            f"{path}: found samples that cannot be read ({error.error_string}), expected all that "
            "the header promises. The file is damaged: fetch or export it again."
        ) from error
    constant = _is_constant(samples)
    compared = samples if _is_constant(excerpts) else excerpts
    digest = hashlib.blake2b(shape.encode(), digest_size=16)
    digest.update(compared.astype("<i2", copy=False).tobytes())
    return Measures(
        bits=bits,
        digest="" if constant else digest.hexdigest(),
        peak=_peak(samples),
        constant=constant,
        full_scale=float(np.mean((samples >= FULL_SCALE) | (samples <= -FULL_SCALE))),
    )


def _parts(n_frames: int) -> list[slice]:
    """Give the frames of the excerpts, the first and the last of the clip among them."""
    if n_frames <= N_EXCERPTS * EXCERPT_FRAMES:
        return [slice(0, n_frames)]
    starts = np.linspace(0, n_frames - EXCERPT_FRAMES, N_EXCERPTS, dtype=int).tolist()
    return [slice(start, start + EXCERPT_FRAMES) for start in starts]


def _read_excerpts(path: str | Path, sound: soundfile.SoundFile) -> np.ndarray:
    """Read only the excerpts: (n_samples, ...) int16."""
    excerpts = []
    for part in _parts(sound.frames):
        sound.seek(part.start)
        excerpts.append(_read(path, sound, part.stop - part.start))
    return np.concatenate(excerpts)


def _read(path: str | Path, sound: soundfile.SoundFile, n_frames: int = -1) -> np.ndarray:
    """Read frames, by default all that are left, as int16 (n_frames,) or (n_frames, n_channels)."""
    expected = n_frames if n_frames >= 0 else sound.frames - sound.tell()
    exact = BITS.get(sound.subtype, 32) <= 16
    samples = sound.read(n_frames, dtype="int16" if exact else "float32")
    if len(samples) < expected:
        raise InputError(
            f"{path}: found {len(samples)} samples where the header promises {expected}. "
            "The file is damaged or cut short: fetch or export it again."
        )
    if exact:
        return samples
    if sound.subtype in FLOATS and not (finite := np.isfinite(samples)).all():
        raise InputError(
            f"{path}: found {np.count_nonzero(~finite)} samples that are NaN or infinite, expected "
            "finite numbers. Export the file again or leave it out."
        )
    return np.rint(samples * 2.0**15).clip(-(2**15), FULL_SCALE).astype(np.int16)


def _peak(samples: np.ndarray) -> float:
    return float(max(-int(samples.min()), int(samples.max()))) / 2**15


def _is_constant(samples: np.ndarray) -> bool:
    return bool(samples.min() == samples.max())
