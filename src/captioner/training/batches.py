"""From stored features and captions to batches: which pairs meet, and how they are padded.

The batches of an epoch are planned from a generator of that epoch alone, so a training that resumes
needs no more than the epoch and the number of batches done.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
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
    batch, each with `captions_per_clip` of its captions drawn without replacement ("all", or all
    that it has, in random order).
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


def _draw(n_captions: int, n_drawn: int | str, generator: np.random.Generator) -> np.ndarray:
    order = generator.permutation(n_captions)
    return order if n_drawn == "all" else order[:n_drawn]


def split_pairs(pairs: Pairs, n_parts: int) -> list[slice]:
    """Cut a planned batch into at most `n_parts` parts of nearly as many clips, none empty.

    A part is given by its rows, as `make_batch` takes it; the captions of a clip stay together
    where they stand together.
    """
    starts = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1))
    cuts = [int(part[0]) for part in np.array_split(starts, n_parts) if len(part)]
    return [slice(start, stop) for start, stop in zip(cuts, [*cuts[1:], len(pairs)], strict=True)]


@dataclass(frozen=True)
class Batch:
    """N captions of B clips. Padding: zeros in features, `<eos>` in tokens and targets."""

    clips: list[int]  # (B,) which of the `CaptionedClips` each encoded clip is
    features: dict[str, Tensor]  # front-end -> (B, T, F) float32
    n_frames: dict[str, Tensor]  # front-end -> (B,) int64
    clip: Tensor | None  # (N,) int64, the clip of each caption; None: n each, row b * n + k is b's
    tokens: Tensor  # (N, L) int64: <sos> or a task token, words
    targets: Tensor  # (N, L) int64: words, <eos>
    n_targets: Tensor  # (N,) int64: words and one <eos>
    n_words: int  # the sum of `n_targets`
    share: float  # N as a fraction of the captions of the planned batch

    @property
    def n_clips(self) -> int:
        """How many clips are encoded, B."""
        return len(self.clips)

    def to(self, device: torch.device) -> "Batch":
        """Give the batch on a device."""

        def moved(values: Tensor) -> Tensor:
            return values.to(device, non_blocking=True)  # no wait if the memory is pinned

        return replace(
            self,
            features={frontend: moved(values) for frontend, values in self.features.items()},
            n_frames={frontend: moved(values) for frontend, values in self.n_frames.items()},
            clip=None if self.clip is None else moved(self.clip),
            tokens=moved(self.tokens),
            targets=moved(self.targets),
            n_targets=moved(self.n_targets),
        )


def make_batch(
    clips: CaptionedClips,
    pairs: Pairs,
    vocabulary: Vocabulary,
    padding: Padding,
    *,
    encode_once: bool,
    augment: Augment | None = None,
    part: slice = slice(None),
) -> Batch:
    """Read and pad the features and captions of `pairs`, or of a `part` of them.

    With `encode_once` a clip stands in the batch once for all its captions, else once per pair.
    Features are padded with zeros on the side `padding` to the longest clip of `pairs`, captions to
    their longest: so the loss of all parts together is that of the whole batch for models that see
    padding too.
    """
    mine = pairs[part]
    chosen = mine[:, 0].tolist()
    if encode_once:
        chosen = list(dict.fromkeys(chosen))
    features, n_frames = {}, {}
    for frontend in clips.frontends:
        # (T, F) each, ours to change
        of_clips = [np.array(clips.features(frontend, clip)) for clip in chosen]
        if augment is not None:
            for values in of_clips:
                augment(frontend, values)
        longest = max(clips.n_frames(frontend, clip) for clip in pairs[:, 0])
        features[frontend], n_frames[frontend] = pad(of_clips, padding, longest)
    length = max(len(clips.captions[clip][caption]) + 1 for clip, caption in pairs)
    captions = [clips.captions[clip][caption] for clip, caption in mine]
    tokens = np.full((len(captions), length), vocabulary.eos, dtype=np.int64)
    targets = tokens.copy()
    tokens[:, 0] = [clips.starts[clip] for clip in mine[:, 0]]
    for row, words in enumerate(captions):
        tokens[row, 1 : len(words) + 1] = words
        targets[row, : len(words)] = words
    n_targets = np.array([len(words) + 1 for words in captions])
    return Batch(
        chosen,
        features,
        n_frames,
        _clip_of_caption(mine, chosen),
        torch.from_numpy(tokens),
        torch.from_numpy(targets),
        torch.from_numpy(n_targets),
        int(n_targets.sum()),
        len(mine) / len(pairs),
    )


def _clip_of_caption(pairs: Pairs, chosen: list[int]) -> Tensor | None:
    """Give the row in `chosen` of each pair's clip; None where each has n pairs, in order."""
    if np.array_equal(pairs[:, 0], np.repeat(chosen, len(pairs) // len(chosen))):
        return None
    row = {clip: row for row, clip in enumerate(chosen)}
    return torch.tensor([row[clip] for clip in pairs[:, 0]])
