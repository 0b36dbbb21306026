"""A small autoregressive system: strided convolutions and a few Transformer layers, from scratch.

Padding never leaks: frames beyond a clip's own are set to zero before each convolution, just what
the convolution itself puts behind a clip that stands alone, and norms act frame by frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captioner.errors import InputError
from captioner.models import dims
from captioner.models.interface import Captioner, Memory
from captioner.models.normalisation import Normalisation
from captioner.models.transformer import Decoder, DecoderState, EncoderLayer, sinusoids


@dataclass(frozen=True, kw_only=True)
class ConvTransformerDims(dims.Dims):
    """Dims of the convolutional Transformer."""

    family: ClassVar[str] = "conv_transformer"

    n_channels: tuple[int, ...] = (16, 32, 64)  # one convolution each, halving time and frequency
    n_hidden: int = 128
    n_heads: int = 4
    n_encoder_layers: int = 1
    n_decoder_layers: int = 2
    n_feedforward: int = 256
    dropout: float = 0.2
    normalise: bool = True  # features by the statistics of the training split

    def __post_init__(self) -> None:
        self.frontend()
        self.require_at_least(4, "n_hidden")
        self.require_at_least(1, "n_heads", "n_decoder_layers", "n_feedforward")
        self.require_at_least(0, "n_encoder_layers")
        self.require_probability("dropout")
        if self.n_hidden % (2 * self.n_heads):
            raise InputError(
                f"n_hidden is {self.n_hidden}; expected a multiple of 2 * n_heads ({self.n_heads})"
            )
        if not self.n_channels or min(self.n_channels) < 1:
            raise InputError(f"n_channels is {list(self.n_channels)}; expected positive numbers")


def frame_mask(n_frames: Tensor, n_positions: int) -> Tensor:
    """Mark the valid positions of each clip: (B,) int64 to (B, n_positions) bool."""
    return torch.arange(n_positions, device=n_frames.device) < n_frames[:, None]


class Convolution(nn.Module):
    """A 3x3 convolution of stride 2 in time and frequency, layer norm over channels, GELU."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.convolution = nn.Conv2d(n_in, n_out, kernel_size=3, stride=2, padding=1)
        self.norm = nn.LayerNorm(n_out)

    def forward(self, x: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T, F, C) and n_frames (B,) to half of T and F, and of the frames, rounded up."""
        x = x * frame_mask(n_frames, x.shape[1])[:, :, None, None]
        x = self.convolution(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return F.gelu(self.norm(x)), (n_frames + 1) // 2


class ConvTransformer(Captioner[DecoderState]):
    """Convolutions and Transformer encoder layers; a Transformer decoder with tied embeddings."""

    Dims = ConvTransformerDims
    family = ConvTransformerDims.family
    padding = "back"
    equal_lengths = False
    autoregressive = True

    def __init__(self, dims: ConvTransformerDims):
        super().__init__()
        self.dims = dims
        n_features = dims.n_features[dims.frontend()]
        layer = (dims.n_hidden, dims.n_heads, dims.n_feedforward, dims.dropout)
        self.normalisation = Normalisation(n_features) if dims.normalise else None
        channels = (1, *dims.n_channels)
        self.convolutions = nn.ModuleList(map(Convolution, channels, channels[1:]))
        for _ in dims.n_channels:
            n_features = (n_features + 1) // 2
        self.projection = nn.Linear(n_features * channels[-1], dims.n_hidden)
        self.encoder_layers = nn.ModuleList(
            EncoderLayer(*layer) for _ in range(dims.n_encoder_layers)
        )
        self.memory_norm = nn.LayerNorm(dims.n_hidden)
        self.embedding = nn.Embedding(dims.n_tokens, dims.n_hidden)
        nn.init.normal_(self.embedding.weight, std=dims.n_hidden**-0.5)
        self.decoder = Decoder(dims.n_decoder_layers, *layer)
        self.classifier_bias = nn.Parameter(torch.zeros(dims.n_tokens))
        self.dropout = nn.Dropout(dims.dropout)

    def set_normalisation(self, statistics: Mapping[str, tuple[Any, Any]]) -> None:
        """Set the mean and standard deviation, each (F,), of the front-end's features."""
        if self.normalisation is not None:
            self.normalisation.set(*statistics[self.dims.frontend()])

    def encode(self, features: Mapping[str, Tensor], n_frames: Mapping[str, Tensor]) -> Memory:
        """Encode clips: n frames become n / 2**(number of convolutions) positions, rounded up."""
        x, n_valid = features[self.dims.frontend()], n_frames[self.dims.frontend()]
        if self.normalisation is not None:
            x = self.normalisation(x)
        x = x[..., None]  # (B, T, F, 1)
        for convolution in self.convolutions:
            x, n_valid = convolution(x, n_valid)
        x = self.projection(x.flatten(2))  # (B, M, D)
        mask = frame_mask(n_valid, x.shape[1])
        x = self.dropout(x + sinusoids(0, x.shape[1], self.dims.n_hidden, x.device))
        for layer in self.encoder_layers:
            x = layer(x, mask)
        return Memory(self.memory_norm(x), mask)

    def embed(self, tokens: Tensor) -> Tensor:
        """Embed tokens (N, L) as (N, L, D), scaled to unit variance."""
        return self.embedding(tokens) * self.dims.n_hidden**0.5

    def forward(self, memory: Memory, embedded: Tensor) -> Tensor:
        """Give the logits (N, L, V) after each embedded word (N, L, D), all at once."""
        state = self.decoder.start(memory.values, memory.mask, len(embedded))
        return self._classify(self.decoder(embedded, state)[0])

    def start(self, memory: Memory, prefix: Tensor, n_beams: int) -> DecoderState:
        """Feed the prefix but its last token."""
        rows = prefix.repeat_interleave(n_beams, dim=0)
        state = self.decoder.start(memory.values, memory.mask, len(rows))
        if rows.shape[1] > 1:
            _, state = self.decoder(self.embed(rows[:, :-1]), state)
        return state

    def step(self, state: DecoderState, tokens: Tensor) -> tuple[Tensor, DecoderState]:
        """Feed one token (N,) to each row: the logits (N, V) of the next, from the cached past."""
        decoded, state = self.decoder(self.embed(tokens[:, None]), state)
        return self._classify(decoded[:, 0]), state

    def _classify(self, decoded: Tensor) -> Tensor:
        return F.linear(decoded, self.embedding.weight, self.classifier_bias)


MODEL = ConvTransformer
