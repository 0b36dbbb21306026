"""What a training asks of its process: seeds, threads, a device, memory that is kept."""

import os
import random

import numpy as np
import torch

from captioner.errors import InputError
from captioner.memory import keep_freed_memory


def prepare_process(seed: int, threads: int) -> torch.device:
    """Fix the seeds and, on a CPU, the arithmetic; give the device: a GPU if there is one.

    Results on a CPU are then equal for equal `seed` and `threads`. Of several processes on a
    machine each has its own GPU; `InputError` if there are too few.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    if torch.cuda.is_available():
        return _gpu()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # Filling memory that is about to be overwritten costs time and changes nothing.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    keep_freed_memory()
    return torch.device("cpu")


def _gpu() -> torch.device:
    if "LOCAL_RANK" not in os.environ:  # this process trains alone
        return torch.device("cuda")
    index, n_gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if index >= n_gpus:
        raise InputError(
            f"gpus: found {n_gpus} on this machine, expected one for each of the "
            f"{os.environ['LOCAL_WORLD_SIZE']} processes of the training. Lower `gpus`."
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)
