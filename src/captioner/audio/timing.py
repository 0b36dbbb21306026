"""When the frames of a front-end are heard: known from its settings, no checkpoint is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from captioner.errors import InputError

# Encoders: log-mel frames (of 10 ms, the first centred on the first sample) at the middle of the
# first embedding, and from one embedding to the next. Pools take frames from the first on;
# ConvNeXt's patches begin four frames before it.
LOGMEL_HOP_S = 0.01
EMBEDDINGS = {"cnn10": (7.5, 16), "cnn14": (15.5, 32), "convnext_tiny": (11.5, 32)}


@dataclass(frozen=True)
class FrameTimes:
    """Frames evenly apart."""

    first_s: float  # middle of frame 0
    hop_s: float

    def middle_s(self, frame: float) -> float:
        """Give the time at the middle of a frame, or between frames."""
        return self.first_s + frame * self.hop_s


def frame_times(settings: Mapping[str, Any]) -> FrameTimes:
    """Give the times of the frames that a front-end with these `settings` makes.

    Raises `InputError` for a kind whose times are not known here.
    """
    kind = settings["kind"]
    if kind == "logmel":
        return FrameTimes(0.0, settings["hop"] / settings["sample_rate_hz"])
    if kind not in EMBEDDINGS:
        raise InputError(
            f"front-end kind: found {kind!r}, expected one whose frames have known times: logmel, "
            f"{', '.join(EMBEDDINGS)}. Say in captioner.audio.timing when its frames are heard."
        )
    first, step = EMBEDDINGS[kind]
    return FrameTimes(first * LOGMEL_HOP_S, step * LOGMEL_HOP_S)
