"""What training changes in its inputs: SpecAugment, mixup, word dropout.

Everything is drawn on the CPU for a whole batch, from that batch's own generator; so a batch is the
same in one part or in several, and in a training that resumes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Stripes:
    """The parts of one clip's features that are hidden."""

    frames: list[slice]
    features: list[slice]

    def hide(self, features: np.ndarray, mean: np.ndarray) -> None:
        """Put `mean` (n_features,) in their places in `features` (n_frames, n_features)."""
        mean = mean.astype(features.dtype)  # once, for half precision is slow to convert to
        for hidden in self.frames:
            features[hidden] = mean
        for hidden in self.features:
            features[:, hidden] = mean[hidden]


@dataclass(frozen=True)
class SpecAugment:
    """Time and frequency masking of Park et al., "SpecAugment" (Interspeech 2019), section 2.

    Each stripe's width is uniform between 0 and a fraction of the clip's own axis, and its place
    uniform; stripes may overlap. Hidden values take the features' mean, which is 0 for a model that
    normalises its input. The frames and dimensions of embeddings are hidden alike.
    """

    time_stripes: int  # per clip
    time_width: float  # greatest width of a stripe, as a fraction of the clip's frames
    frequency_stripes: int
    frequency_width: float  # likewise of the features

    def draw(self, n_frames: int, n_features: int, generator: np.random.Generator) -> Stripes:
        """Draw the stripes of one clip."""
        frames = range(self.time_stripes)
        features = range(self.frequency_stripes)
        return Stripes(
            [_stripe(n_frames, self.time_width, generator) for _ in frames],
            [_stripe(n_features, self.frequency_width, generator) for _ in features],
        )


def _stripe(length: int, fraction: float, generator: np.random.Generator) -> slice:
    width = int(generator.integers(int(fraction * length) + 1))
    start = int(generator.integers(length - width + 1))
    return slice(start, start + width)


@dataclass(frozen=True)
class Partners:
    """Which example of a batch each is mixed with, and how much of itself it keeps."""

    partner: np.ndarray  # (B,) int64
    own: float  # lambda


def draw_partners(alpha: float, n_examples: int, generator: np.random.Generator) -> Partners:
    """Draw mixup's partners and one lambda for a batch.

    Zhang et al., "mixup" (ICLR 2018), section 2: lambda ~ Beta(alpha, alpha). Here as in the
    training of CoNeTTE (Labbé et al., 2023): folded to 0.5 or more, nobody is their own partner
    (unless alone), and targets are not mixed.
    """
    own = float(generator.beta(alpha, alpha))
    cycle = generator.permutation(n_examples)  # uniform over the cycles through all examples
    partner = np.empty(n_examples, dtype=np.int64)
    partner[cycle] = np.roll(cycle, -1)
    return Partners(partner, max(own, 1 - own))


@dataclass(frozen=True)
class Drawn:
    """What is changed in one batch of B encoded clips and N captions."""

    stripes: Mapping[str, Sequence[Stripes]]  # front-end -> of each clip; empty: nothing is hidden
    means: Mapping[str, np.ndarray]  # front-end -> (n_features,), what hidden features take
    partners: Partners | None
    hidden_words: np.ndarray | None  # (N, L) bool, of the input words

    def hide(self, frontend: str, clip: int, features: np.ndarray) -> None:
        """Hide the stripes of the batch's `clip` in its features, in place."""
        if frontend in self.stripes:
            self.stripes[frontend][clip].hide(features, self.means[frontend])


# From the frames of each encoded clip, by front-end, and (N, L), the captions and their positions.
Augment = Callable[[Mapping[str, Sequence[int]], tuple[int, int]], Drawn]


@dataclass(frozen=True)
class Augmentation:
    """What a training changes in its batches."""

    specaugment: SpecAugment | None
    mixup_alpha: float | None
    word_dropout: float  # the chance that an input word is hidden
    means: Mapping[str, np.ndarray]  # front-end -> (n_features,), what hidden features take

    @classmethod
    def from_settings(
        cls, training: Mapping[str, Any], means: Mapping[str, np.ndarray]
    ) -> "Augmentation | None":
        """Take the `training:` part of a system's settings; None where nothing is changed."""
        specaugment, mixup = training["specaugment"], training["mixup"]
        if specaugment is None and mixup is None and not training["word_dropout"]:
            return None
        return cls(
            None if specaugment is None else SpecAugment(**specaugment),
            None if mixup is None else mixup["alpha"],
            training["word_dropout"],
            means,
        )

    def draw(
        self,
        generator: np.random.Generator,
        n_frames: Mapping[str, Sequence[int]],
        n_words: tuple[int, int],
    ) -> Drawn:
        """Draw what is changed in a batch: an `Augment`, once it has its generator.

        `n_words` are (N, L); the first input position, the start token, is never hidden.
        """
        stripes: dict[str, list[Stripes]] = {}
        if self.specaugment is not None:
            for frontend, lengths in n_frames.items():
                n_features = len(self.means[frontend])
                stripes[frontend] = [
                    self.specaugment.draw(n, n_features, generator) for n in lengths
                ]
        partners = None
        if self.mixup_alpha is not None:
            n_clips = len(next(iter(n_frames.values())))
            partners = draw_partners(self.mixup_alpha, n_clips, generator)
        hidden = None
        if self.word_dropout:
            hidden = generator.random(n_words) < self.word_dropout
            hidden[:, 0] = False
        return Drawn(stripes, self.means, partners, hidden)
