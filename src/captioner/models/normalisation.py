"""Normalisation of features inside the model, by the statistics of the training split."""

from typing import Any

import torch
from torch import Tensor, nn

SMALLEST_STD = 1e-5  # below, a feature is constant but for rounding: it is centred, not scaled


class Normalisation(nn.Module):
    """Subtract the mean and divide by the standard deviation, per feature; identity until `set`."""

    mean: Tensor
    std: Tensor

    def __init__(self, n_features: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("std", torch.ones(n_features))

    def set(self, mean: Any, std: Any) -> None:
        """Set the statistics, each (F,), arrays or tensors."""
        std = torch.as_tensor(std)
        self.mean.copy_(torch.as_tensor(mean))
        self.std.copy_(torch.where(std < SMALLEST_STD, torch.ones_like(std), std))

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, T, F) to the same shape."""
        return (features - self.mean) / self.std
