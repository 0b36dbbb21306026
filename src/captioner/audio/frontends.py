"""Front-ends: functions from a waveform to a matrix (n_frames, n_features), by name."""

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from captioner.audio.reading import read_audio, resample
from captioner.errors import InputError

# Kind -> module with `build(settings) -> FrontEnd`. Names, so that an edit of one kind leaves the
# features of the others as they are.
FRONTENDS = {"logmel": "captioner.audio.logmel"}


class FrontEnd(Protocol):
    """What a waveform at `sample_rate_hz` becomes."""

    settings: dict[str, Any]  # as in config/frontends/*.yaml
    sample_rate_hz: int
    n_features: int

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Give features (n_frames, n_features) float32 of a waveform (n_samples,) float32."""


def build_frontend(settings: dict[str, Any]) -> FrontEnd:
    """Build the front-end that `settings["kind"]` names.

    Raises `InputError` for an unknown kind and for settings that its kind does not take.
    """
    kind = settings.get("kind")
    if kind not in FRONTENDS:
        raise InputError(f"front-end kind: found {kind!r}, expected one of {', '.join(FRONTENDS)}.")
    frontend: FrontEnd = import_module(FRONTENDS[kind]).build(settings)
    return frontend


def frontend_features(frontend: FrontEnd, path: str | Path) -> np.ndarray:
    """Read an audio file, resample it to the front-end's rate, give (n_frames, n_features).

    Raises `InputError` naming the file if it cannot be used.
    """
    waveform, sample_rate_hz = read_audio(path)
    features = frontend(resample(waveform, sample_rate_hz, frontend.sample_rate_hz))
    if not np.isfinite(features).all():
        raise InputError(
            f"{path}: found samples up to {abs(waveform).max():.3g}, whose features are not "
            "finite, expected a full scale of 1. Export the file again or leave it out."
        )
    return features
