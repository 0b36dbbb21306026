"""What a training asks of its process: seeds, threads, a device, memory that is kept."""

import ctypes
import platform
import random

import numpy as np
import torch

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc, malloc.h
NEVER = 2**31 - 1  # bytes


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


def keep_freed_memory() -> bool:
    """Let this process keep the memory it frees; say whether that could be set (glibc only).

    glibc maps every block of more than 32 MiB anew and gives it back when freed, so the activations
    of a batch of long clips are zeroed and faulted in at every step.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, NEVER))
