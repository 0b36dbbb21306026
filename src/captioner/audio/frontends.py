"""Front-ends: functions from a waveform to a matrix (n_frames, n_features), by name.

The workflow reads the names at every start, so nothing heavy is imported before a front-end runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from captioner.errors import InputError

if TYPE_CHECKING:
    import numpy as np

# Kind -> module with `build(settings, weights) -> FrontEnd`. Names, so that an edit of one kind
# leaves the features of the others as they are.
FRONTENDS = {
    "logmel": "captioner.audio.logmel",
    "cnn10": "captioner.audio.encoders.panns",
    "cnn14": "captioner.audio.encoders.panns",
    "convnext_tiny": "captioner.audio.encoders.convnext",
}


@dataclass(frozen=True)
class Heard:
    """What a front-end makes of one clip."""

    features: np.ndarray  # (n_frames, n_features) float32
    tags: np.ndarray | None  # (n_tags,) float32 probabilities; None of a front-end without tags


class FrontEnd(Protocol):
    """What waveforms at `sample_rate_hz` become."""

    settings: dict[str, Any]  # as in config/frontends/*.yaml
    sample_rate_hz: int
    n_features: int
    tags: tuple[str, ...]  # names of the sounds it gives probabilities of; () for log-mels
    weights_md5: str  # of the checkpoint; "" for a front-end without one
    batch_s: float  # seconds of audio, padding included, taken at once; 0: clip by clip

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Give features (n_frames, n_features) float32 of a waveform (n_samples,) float32."""

    def hear(self, waveforms: Sequence[np.ndarray]) -> list[Heard]:
        """Give features and tags of several waveforms, each as if it came alone."""


def build_frontend(settings: dict[str, Any], weights: Path | None = None) -> FrontEnd:
    """Build the front-end that `settings["kind"]` names; `weights` is an encoder's checkpoint.

    Raises `InputError` for an unknown kind, for settings that its kind does not take and for
    weights that are missing, not asked for or another network's.
    """
    kind = settings.get("kind")
    if kind not in FRONTENDS:
        raise InputError(f"front-end kind: found {kind!r}, expected one of {', '.join(FRONTENDS)}.")
    frontend: FrontEnd = import_module(FRONTENDS[kind]).build(settings, weights)
    return frontend


def hear_files(frontend: FrontEnd, paths: Sequence[str | Path]) -> list[Heard]:
    """Read audio files, resample them to the front-end's rate and give what it hears.

    Raises `InputError` naming the file if it cannot be used.
    """
    import numpy as np

    from captioner.audio.reading import read_audio, resample

    waveforms = []
    for path in paths:
        waveform, sample_rate_hz = read_audio(path)
        waveforms.append(resample(waveform, sample_rate_hz, frontend.sample_rate_hz))
    heard = frontend.hear(waveforms)
    for path, waveform, of_file in zip(paths, waveforms, heard, strict=True):
        if not np.isfinite(of_file.features).all():
            raise InputError(
                f"{path}: found samples up to {abs(waveform).max():.3g}, whose features are not "
                "finite, expected a full scale of 1. Export the file again or leave it out."
            )
    return heard


def frontend_features(frontend: FrontEnd, path: str | Path) -> np.ndarray:
    """Give the features (n_frames, n_features) of one audio file; see `hear_files`."""
    return hear_files(frontend, [path])[0].features
