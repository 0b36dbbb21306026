"""What a training asks of its process: seeds, threads, a device, memory that is kept."""

import random

import numpy as np
import torch

from captioner.memory import keep_freed_memory


def prepare_process(seed: int, threads: int) -> torch.device:
    """Fix the seeds and, on a CPU, the arithmetic; give the device: a GPU if there is one.

    Results on a CPU are then equal for equal `seed` and `threads`.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    if torch.cuda.is_available():
        return torch.device("cuda")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # Filling memory that is about to be overwritten costs time and changes nothing.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    keep_freed_memory()
    return torch.device("cpu")
