"""The training loss: cross entropy of captions."""

import torch
from torch import Tensor
from torch.nn import functional

from captioner.models.interface import Captioner
from captioner.training.batches import Batch

IGNORED = -100  # a target that does not count


def batch_logits(model: Captioner, batch: Batch) -> Tensor:
    """Give the logits (N, L, V) of a batch's captions; each of its clips is encoded once."""
    memory = model.encode(batch.features, batch.n_frames)
    if batch.clip is not None:
        memory = memory.select(batch.clip)
    return model(memory, model.embed(batch.tokens))


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


def loss_weight(batch: Batch, *, padding_in_loss: bool) -> int:
    """Give the weight of a batch in the mean loss of an epoch.

    As many as its positions that count; with `padding_in_loss` every batch weighs the same, as in
    the released DCASE 2021 baseline.
    """
    return 1 if padding_in_loss else int(batch.n_targets.sum())
