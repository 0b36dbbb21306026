"""Convolutions that padding never leaks into, and the places of a batch that are a clip's own."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captioner.models.interface import Axis


def frame_mask(n_frames: Tensor, n_positions: int) -> Tensor:
    """Mark the valid positions of each clip: (B,) int64 to (B, n_positions) bool."""
    return torch.arange(n_positions, device=n_frames.device) < n_frames[:, None]


class Convolution(nn.Module):
    """A 3x3 convolution of stride 2 in time and frequency, layer norm over channels, GELU.

    Frames beyond a clip's own are set to zero before it, just what the convolution itself puts
    behind a clip that stands alone.
    """

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.convolution = nn.Conv2d(n_in, n_out, kernel_size=3, stride=2, padding=1)
        self.norm = nn.LayerNorm(n_out)

    def forward(self, x: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T, F, C) and n_frames (B,) to half of T and F, and of the frames, rounded up."""
        x = x * frame_mask(n_frames, x.shape[1])[:, :, None, None]
        x = self.convolution(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return F.gelu(self.norm(x)), (n_frames + 1) // 2


class StridedConvolutions(nn.ModuleList):
    """One `Convolution` after another, from features to frames of `n_outputs` values."""

    def __init__(self, n_features: int, n_channels: tuple[int, ...]):
        channels = (1, *n_channels)
        super().__init__(map(Convolution, channels, channels[1:]))
        for _ in n_channels:
            n_features = (n_features + 1) // 2
        self.n_outputs = n_features * channels[-1]

    def forward(self, features: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T, F) and n_frames (B,) to (B, M, n_outputs) and the clips' own of the M."""
        x = features[..., None]  # (B, T, F, 1)
        for convolution in self:
            x, n_frames = convolution(x, n_frames)
        return x.flatten(2), n_frames

    def axis(self, frontend: str, n_frames: int) -> Axis:
        """Place the positions that a clip's frames become: the middle of the first is frame 0."""
        for _ in self:
            n_frames = (n_frames + 1) // 2
        return Axis(frontend, n_frames, 0.0, 2 ** len(self))
