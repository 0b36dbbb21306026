"""What a training makes small: an objective's interface, and the cross entropy of captions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import torch
from torch import Tensor
from torch.nn import functional

from captioner.models.interface import Captioner, Memory
from captioner.training.batches import Batch

IGNORED = -100  # a target that does not count


@dataclass(frozen=True)
class Loss:
    """What an objective says of a batch, or of a part of one."""

    value: Tensor  # a scalar, the mean over what `weight` counts
    weight: float  # of `value` in a mean over batches, or over the parts of a batch
    facts: dict[str, float] = field(default_factory=dict)  # for the history, means alike


class Objective(Protocol):
    """What a training makes small."""

    def __call__(self, model: Captioner, batch: Batch, generator: torch.Generator) -> Loss:
        """Give the loss of a batch, with its graph; all it draws comes from `generator`."""


@dataclass(frozen=True)
class CrossEntropy:
    """The mean cross entropy of captions, given the words before each (an `Objective`)."""

    padding_in_loss: bool  # whether the `<eos>` padding counts, as in the DCASE 2021 baseline
    label_smoothing: float = 0.0

    @classmethod
    def from_settings(cls, training: Mapping[str, Any]) -> Self:
        """Take the fields from the `training:` part of a system's settings."""
        return cls(training["padding_in_loss"], training["label_smoothing"])

    def __call__(self, model: Captioner, batch: Batch, generator: torch.Generator) -> Loss:
        """Give the loss of a batch; nothing is drawn."""
        return self.of_memory(model, encode_clips(model, batch), batch)

    def of_memory(self, model: Captioner, memory: Memory, batch: Batch) -> Loss:
        """Give the loss of a batch whose clips have been encoded."""
        value = caption_loss(
            caption_logits(model, memory, batch),
            batch.targets,
            batch.n_targets,
            padding_in_loss=self.padding_in_loss,
            label_smoothing=self.label_smoothing,
        )
        return Loss(value, loss_weight(batch, padding_in_loss=self.padding_in_loss))


def batch_logits(model: Captioner, batch: Batch) -> Tensor:
    """Give the logits (N, L, V) of a batch's captions; each of its clips is encoded once."""
    return caption_logits(model, encode_clips(model, batch), batch)


def encode_clips(model: Captioner, batch: Batch) -> Memory:
    """Encode a batch's clips, mixed with their partners where it says so.

    Padded features are mixed as they are; the valid frames of the mixture are those of either.
    """
    mixup = batch.mixup
    if mixup is None:
        return model.encode(batch.features, batch.n_frames)
    n_clips = len(mixup.partner)
    features = {
        frontend: torch.lerp(values[mixup.partner], values[:n_clips], mixup.own)
        for frontend, values in batch.features.items()
    }
    n_frames = {
        frontend: torch.maximum(lengths[mixup.partner], lengths[:n_clips])
        for frontend, lengths in batch.n_frames.items()
    }
    return model.encode(features, n_frames)


def caption_logits(model: Captioner, memory: Memory, batch: Batch) -> Tensor:
    """Give the logits (N, L, V) of a batch's captions from its encoded clips."""
    if batch.clip is not None:
        memory = memory.select(batch.clip)
    return model(memory, embed_words(model, batch))


def embed_words(model: Captioner, batch: Batch) -> Tensor:
    """Embed a batch's input words (N, L, D), mixed and hidden where it says so.

    A hidden word is a vector of zeros. What a partner's caption adds ends with that caption.
    """
    embedded = model.embed(batch.tokens)
    mixup = batch.mixup
    if mixup is not None:
        other = (1 - mixup.own) * mixup.valid[..., None] * model.embed(mixup.tokens)
        embedded = mixup.own * embedded + other
    if batch.hidden_words is not None:
        embedded = embedded.masked_fill(batch.hidden_words[..., None], 0)
    return embedded


def caption_loss(
    logits: Tensor,
    targets: Tensor,
    n_targets: Tensor,
    *,
    padding_in_loss: bool,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Give the mean cross entropy (nats, a scalar) over the positions that count.

    logits (N, L, V), targets (N, L) int64, n_targets (N,): how many of a row's targets are no
    padding. All L positions count with `padding_in_loss`, as in the DCASE 2021 baseline. Label
    smoothing: Szegedy et al., "Rethinking the Inception architecture" (2016), section 7.
    """
    if not padding_in_loss:
        position = torch.arange(targets.shape[1], device=targets.device)
        targets = targets.masked_fill(position >= n_targets[:, None], IGNORED)
    return functional.cross_entropy(
        logits.flatten(0, 1),
        targets.flatten(),
        ignore_index=IGNORED,
        label_smoothing=label_smoothing,
    )


def loss_weight(batch: Batch, *, padding_in_loss: bool) -> float:
    """Give the weight of a batch, or of a part of one, in the mean loss of an epoch.

    As many as its positions that count; with `padding_in_loss` every whole batch weighs the same,
    as in the released DCASE 2021 baseline.
    """
    return batch.share if padding_in_loss else float(batch.n_words)
