"""One step of a training: forward and backward passes of a batch's parts, then the optimizer.

Of several processes each takes some of the parts, and all take the same step together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from captioner.models.interface import Captioner
from captioner.training.batches import Batch
from captioner.training.distributed import Processes
from captioner.training.losses import Loss, Objective
from captioner.training.precision import Precision

MOST_FACTS = 16  # of an objective: a process without a part does not know how many there are


class Step(nn.Module):
    """The forward pass of a step, as a module: what is compiled.

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
    weight: float | Tensor  # of the batch in the mean of the epoch
    gradient_norm: Tensor  # 2-norm before clipping
    facts: Mapping[str, float | Tensor]
    n_clips: int | Tensor  # encoded


class Stepper:
    """Takes steps. Parts of a batch are weighed so that the gradient is that of the whole."""

    def __init__(
        self,
        step: nn.Module,
        optimizer: torch.optim.Optimizer,
        precision: Precision,
        gradient_clip_norm: float,
        device: torch.device,
        processes: Processes | None = None,
    ):
        """`step` is a `Step`, compiled or not; `processes` share its batches."""
        self.step = step
        self.optimizer = optimizer
        self.precision = precision
        self.gradient_clip_norm = gradient_clip_norm
        self.device = device
        self.processes = processes
        self.parameters = [weights for weights in step.parameters() if weights.requires_grad]
        self._used: list[nn.Parameter] | None = None

    def take(self, parts: Sequence[Batch], generators: Sequence[torch.Generator]) -> Taken:
        """Take one step by the parts of one batch, each with its random generator.

        A mean over the batch is the mean of its parts' means by their weights w / (sum of all w).
        The sum is known only at the end, so a part's gradient is weighed by w / (w of the first),
        and all together then by (w of the first) / (sum of all w): 1 for a batch in one part.

        Of several processes each gives its share of the parts, maybe none.
        """
        self.optimizer.zero_grad(set_to_none=True)
        losses: list[Loss] = []
        for part, generator in zip(parts, generators, strict=True):
            found = self.step(part.to(self.device), generator)
            first = losses[0].weight if losses else found.weight
            weighed = found.value if found.weight == first else found.value * (found.weight / first)
            self.precision.backward(weighed)
            losses.append(Loss(found.value.detach(), found.weight, found.facts))
        n_clips = sum(part.n_clips for part in parts)
        if self.processes is not None:
            return self._step_together(self.processes, losses, n_clips)
        total = sum(loss.weight for loss in losses)
        norm = self._step(first / total if len(losses) > 1 else None)
        return _mean(losses, total, norm, n_clips)

    def _step(self, scale: float | Tensor | None) -> Tensor:
        """Scale the gradient, clip it and let the optimizer step; give its norm before clipping."""
        self.precision.unscale(self.optimizer)
        if scale is not None:
            torch._foreach_mul_([p.grad for p in self.parameters if p.grad is not None], scale)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.gradient_clip_norm)
        self.precision.step(self.optimizer)
        return norm

    def _step_together(self, processes: Processes, losses: Sequence[Loss], n_clips: int) -> Taken:
        """Take the step of all processes, after the backward passes of this one's parts."""
        gradients = self._gradients_of_all(processes)
        figures = torch.zeros(3 + MOST_FACTS, device=self.device)
        names: list[str] = []
        if losses:
            torch._foreach_mul_(gradients, losses[0].weight)
            names = sorted(losses[0].facts)
            figures[1] = n_clips
            for loss in losses:
                figures[0] += loss.weight
                figures[2] += loss.weight * loss.value
                for place, name in enumerate(names, 3):
                    figures[place] += loss.weight * loss.facts[name]
        processes.add_up([*gradients, figures])
        means = figures / figures[0]
        norm = self._step(1 / figures[0])
        facts = dict(zip(names, means[3:], strict=False))
        return Taken(means[2], figures[0], norm, facts, figures[1])

    def _gradients_of_all(self, processes: Processes) -> list[Tensor]:
        """Give this process's gradients of the parameters that any process has one of."""
        if self._used is None:
            found = [float(weights.grad is not None) for weights in self.parameters]
            any_found = torch.tensor(found, device=self.device)
            processes.add_up([any_found])
            found = any_found.tolist()
            self._used = [p for p, used in zip(self.parameters, found, strict=True) if used]
        for weights in self._used:
            if weights.grad is None:
                weights.grad = torch.zeros_like(weights)
        return [weights.grad for weights in self._used if weights.grad is not None]


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
