"""From stored features and captions to batches: which pairs meet, and how they are padded.

The batches of an epoch are planned from a generator of that epoch alone, so a training that resumes
needs no more than the epoch and the number of batches done.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from captioner.models.interface import Padding
from captioner.models.padding import pad
from captioner.text.vocabulary import Vocabulary
from captioner.training.augmentation import Augment
from captioner.training.sources import CaptionedClips, Pairs

T = TypeVar("T")


def plan_training(
    clips: CaptionedClips, training: Mapping[str, Any], generator: np.random.Generator
) -> list[Pairs]:
    """Give the batches of one training epoch, in random order.

    The clips of an epoch are every clip once, or as the weights of their sources say. `batching`
    "pairs": all their clip-caption pairs, `batch_size` pairs a batch. "clips": `batch_size` clips a
    batch, each with `captions_per_clip` of its captions drawn without replacement ("all", or all
    that it has, in random order).

    With `buckets` n > 1 batches are of clips of similar length: the random order is sorted by
    length within runs of n batches, and the batches come in random order.
    """
    size = training["batch_size"]
    drawn = clips.draw(generator)
    by_pairs = training["batching"] == "pairs"
    shuffled = generator.permutation(clips.pairs(drawn) if by_pairs else drawn)
    batches = _cut(shuffled, size)
    if training["buckets"] > 1:
        of_clips = shuffled[:, 0] if by_pairs else shuffled
        batches = _bucket(shuffled, _lengths(clips, of_clips), size, training["buckets"], generator)
    if by_pairs:
        return batches
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
        for chosen in batches
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


def _lengths(clips: CaptionedClips, chosen: np.ndarray) -> np.ndarray:
    """Give the numbers of frames (n,) of clips, by the first of the front-ends."""
    frontend = next(iter(clips.frontends))
    return np.array([clips.n_frames(frontend, clip) for clip in chosen])


def _bucket(
    items: np.ndarray,
    lengths: np.ndarray,
    size: int,
    n_batches: int,
    generator: np.random.Generator,
) -> list[np.ndarray]:
    """Cut items into batches of similar lengths, in random order."""
    batches = []
    for run in _cut(np.arange(len(items)), size * n_batches):
        in_order = run[np.argsort(lengths[run], kind="stable")]
        batches += _cut(items[in_order], size)
    return [batches[index] for index in generator.permutation(len(batches))]


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
class Mixup:
    """What the inputs of a batch are mixed with; its targets are not.

    Features have rows beyond those of the batch's own clips where a partner is in another part.
    """

    own: Tensor  # a scalar float32, lambda: what each clip and word keeps of itself
    partner: Tensor  # (B,) int64, the row of features that the rest is of
    tokens: Tensor  # (N, L) int64, input words of a caption of the partner
    valid: Tensor  # (N, L) bool, False where that caption has ended: nothing is added


@dataclass(frozen=True)
class Batch:
    """N captions of B clips. Padding: zeros in features, `<eos>` in tokens and targets."""

    clips: list[int]  # (B,) which of the `CaptionedClips` each encoded clip is
    features: dict[str, Tensor]  # front-end -> (B, T, F) float32, on the CPU as they are stored
    n_frames: dict[str, Tensor]  # front-end -> (B,) int64
    clip: Tensor | None  # (N,) int64, the clip of each caption; None: n each, row b * n + k is b's
    tokens: Tensor  # (N, L) int64: <sos> or a task token, words
    targets: Tensor  # (N, L) int64: words, <eos>
    n_targets: Tensor  # (N,) int64: words and one <eos>
    n_words: int  # the sum of `n_targets`
    share: float  # N as a fraction of the captions of the planned batch
    mixup: Mixup | None = None
    hidden_words: Tensor | None = None  # (N, L) bool: input words that the model does not see

    @property
    def n_clips(self) -> int:
        """How many clips are encoded, B."""
        return len(self.clips)

    def to(self, device: torch.device) -> "Batch":
        """Give the batch on a device, with features as float32."""
        # No waiting for what lies in pinned memory.
        moved = _map_tensors(self, lambda values: values.to(device, non_blocking=True))
        features = {frontend: values.float() for frontend, values in moved.features.items()}
        return replace(moved, features=features)

    def pin_memory(self) -> "Batch":
        """Give the batch in memory from which a GPU copies while the process goes on."""
        return _map_tensors(self, Tensor.pin_memory)


def _map_tensors(value: T, change: Callable[[Tensor], Tensor]) -> T:
    """Change all tensors in a dataclass, its mappings and its own dataclasses."""
    changed: Any = value
    if isinstance(value, Tensor):
        changed = change(value)
    elif isinstance(value, dict):
        changed = {key: _map_tensors(each, change) for key, each in value.items()}
    elif is_dataclass(value) and not isinstance(value, type):
        changed = replace(
            value, **{f.name: _map_tensors(getattr(value, f.name), change) for f in fields(value)}
        )
    return changed


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
    their longest; what `augment` changes is drawn for all `pairs`. So the loss of all parts
    together is that of the whole batch.
    """
    encoded, of_pair = _encoded_clips(pairs, encode_once)
    mine = list(dict.fromkeys(of_pair[part].tolist()))  # of the encoded clips
    frames = {
        frontend: [clips.n_frames(frontend, clip) for clip in encoded]
        for frontend in clips.frontends
    }
    captions = [clips.captions[clip][caption] for clip, caption in pairs]
    n_positions = max(map(len, captions)) + 1
    drawn = None if augment is None else augment(frames, (len(pairs), n_positions))
    partners = None if drawn is None else drawn.partners
    read = mine if partners is None else list(dict.fromkeys([*mine, *partners.partner[mine]]))
    features, n_frames = {}, {}
    for frontend, lengths in frames.items():
        of_clips = [clips.as_stored(frontend, encoded[row]) for row in read]
        if drawn is not None:
            for row, values in zip(read, of_clips, strict=True):
                drawn.hide(frontend, row, values)
        features[frontend], n_frames[frontend] = pad(of_clips, padding, max(lengths))
    starts = [clips.starts[clip] for clip in pairs[:, 0]]
    tokens = _pad_words(captions, n_positions, vocabulary, starts)
    targets = _pad_words(captions, n_positions, vocabulary)
    n_targets = np.array([len(words) + 1 for words in captions])
    mixup = None
    if partners is not None:
        place = {row: place for place, row in enumerate(read)}
        other = _captions_of_partners(of_pair, partners.partner)[part]
        valid = np.arange(n_positions) < n_targets[other][:, None]
        mixup = Mixup(
            torch.tensor(partners.own, dtype=torch.float32),
            torch.tensor([place[row] for row in partners.partner[mine]]),
            torch.from_numpy(tokens[other]),
            torch.from_numpy(valid),
        )
    hidden = None if drawn is None or drawn.hidden_words is None else drawn.hidden_words[part]
    return Batch(
        [encoded[row] for row in mine],
        features,
        n_frames,
        _clip_of_caption(of_pair[part], mine),
        torch.from_numpy(tokens[part]),
        torch.from_numpy(targets[part]),
        torch.from_numpy(n_targets[part]),
        int(n_targets[part].sum()),
        len(of_pair[part]) / len(pairs),
        mixup,
        None if hidden is None else torch.from_numpy(hidden),
    )


