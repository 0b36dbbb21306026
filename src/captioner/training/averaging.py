"""Averages of the weights on the way: they are what is validated, kept and saved.

Both average parameters; buffers (statistics of normalisation layers) are the training's newest.
"""

import copy
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from captioner.models.interface import Captioner


class Averaging(Protocol):
    """An average of a model's weights over a training."""

    model: Captioner  # with the averaged weights

    def after_step(self, trained: Captioner) -> None:
        """Take in the weights after a step."""

    def after_epoch(self, trained: Captioner) -> None:
        """Take in the weights after an epoch, before its validation."""

    def state_dict(self) -> dict[str, Any]:
        """Give the state for an exact continuation."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""


def build_averaging(model: Captioner, settings: Mapping[str, Any] | None) -> Averaging | None:
    """Give the average that the `averaging` of a training's settings asks for, or None."""
    if settings is None:
        return None
    if settings["kind"] == "ema":
        return ExponentialAverage(model, settings["decay"])
    return LastEpochs(model, settings["n"])


class ExponentialAverage:
    """An exponential mean over the steps (Polyak averaging with forgetting).

    The mean starts at the first weights, which soon should not matter: after n steps the decay is
    at most (1 + n) / (10 + n), as in TensorFlow's `ExponentialMovingAverage`.
    """

    def __init__(self, model: Captioner, decay: float):
        self.model = _copied(model)
        self.decay = decay
        self.n_steps = 0

    def after_step(self, trained: Captioner) -> None:
        """Move the mean towards the new weights."""
        self.n_steps += 1
        decay = min(self.decay, (1 + self.n_steps) / (10 + self.n_steps))
        means: list[Tensor] = list(self.model.parameters())
        weights: list[Tensor] = list(trained.parameters())
        with torch.no_grad():
            torch._foreach_lerp_(means, weights, 1 - decay)

    def after_epoch(self, trained: Captioner) -> None:
        """Take the newest buffers."""
        _copy_buffers(trained, self.model)

    def state_dict(self) -> dict[str, Any]:
        """Give the mean and how many steps it has seen."""
        return {"model": self.model.state_dict(), "n_steps": self.n_steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.model.load_state_dict(state["model"])
        self.n_steps = state["n_steps"]


class LastEpochs:
    """The plain mean over the ends of the last epochs; of fewer while there are fewer."""

    def __init__(self, model: Captioner, n_epochs: int):
        self.model = _copied(model)
        self.n_epochs = n_epochs
        self.ends: list[list[Tensor]] = []  # epoch, parameter; in main memory

    def after_step(self, trained: Captioner) -> None:
        """Steps within an epoch do not count."""

    def after_epoch(self, trained: Captioner) -> None:
        """Take in the end of an epoch; the oldest leaves."""
        self.ends.append([value.detach().to("cpu", copy=True) for value in trained.parameters()])
        del self.ends[: -self.n_epochs]
        self._average()
        _copy_buffers(trained, self.model)

    def _average(self) -> None:
        with torch.no_grad():
            for mean, *values in zip(self.model.parameters(), *self.ends, strict=True):
                mean.copy_(torch.stack(values).mean(0))

    def state_dict(self) -> dict[str, Any]:
        """Give the weights at the ends of the epochs."""
        return {"ends": self.ends, "buffers": dict(self.model.named_buffers())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.ends = state["ends"]
        if self.ends:
            self._average()
        for name, value in self.model.named_buffers():
            value.copy_(state["buffers"][name])


def _copied(model: Captioner) -> Captioner:
    return copy.deepcopy(model).requires_grad_(False).eval()


def _copy_buffers(source: Captioner, target: Captioner) -> None:
    for value, copied in zip(source.buffers(), target.buffers(), strict=True):
        copied.copy_(value)
