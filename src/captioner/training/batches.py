"""From stored features and captions to batches: which pairs meet, and how they are padded.

The batches of an epoch are planned from a generator of that epoch alone, so a training that resumes
needs no more than the epoch and the number of batches done.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from captioner.models.interface import Padding
from captioner.models.padding import pad
from captioner.text.vocabulary import Vocabulary
from captioner.training.sources import CaptionedClips, Pairs

Augment = Callable[[str, np.ndarray], None]  # front-end, one clip's (T, F), changed in place


def plan_training(
    clips: CaptionedClips, training: dict[str, Any], generator: np.random.Generator
) -> list[Pairs]:
    """Give the batches of one training epoch, in random order.

    The clips of an epoch are every clip once, or as the weights of their sources say. `batching`
    "pairs": all their clip-caption pairs, `batch_size` pairs a batch. "clips": `batch_size` clips a
    batch, each with `captions_per_clip` of its captions drawn without replacement (all of them if
    it has no more).
    """
    size = training["batch_size"]
    drawn = clips.draw(generator)
    if training["batching"] == "pairs":
        return _cut(generator.permutation(clips.pairs(drawn)), size)
    return [
        np.array(
            [
                (clip, caption)
                for clip in chosen
                for caption in _draw(
                    len(clips.captions[clip]), training["captions_per_clip"], generator
                )
            ],
            dtype=np.int64,
        )
        for chosen in _cut(generator.permutation(drawn), size)
    ]


def plan_validation(
    clips: CaptionedClips, batch_size: int, shuffle_and_drop: np.random.Generator | None = None
) -> list[Pairs]:
    """Give the batches of a validation: `batch_size` clips each with all their captions, in order.

    With a generator: random pairs, `batch_size` a batch, without the last batch if that is not
    full (as the released DCASE 2021 baseline validates).
    """
    if shuffle_and_drop is None:
        return [clips.pairs(chosen) for chosen in _cut(np.arange(len(clips)), batch_size)]
    pairs = shuffle_and_drop.permutation(clips.pairs())
    return _cut(pairs[: len(pairs) // batch_size * batch_size], batch_size)


def _cut(items: np.ndarray, size: int) -> list[np.ndarray]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _draw(n_captions: int, n_drawn: int, generator: np.random.Generator) -> np.ndarray:
    return generator.permutation(n_captions)[:n_drawn]


@dataclass(frozen=True)
class Batch:
    """N captions of B clips. Padding: zeros in features, `<eos>` in tokens and targets."""

    features: dict[str, Tensor]  # front-end -> (B, T, F) float32
    n_frames: dict[str, Tensor]  # front-end -> (B,) int64
    clip: Tensor | None  # (N,) int64, the clip of each caption; None: n each, row b * n + k is b's
    tokens: Tensor  # (N, L) int64: <sos> or a task token, words
    targets: Tensor  # (N, L) int64: words, <eos>
    n_targets: Tensor  # (N,) int64: words and one <eos>

    @property
    def n_clips(self) -> int:
        """How many clips are encoded, B."""
        return len(next(iter(self.n_frames.values())))

    def to(self, device: torch.device) -> "Batch":
        """Give the batch on a device."""
        return Batch(
            {frontend: values.to(device) for frontend, values in self.features.items()},
            {frontend: values.to(device) for frontend, values in self.n_frames.items()},
            None if self.clip is None else self.clip.to(device),
            self.tokens.to(device),
            self.targets.to(device),
            self.n_targets.to(device),
        )


def make_batch(
    clips: CaptionedClips,
    pairs: Pairs,
    vocabulary: Vocabulary,
    padding: Padding,
    *,
    encode_once: bool,
    augment: Augment | None = None,
) -> Batch:
    """Read and pad the features and captions of `pairs`.

    With `encode_once` a clip stands in the batch once for all its captions, else once per pair.
    Features are padded with zeros on the side `padding` to the longest clip of the batch.
    """
    chosen = list(dict.fromkeys(pairs[:, 0])) if encode_once else list(pairs[:, 0])
    features, n_frames = {}, {}
    for frontend in clips.frontends:
        # (T, F) each, ours to change
        of_clips = [np.array(clips.features(frontend, clip)) for clip in chosen]
        if augment is not None:
            for values in of_clips:
                augment(frontend, values)
        features[frontend], n_frames[frontend] = pad(of_clips, padding)
    captions = [clips.captions[clip][caption] for clip, caption in pairs]
    n_targets = np.array([len(words) + 1 for words in captions])
    tokens = np.full((len(captions), n_targets.max()), vocabulary.eos, dtype=np.int64)
    targets = tokens.copy()
    tokens[:, 0] = [clips.starts[clip] for clip in pairs[:, 0]]
    for row, words in enumerate(captions):
        tokens[row, 1 : len(words) + 1] = words
        targets[row, : len(words)] = words
    return Batch(
        features,
        n_frames,
        _clip_of_caption(pairs, chosen),
        torch.from_numpy(tokens),
        torch.from_numpy(targets),
        torch.from_numpy(n_targets),
    )


def _clip_of_caption(pairs: Pairs, chosen: list[int]) -> Tensor | None:
    """Give the row in `chosen` of each pair's clip; None where each has n pairs, in order."""
    if np.array_equal(pairs[:, 0], np.repeat(chosen, len(pairs) // len(chosen))):
        return None
    row = {clip: row for row, clip in enumerate(chosen)}
    return torch.tensor([row[clip] for clip in pairs[:, 0]])