def _encoded_clips(pairs: Pairs, encode_once: bool) -> tuple[list[int], np.ndarray]:
    """Give the clips that are encoded, and for each pair which of them is its own (N,)."""
    if not encode_once:
        return pairs[:, 0].tolist(), np.arange(len(pairs))
    encoded = list(dict.fromkeys(pairs[:, 0].tolist()))
    place = {clip: place for place, clip in enumerate(encoded)}
    return encoded, np.array([place[clip] for clip in pairs[:, 0]])


def _pad_words(
    captions: Sequence[Sequence[int]],
    n_positions: int,
    vocabulary: Vocabulary,
    starts: Sequence[int] | None = None,
) -> np.ndarray:
    """Give captions (N, L) int64, with what each starts with if anything, then `<eos>`."""
    padded = np.full((len(captions), n_positions), vocabulary.eos, dtype=np.int64)
    first = 0
    if starts is not None:
        padded[:, 0] = starts
        first = 1
    for row, words in zip(padded, captions, strict=True):
        row[first : first + len(words)] = words
    return padded


def _captions_of_partners(of_pair: np.ndarray, partner: np.ndarray) -> np.ndarray:
    """Give for each caption (N,) that of its clip's partner it is mixed with: one after another."""
    captions: list[list[int]] = [[] for _ in partner]
    for caption, clip in enumerate(of_pair):
        captions[clip].append(caption)
    found = np.empty(len(of_pair), dtype=np.int64)
    for clip, own in enumerate(captions):
        others = captions[partner[clip]]
        for k, caption in enumerate(own):
            found[caption] = others[k % len(others)]
    return found


def _clip_of_caption(of_pair: np.ndarray, mine: list[int]) -> Tensor | None:
    """Give the place in `mine` of each pair's clip; None where each has n pairs, in order."""
    if np.array_equal(of_pair, np.repeat(mine, len(of_pair) // len(mine))):
        return None
    place = {clip: place for place, clip in enumerate(mine)}
    return torch.tensor([place[clip] for clip in of_pair])
