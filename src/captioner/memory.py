"""How this process handles the memory it frees."""

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc, malloc.h
NEVER = 2**31 - 1  # bytes


def keep_freed_memory() -> bool:
    """Let this process keep the memory it frees; say whether that could be set (glibc only).

    glibc maps every block of more than 32 MiB anew and gives it back when freed, so the activations
    of a batch of long clips are zeroed and faulted in at every step.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, NEVER))
