"""The optimizer, the learning rate's schedule and early stopping."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

OPTIMIZERS: dict[str, type[torch.optim.Adam]] = {
    "adam": torch.optim.Adam,  # weight decay as a term of the gradient
    "adamw": torch.optim.AdamW,  # decoupled: Loshchilov and Hutter, ICLR 2019
}


def build_optimizer(model: nn.Module, training: dict[str, Any]) -> torch.optim.Optimizer:
    """Give Adam or AdamW over the parameters that train; weight decay on matrices only.

    Biases, gains and other vectors are not decayed.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {
            "params": [parameter for parameter in parameters if parameter.ndim >= 2],
            "weight_decay": training["weight_decay"],
        },
        {
            "params": [parameter for parameter in parameters if parameter.ndim < 2],
            "weight_decay": 0.0,
        },
    ]
    kind = OPTIMIZERS[training["optimizer"]]
    return kind(groups, lr=training["learning_rate"], fused=True)


def learning_rate(epoch: int, training: dict[str, Any]) -> float:
    """Give the learning rate of an epoch, counted from 1.

    Linear warm-up, reached in full by the last warm-up epoch; then constant, or a half cosine
    peak / 2 * (1 + cos(pi * t)), where t goes from 0 in the first epoch after the warm-up towards
    1, which one epoch more than there are would reach.
    """
    peak, warmup = training["learning_rate"], training["warmup_epochs"]
    if epoch <= warmup:
        return peak * epoch / warmup
    if training["schedule"] == "constant":
        return peak
    done = max(epoch - 1 - warmup, 0) / (training["epochs"] - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class EarlyStopping:
    """Which epoch is better than the best so far, and when to stop waiting for one.

    The same criterion selects the weights and counts the patience, as in the released baseline.
    """

    patience: int  # epochs without a better one after which training stops
    minimum_delta: float  # a validation loss must be below the best by more than this

    def better(self, validation_loss: float, best_loss: float) -> bool:
        """Say whether a validation loss improves on the best one so far."""
        return validation_loss < best_loss - self.minimum_delta

    def exhausted(self, epoch: int, best_epoch: int) -> bool:
        """Say whether `patience` epochs, up to this one, have passed since the best."""
        return epoch - best_epoch >= self.patience
