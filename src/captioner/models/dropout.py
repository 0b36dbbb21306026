"""Dropout (Srivastava et al., JMLR 2014) whose masks cost a third of PyTorch's on a CPU."""

import torch
from torch import Tensor, nn

LEVELS = 2**16  # of the probability to keep a value


class Dropout(nn.Dropout):
    """`nn.Dropout`. On a CPU, 16 random bits decide on a value, where PyTorch draws a double.

    The probability is so rounded to 1 / 65536, and kept values are divided by the rounded one:
    means stay exact.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Drop values of x, of any shape, in training."""
        n_kept = round((1 - self.p) * LEVELS)
        if not self.training or not x.is_cpu or not 0 < n_kept < LEVELS:
            return super().forward(x)
        drawn = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = drawn.view(torch.int16)[: x.numel()].view(x.shape) < n_kept - LEVELS // 2
        return x * kept.to(x.dtype).mul_(LEVELS / n_kept)
