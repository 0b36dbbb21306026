"""A PANNs CNN inside the system, fine-tuned from its published weights, and the small decoder.

CNN10: Kong et al., "PANNs", IEEE/ACM TASLP 28, 2020, arXiv 1912.10211; weights: Zenodo 3987831. It
hears the log-mels that it was trained on (`logmel-panns`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captioner.audio.encoders.checkpoint import read_weights
from captioner.errors import InputError
from captioner.models.convolution import frame_mask
from captioner.models.dropout import Dropout
from captioner.models.interface import Axis, Memory
from captioner.models.normalisation import SMALLEST_STD
from captioner.models.transformer_captioner import FrameCaptioner, FrameDims

BATCH_NORM_EPS = 1e-5
# Parts of a checkpoint that frame embeddings do not need: the transform, and the tags' layers.
UNUSED = ("spectrogram_extractor.", "logmel_extractor.", "fc1.", "fc_audioset.")
COUNTER = "num_batches_tracked"
ENCODED_AT_ONCE = 16  # clips, where no gradients are kept: 1.6 GB at 30 s each, whatever the batch


@dataclass(frozen=True, kw_only=True)
class CnnTransformerDims(FrameDims):
    """Dims of the fine-tuned CNN and the decoder."""

    family: ClassVar[str] = "cnn_transformer"

    n_channels: tuple[int, ...] = (64, 128, 256, 512)  # two convolutions and a pool each: CNN10
    encoder_dropout: float = 0.2  # after each pool, as the CNN was trained

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_probability("encoder_dropout")
        self.require_positive("n_channels")
        n_features, needed = self.n_features[self.frontend()], 2 ** len(self.n_channels)
        if n_features < needed:
            raise InputError(
                f"found {n_features} features a frame; expected {needed} or more, which the "
                f"{len(self.n_channels)} pools of `n_channels` halve"
            )


class FrozenBatchNorm(nn.Module):
    """A batch norm whose statistics stay what they were: gains and biases are trained.

    So a clip's output depends neither on its batch nor on padding, in training too, and the norm
    folds into the convolution before it.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, n_channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_channels))
        self.bias = nn.Parameter(torch.zeros(n_channels))
        self.register_buffer("running_mean", torch.zeros(n_channels))
        self.register_buffer("running_var", torch.ones(n_channels))

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Give what channels are multiplied by, and what is added then, (C,) each."""
        scale = self.weight * (self.running_var + BATCH_NORM_EPS).rsqrt()
        return scale, self.bias - self.running_mean * scale


class Block(nn.Module):
    """Twice convolution 3x3, batch norm and ReLU; an average pool of 2x2."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn1 = FrozenBatchNorm(n_out)
        self.bn2 = FrozenBatchNorm(n_out)
        for convolution in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")

    def forward(self, x: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, C, T, F), zero behind each clip, to half of T and F, rounded down.

        One frame is left at least: the zeros behind a clip fill its last pool.
        """
        padding = ~frame_mask(n_frames, x.shape[2])[:, None, :, None]
        for convolution, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2)):
            scale, shift = norm.scale_and_shift()
            weight = convolution.weight * scale[:, None, None, None]
            x = F.conv2d(x, weight, shift, padding=1)
            # In place: what ReLU keeps for its gradient is what the next convolution keeps.
            x = F.relu_(x.masked_fill_(padding, 0.0))
        n_frames = (n_frames // 2).clamp(min=1)
        x = F.avg_pool2d(x, 2)
        return x.masked_fill_(~frame_mask(n_frames, x.shape[2])[:, None, :, None], 0.0), n_frames


class Cnn(nn.Module):
    """The convolutions of a PANNs CNN, under their published names; frame embeddings come out."""

    def __init__(self, n_features: int, n_channels: tuple[int, ...], dropout: float):
        super().__init__()
        self.bn0 = FrozenBatchNorm(n_features)
        self.n_blocks = len(n_channels)
        for number, (n_in, n_out) in enumerate(pairwise((1, *n_channels)), start=1):
            self.add_module(f"conv_block{number}", Block(n_in, n_out))
        self.dropout = Dropout(dropout)
        self.to(memory_format=torch.channels_last)

    def forward(self, log_mels: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T, F) and n_frames (B,) to (B, M, C), a frame for 2**n_blocks, and the M."""
        scale, shift = self.bn0.scale_and_shift()
        x = log_mels * scale + shift
        x = x * frame_mask(n_frames, x.shape[1])[:, :, None]
        shortest = 2**self.n_blocks
        if x.shape[1] < shortest:
            x = F.pad(x, (0, 0, 0, shortest - x.shape[1]))
        x = x[:, None].to(memory_format=torch.channels_last)
        for number in range(1, self.n_blocks + 1):
            x, n_frames = self.get_submodule(f"conv_block{number}")(x, n_frames)
            x = self.dropout(x)
        return x.mean(3).transpose(1, 2), n_frames

    def load(self, path: Path) -> None:
        """Take the weights of a published checkpoint.

        Raises `InputError` for another network's, naming what is missing, unknown or misshapen.
        """
        found = {
            name: value
            for name, value in read_weights(path).items()
            if not name.startswith(UNUSED) and not name.endswith(COUNTER)
        }
        shapes = {name: tuple(value.shape) for name, value in self.state_dict().items()}
        wrong = [f"{name} is missing" for name in shapes.keys() - found.keys()]
        wrong += [f"{name} is unknown" for name in found.keys() - shapes.keys()]
        wrong += [
            f"{name} is {tuple(found[name].shape)} instead of {shape}"
            for name, shape in shapes.items()
            if name in found and tuple(found[name].shape) != shape
        ]
        if wrong:
            raise InputError(
                f"{path}: found a checkpoint that does not fit an encoder with these `n_channels` "
                f"and features: {'; '.join(sorted(wrong))}. Expected the network that `model:` "
                "describes, on the front-end logmel-panns."
            )
        self.load_state_dict(found)


