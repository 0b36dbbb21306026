"""The arithmetic of a step: float32, or half precision where that is safe (autocast)."""

import torch
from torch import Tensor

from captioner.errors import InputError

HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Precision:
    """Autocast of forward passes and, for float16, scaling of the loss.

    Weights, gradients and the optimizer stay float32. float16 underflows, so its loss is scaled; a
    step whose gradient overflows is left out and the scale lowered (Micikevicius et al., "Mixed
    precision training", ICLR 2018).
    """

    def __init__(self, name: str, device: torch.device):
        """Take the `precision` of a training's settings: float32, bfloat16 or float16."""
        self._device = device.type
        self._dtype = HALVES.get(name)
        self.scaler = torch.amp.GradScaler(device.type, enabled=name == "float16")

    @property
    def scales(self) -> bool:
        """Whether a gradient that is not finite is no divergence: the scale was too high."""
        return self.scaler.is_enabled()

    def autocast(self) -> torch.autocast:
        """Give the context of a forward pass."""
        return torch.autocast(self._device, self._dtype, enabled=self._dtype is not None)

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a loss, scaled, to the weights'."""
        self.scaler.scale(loss).backward()

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Undo the scaling of the gradients."""
        self.scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Let the optimizer take a step by gradients that `unscale` has been called on."""
        self.scaler.step(optimizer)
        self.scaler.update()

    def check(self, epoch: int) -> None:
        """Raise `InputError` if gradients go on to overflow whatever the scale."""
        if self.scales and self.scaler.get_scale() < 1:
            raise InputError(
                f"training diverged by epoch {epoch}: found gradients that overflow even unscaled, "
                "expected that of steps with too high a scale only. Train with `precision: "
                "bfloat16` or float32."
            )
