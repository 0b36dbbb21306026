"""A training shared by several processes, one per GPU (or some on CPUs), on one machine or several.

Every process plans the same batches, takes its parts of each, and adds up gradients and figures
with the others; so each has the weights that one process would have, up to rounding. The first one
alone validates, writes and reports.
"""

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed
from torch import Tensor

WAIT = timedelta(hours=6)  # for the first process, which validates; a death is noticed at once


class Processes:
    """The processes of a training, seen from one of them."""

    def __init__(self, device: torch.device):
        """Join the others, as `torchrun` names them in the environment; wait for all."""
        self.device = device
        if device.type == "cuda":
            torch.distributed.init_process_group("nccl", timeout=WAIT, device_id=device)
        else:
            torch.distributed.init_process_group("gloo", timeout=WAIT)
        self.rank = torch.distributed.get_rank()
        self.n = torch.distributed.get_world_size()

    @classmethod
    def join(cls, device: torch.device) -> "Processes | None":
        """Join the others; None where this process was started alone."""
        return cls(device) if "TORCHELASTIC_RUN_ID" in os.environ else None

    def leave(self) -> None:
        """Leave the others, at the end."""
        torch.distributed.destroy_process_group()

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Add up float32 tensors over the processes, in place, in one go."""
        together = torch.cat([values.flatten() for values in tensors])
        torch.distributed.all_reduce(together)
        sums = together.split([values.numel() for values in tensors])
        for values, found in zip(tensors, sums, strict=True):
            values.copy_(found.view_as(values))

    def agree(self, value: Any) -> Any:
        """Give the first process's value to all."""
        values = [value]
        torch.distributed.broadcast_object_list(values, device=self.device)
        return values[0]
