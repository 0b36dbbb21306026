"""The optimizer: what it is over, and the learning rates of the parts of a model."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from captioner.errors import InputError
from captioner.training.schedules import learning_rate

OPTIMIZERS: dict[str, type[torch.optim.Adam]] = {
    "adam": torch.optim.Adam,  # weight decay as a term of the gradient (L2)
    "adamw": torch.optim.AdamW,  # decoupled: Loshchilov and Hutter, ICLR 2019
}


def build_optimizer(model: nn.Module, training: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Give Adam or AdamW over the parameters that train; weight decay on matrices only.

    Biases, gains and other vectors are not decayed. Parts of the model that `learning_rates` names
    have rates of their own; call `freeze_parts` first. Raises `InputError` for a name that is no
    part of the model.
    """
    peaks = _peaks(model, training)
    groups = [
        {
            "params": [
                parameter
                for name, parameter in model.named_parameters()
                if parameter.requires_grad
                and (parameter.ndim >= 2) == matrices
                and peaks[name] == peak
            ],
            "weight_decay": training["weight_decay"] if matrices else 0.0,
            "lr": peak,
            "peak": peak,
        }
        for peak in dict.fromkeys([training["learning_rate"], *peaks.values()])
        for matrices in (True, False)
    ]
    kind = OPTIMIZERS[training["optimizer"]]
    return kind(groups, betas=tuple(training["betas"]), fused=True)


def freeze_parts(model: nn.Module, training: Mapping[str, Any]) -> None:
    """Let the parts with a learning rate of 0 train no more."""
    for name, peak in _peaks(model, training).items():
        if peak == 0:
            model.get_parameter(name).requires_grad_(False)


def set_learning_rates(
    optimizer: torch.optim.Optimizer,
    training: Mapping[str, Any],
    scale: float,
    epoch: int,
    batch: int,
    n_batches: int,
) -> float:
    """Set the learning rates of a step (`learning_rate`), times `scale`; give the model's own.

    Parts with a learning rate of their own keep its ratio to the model's.
    """
    place = epoch, batch, n_batches
    for group in optimizer.param_groups:
        group["lr"] = scale * learning_rate(group["peak"], training, *place)
    return scale * learning_rate(training["learning_rate"], training, *place)


def _peaks(model: nn.Module, training: Mapping[str, Any]) -> dict[str, float]:
    """Give the greatest learning rate of each parameter by its name."""
    rates = training["learning_rates"]
    names = [name for name, _ in model.named_parameters()]
    parts = {_longest(name, rates) for name in names}
    for part in rates:
        if part not in parts and not any(_is_part(name, part) for name in names):
            known = sorted({name.split(".")[0] for name in names})
            raise InputError(
                f"training: learning_rates: found {part!r}, expected the dotted name of a part of "
                f"the model: one of {', '.join(known)}, or a part of one of them"
            )
    return {
        name: training["learning_rate"] if (part := _longest(name, rates)) is None else rates[part]
        for name in names
    }


def _longest(name: str, parts: Mapping[str, float]) -> str | None:
    return max((part for part in parts if _is_part(name, part)), key=len, default=None)


def _is_part(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")
