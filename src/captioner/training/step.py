"""One step of a training: forward and backward passes of a batch's parts, then the optimizer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from captioner.models.interface import Captioner
from captioner.training.batches import Batch
from captioner.training.losses import Loss, Objective
from captioner.training.precision import Precision


class Step(nn.Module):
    """The forward pass of a step, as a module: what is compiled, or distributed over processes.

    The model is a part of it; states and weights are read from and written to the model itself,
    whose names know nothing of this wrapper.
    """

    def __init__(self, model: Captioner, objective: Objective, precision: Precision):
        super().__init__()
        self.model = model
        self.objective = objective
        self.precision = precision

    def forward(self, batch: Batch, generator: torch.Generator) -> Loss:
        """Give the loss of a batch with its graph."""
        with self.precision.autocast():
            return self.objective(self.model, batch, generator)


@dataclass(frozen=True)
class Taken:
    """What a step found; tensors are not read, for that would wait for the device."""

    loss: Tensor  # a scalar, of the whole batch
    weight: float  # of the batch in the mean of the epoch
    gradient_norm: Tensor  # 2-norm before clipping
    facts: dict[str, float]
    n_clips: int  # encoded


class Stepper:
    """Takes steps. Parts of a batch are weighed so that the gradient is that of the whole."""

    def __init__(
        self,
        step: nn.Module,
        optimizer: torch.optim.Optimizer,
        precision: Precision,
        gradient_clip_norm: float,
        device: torch.device,
    ):
        """`step` is a `Step`, or a wrapper of one with the same `forward`."""
        self.step = step
        self.optimizer = optimizer
        self.precision = precision
        self.gradient_clip_norm = gradient_clip_norm
        self.device = device
        self.parameters = [weights for weights in step.parameters() if weights.requires_grad]

    def take(self, parts: Sequence[Batch], generators: Sequence[torch.Generator]) -> Taken:
        """Take one step by the parts of one batch, each with its random generator.

        A mean over the batch is the mean of its parts' means by their weights w / (sum of all w).
        The sum is known only at the end, so a part's gradient is weighed by w / (w of the first),
        and all together then by (w of the first) / (sum of all w): 1 for a batch in one part.
        """
        self.optimizer.zero_grad(set_to_none=True)
        losses: list[Loss] = []
        for part, generator in zip(parts, generators, strict=True):
            # Several processes: all but the last part under `no_sync()` of the wrapper; `first` and
            # `total` below summed over processes; and `weighed` times their number, for the
            # wrapper takes the mean of their gradients.
            found = self.step(part.to(self.device), generator)
            first = losses[0].weight if losses else found.weight
            weighed = found.value if found.weight == first else found.value * (found.weight / first)
            self.precision.backward(weighed)
            losses.append(Loss(found.value.detach(), found.weight, found.facts))
        total = sum(loss.weight for loss in losses)
        self.precision.unscale(self.optimizer)
        if len(losses) > 1:
            gradients = [p.grad for p in self.parameters if p.grad is not None]
            torch._foreach_mul_(gradients, first / total)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.gradient_clip_norm)
        self.precision.step(self.optimizer)
        return _mean(losses, total, norm, sum(part.n_clips for part in parts))


def _mean(losses: Sequence[Loss], total: float, norm: Tensor, n_clips: int) -> Taken:
    """Give the means over the parts of a batch, by their weights."""
    if len(losses) == 1:
        (only,) = losses
        return Taken(only.value, only.weight, norm, only.facts, n_clips)
    value = torch.stack([loss.value * loss.weight for loss in losses]).sum() / total
    facts = {
        name: sum(loss.facts[name] * loss.weight for loss in losses) / total
        for name in losses[0].facts
    }
    return Taken(value, total, norm, facts, n_clips)
