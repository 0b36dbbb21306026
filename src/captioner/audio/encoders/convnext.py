"""ConvNeXt-Tiny on AudioSet: Pellegrini et al., Interspeech 2023, arXiv 2306.00830.

The network is that of Liu et al., "A ConvNet for the 2020s", CVPR 2022, on log-mels of 224 bands.
Published weights: Zenodo 8020843 and 10987498. An embedding is what the last stage gives after the
mean over frequency, before the final norm.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from captioner.audio.encoders.frontend import Encoder, build_encoder
from captioner.audio.encoders.network import N_CLASSES, AudioSetNetwork, blank, pooled

DEPTHS = (3, 3, 9, 3)
DIMS = (96, 192, 384, 768)
EPSILON = 1e-6
STEM = 4  # log-mel frames and bands of a patch; as many frames are padded at both ends


class _Block(nn.Module):
    """Depthwise 7x7, LayerNorm, two linear layers with GELU, added to the input."""

    def __init__(self, dim: int):
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, EPSILON)
        self.pwconv1 = nn.Linear(dim, 4 * dim)
        self.pwconv2 = nn.Linear(4 * dim, dim)
        self.gamma = nn.Parameter(torch.empty(dim))

    def fold(self) -> None:
        """Fold the layer scale into the second linear layer, and make both convolutions of 1x1.

        Equal to rounding; these convolutions need an eighth less time on a CPU.
        """
        self.pwconv2.weight.mul_(self.gamma[:, None])
        self.pwconv2.bias.mul_(self.gamma)
        del self.gamma
        self.expand, self.contract = _pointwise(self.pwconv1), _pointwise(self.pwconv2)
        del self.pwconv1, self.pwconv2

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        inner = _over_channels(self.norm, self.dwconv(values))
        return values + self.contract(F.gelu(self.expand(inner)))


class _Stem(nn.Sequential):
    """Patches of 4x4, then LayerNorm."""

    def __init__(self) -> None:
        patches = nn.Conv2d(1, DIMS[0], STEM, stride=STEM, padding=(STEM, 0))
        super().__init__(patches, nn.LayerNorm(DIMS[0], EPSILON))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        patches, norm = self
        return _over_channels(norm, patches(values))


class _Halving(nn.Sequential):
    """LayerNorm, then patches of 2x2."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__(nn.LayerNorm(n_in, EPSILON), nn.Conv2d(n_in, n_out, 2, stride=2))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        norm, patches = self
        halved: torch.Tensor = patches(_over_channels(norm, values))
        return halved


class ConvNextTiny(AudioSetNetwork):
    """Four stages: an embedding of 768 values every 0.32 s."""

    n_mels = 224
    n_features = DIMS[-1]
    stride = 32
    n_frames_min = 24
    context = 26  # its eighteen 7x7 convolutions see 828 frames on either side, and a patch more

    def __init__(self) -> None:
        super().__init__()
        self.downsample_layers = nn.ModuleList([_Stem(), *map(_Halving, DIMS, DIMS[1:])])
        self.stages = nn.ModuleList(
            nn.Sequential(*(_Block(dim) for _ in range(depth)))
            for depth, dim in zip(DEPTHS, DIMS, strict=True)
        )
        self.norm = nn.LayerNorm(self.n_features, EPSILON)
        self.head_audioset = nn.Linear(self.n_features, N_CLASSES)

    def rearrange(self) -> None:
        """Fold the layer scales; channels last, so that norms and linear layers copy nothing."""
        for module in self.modules():
            if isinstance(module, _Block):
                module.fold()
        self.to(memory_format=torch.channels_last)

    def n_embeddings(self, n_frames: int) -> int:
        """Give the patches after three halvings, each of which leaves out an odd last one."""
        return _n_patches(n_frames) // 8

    def forward(self, log_mels: torch.Tensor, n_frames: Sequence[int]) -> torch.Tensor:
        """Give frame embeddings (B, n_embeddings, 768) of log-mels (B, T, 224)."""
        values = log_mels[:, None].to(memory_format=torch.channels_last)  # (B, C, T, F)
        n_rows = [_n_patches(n) for n in n_frames]
        for layers, stage in zip(self.downsample_layers, self.stages, strict=True):
            values = layers(values)
            if isinstance(layers, _Halving):
                n_rows = [n // 2 for n in n_rows]
            for block in stage.children():
                values = block(blank(values, n_rows, time_axis=2))
        return values.mean(3).transpose(1, 2)

    def probabilities(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Give the probability (527,) of each class in a clip."""
        return self.head_audioset(self.norm(pooled(embeddings))).sigmoid()


def _n_patches(n_frames: int) -> int:
    """Give the rows of patches, with the padding at both ends."""
    return (n_frames + STEM) // STEM + 1


def _pointwise(linear: nn.Linear) -> nn.Conv2d:
    """Give the convolution of 1x1 that does what a linear layer does to the channels."""
    convolution = nn.Conv2d(linear.in_features, linear.out_features, 1, device="meta")
    weights = {"weight": linear.weight[:, :, None, None], "bias": linear.bias}
    convolution.load_state_dict(weights, assign=True)
    return convolution.requires_grad_(False)


def _over_channels(norm: nn.Module, values: torch.Tensor) -> torch.Tensor:
    """Apply a LayerNorm to the channels of (B, C, T, F)."""
    normalised: torch.Tensor = norm(values.permute(0, 2, 3, 1))
    return normalised.permute(0, 3, 1, 2)


def build(settings: dict[str, Any], weights: Path | None = None) -> Encoder:
    """Build the front-end; raises `InputError` for wrong settings or weights."""
    return build_encoder(ConvNextTiny, settings, weights)
