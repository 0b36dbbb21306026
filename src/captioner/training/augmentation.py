"""SpecAugment on stored features: stripes of time and of frequency hidden from the model."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SpecAugment:
    """Time and frequency masking of Park et al., "SpecAugment" (Interspeech 2019), section 2.

    Each stripe's width is uniform between 0 and a fraction of the clip's own axis, and its place
    uniform; stripes may overlap. Hidden values take the features' mean, which is 0 for a model that
    normalises its input.
    """

    time_stripes: int  # per clip
    time_width: float  # greatest width of a stripe, as a fraction of the clip's frames
    frequency_stripes: int
    frequency_width: float  # likewise of the features

    def __call__(
        self, features: np.ndarray, mean: np.ndarray, generator: np.random.Generator
    ) -> None:
        """Hide stripes of one clip's `features` (n_frames, n_features) in place.

        `mean` (n_features,) is what hidden values take.
        """
        n_frames, n_features = features.shape
        for _ in range(self.time_stripes):
            hidden = _stripe(n_frames, self.time_width, generator)
            features[hidden] = mean
        for _ in range(self.frequency_stripes):
            hidden = _stripe(n_features, self.frequency_width, generator)
            features[:, hidden] = mean[hidden]


def _stripe(length: int, fraction: float, generator: np.random.Generator) -> slice:
    width = int(generator.integers(int(fraction * length) + 1))
    start = int(generator.integers(length - width + 1))
    return slice(start, start + width)