class CnnTransformer(FrameCaptioner):
    """CNN10, or what `n_channels` makes of it, and a Transformer decoder on its embeddings."""

    Dims = CnnTransformerDims
    family = CnnTransformerDims.family
    dims: CnnTransformerDims

    def __init__(self, dims: CnnTransformerDims):
        super().__init__(dims)
        n_features = dims.n_features[dims.frontend()]
        self.encoder = Cnn(n_features, dims.n_channels, dims.encoder_dropout)
        self.frames = self.projection(dims.n_channels[-1])

    def set_normalisation(self, statistics: Mapping[str, tuple[object, object]]) -> None:
        """Begin the batch norm over the bands with the features' statistics.

        Those of a pretrained encoder, loaded later, take their place.
        """
        mean, std = map(torch.as_tensor, statistics[self.dims.frontend()])
        norm = self.encoder.bn0
        norm.running_mean.copy_(mean)
        variance = std.square()
        constant = std < SMALLEST_STD
        norm.running_var.copy_(torch.where(constant, torch.ones_like(variance), variance))

    def load_pretrained(self, checkpoints: Mapping[str, Path]) -> None:
        """Start the CNN from a published checkpoint: `{encoder: Cnn10_mAP=0.380.pth}`."""
        for part, path in checkpoints.items():
            if part != "encoder":
                raise InputError(
                    f"pretrained: found {part!r}; the family {self.family} has the pretrained part "
                    "encoder only"
                )
            self.encoder.load(path)

    def encode(self, features: Mapping[str, Tensor], n_frames: Mapping[str, Tensor]) -> Memory:
        """Encode clips: n frames become n / 2**(number of blocks) positions, rounded down."""
        frontend = self.dims.frontend()
        log_mels, lengths = features[frontend], n_frames[frontend]
        n = len(log_mels) if torch.is_grad_enabled() else ENCODED_AT_ONCE
        some = zip(log_mels.split(n), lengths.split(n), strict=True)
        x, n_valid = map(torch.cat, zip(*(self.encoder(*part) for part in some), strict=True))
        return Memory(self.frames(x), frame_mask(n_valid, x.shape[1]))

    def axes(self, n_frames: Mapping[str, int]) -> list[Axis]:
        """Place the memory's positions, each of 2**(number of blocks) frames."""
        frontend, step = self.dims.frontend(), 2**self.encoder.n_blocks
        return [Axis.pooled(frontend, max(1, n_frames[frontend] // step), step)]


MODEL = CnnTransformer
