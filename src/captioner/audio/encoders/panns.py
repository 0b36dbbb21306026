"""PANNs: CNN10 and CNN14 of Kong et al., "PANNs", IEEE/ACM TASLP 28, 2020, arXiv 1912.10211.

Published weights: Zenodo 3987831. An embedding is what the last block gives after the mean over
frequency.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from captioner.audio.encoders.frontend import Encoder, build_encoder
from captioner.audio.encoders.network import N_CLASSES, AudioSetNetwork, blank, pooled


class _Block(nn.Module):
    """Twice convolution 3x3, batch norm and ReLU."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.bn2 = nn.BatchNorm2d(n_out)

    def fold(self) -> None:
        """Fold the batch norms into the convolutions: equal to 1e-5 of the largest output."""
        self.conv1 = fuse_conv_bn_eval(self.conv1, self.bn1)
        self.conv2 = fuse_conv_bn_eval(self.conv2, self.bn2)
        del self.bn1, self.bn2

    def forward(self, values: torch.Tensor, n_frames: Sequence[int]) -> torch.Tensor:
        values = blank(F.relu_(self.conv1(values)), n_frames, time_axis=2)
        return F.relu_(self.conv2(values))


class Panns(AudioSetNetwork):
    """Blocks with average pools of 2x2 between them; CNN14's sixth is not pooled."""

    n_mels = 64
    channels: ClassVar[tuple[int, ...]]
    n_pools: ClassVar[int]

    def __init__(self) -> None:
        super().__init__()
        for number, (n_in, n_out) in enumerate(pairwise((1, *self.channels)), start=1):
            self.add_module(f"conv_block{number}", _Block(n_in, n_out))
        self.fc1 = nn.Linear(self.n_features, self.n_features)
        self.fc_audioset = nn.Linear(self.n_features, N_CLASSES)

    def rearrange(self) -> None:
        """Fold the batch norms; channels last, which convolutions on a CPU run fastest on."""
        for block in self._blocks():
            block.fold()
        self.to(memory_format=torch.channels_last)

    def n_embeddings(self, n_frames: int) -> int:
        """Give the frames after the pools, which leave out an odd last one."""
        return n_frames // self.stride

    def forward(self, log_mels: torch.Tensor, n_frames: Sequence[int]) -> torch.Tensor:
        """Give frame embeddings (B, T // stride, n_features) of log-mels (B, T, 64)."""
        values = log_mels[:, None].to(memory_format=torch.channels_last)  # (B, C, T, F)
        for number, block in enumerate(self._blocks()):
            values = block(values, n_frames)
            if number < self.n_pools:
                n_frames = [n // 2 for n in n_frames]
                values = blank(F.avg_pool2d(values, 2), n_frames, time_axis=2)
        return values.mean(3).transpose(1, 2)

    def probabilities(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Give the probability (527,) of each class in a clip."""
        hidden = F.relu_(self.fc1(pooled(embeddings)))
        return self.fc_audioset(hidden).sigmoid()

    def _blocks(self) -> list[_Block]:
        return [child for child in self.children() if isinstance(child, _Block)]


class Cnn10(Panns):
    """Four blocks, four pools: an embedding of 512 values every 0.16 s."""

    channels = (64, 128, 256, 512)
    n_features = 512
    n_pools = 4
    stride = 16
    n_frames_min = 16
    context = 2  # its eight convolutions see 30 frames on either side


class Cnn14(Panns):
    """Six blocks, five pools: an embedding of 2048 values every 0.32 s."""

    channels = (64, 128, 256, 512, 1024, 2048)
    n_features = 2048
    n_pools = 5
    stride = 32
    n_frames_min = 32
    context = 4  # its twelve convolutions see 126 frames on either side


NETWORKS: dict[str, type[Panns]] = {"cnn10": Cnn10, "cnn14": Cnn14}


def build(settings: dict[str, Any], weights: Path | None = None) -> Encoder:
    """Build the front-end; raises `InputError` for wrong settings or weights."""
    return build_encoder(NETWORKS[settings["kind"]], settings, weights)
