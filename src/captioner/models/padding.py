"""From the features of single clips to a batch."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from captioner.models.interface import Padding


def pad(clips: Sequence[np.ndarray], side: Padding, at_least: int = 0) -> tuple[Tensor, Tensor]:
    """Pad clips (n_frames, F) with zeros on `side` to the longest of them, or `at_least` frames.

    Returns (B, T, F) in the dtype of the clips, and the numbers of frames (B,) int64.
    """
    lengths = [len(clip) for clip in clips]
    padded = np.zeros((len(clips), max(at_least, *lengths), clips[0].shape[1]), clips[0].dtype)
    for row, clip in zip(padded, clips, strict=True):
        start = len(row) - len(clip) if side == "front" else 0
        row[start : start + len(clip)] = clip
    return torch.from_numpy(padded), torch.tensor(lengths)
