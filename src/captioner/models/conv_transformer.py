"""A small autoregressive system: strided convolutions and a few Transformer layers, from scratch.

Padding never leaks: convolutions see zeros behind a clip, norms act frame by frame. The embeddings
of words classify them too: embeddings set from elsewhere, of `n_hidden` values, start both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captioner.errors import InputError
from captioner.models import dims
from captioner.models.convolution import StridedConvolutions, frame_mask
from captioner.models.dropout import Dropout
from captioner.models.interface import Axis, Memory
from captioner.models.normalisation import Normalisation
from captioner.models.transformer import Decoder, EncoderLayer, sinusoids
from captioner.models.transformer_captioner import TransformerCaptioner
from captioner.models.words import WordEmbedding


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
        self.require_positive("n_channels")


class ConvTransformer(TransformerCaptioner):
    """Convolutions and Transformer encoder layers; a Transformer decoder with tied embeddings."""

    Dims = ConvTransformerDims
    family = ConvTransformerDims.family

    def __init__(self, dims: ConvTransformerDims):
        super().__init__()
        self.dims = dims
        n_features = dims.n_features[dims.frontend()]
        layer = (dims.n_hidden, dims.n_heads, dims.n_feedforward, dims.dropout)
        self.normalisation = Normalisation(n_features) if dims.normalise else None
        self.convolutions = StridedConvolutions(n_features, dims.n_channels)
        self.projection = nn.Linear(self.convolutions.n_outputs, dims.n_hidden)
        self.encoder_layers = nn.ModuleList(
            EncoderLayer(*layer) for _ in range(dims.n_encoder_layers)
        )
        self.memory_norm = nn.LayerNorm(dims.n_hidden)
        self.embedding = WordEmbedding(dims.n_tokens, dims.n_hidden, dims.n_hidden)
        self.decoder = Decoder(dims.n_decoder_layers, *layer)
        self.classifier_bias = nn.Parameter(torch.zeros(dims.n_tokens))
        self.dropout = Dropout(dims.dropout)

    def set_normalisation(self, statistics: Mapping[str, tuple[Any, Any]]) -> None:
        """Set the mean and standard deviation, each (F,), of the front-end's features."""
        if self.normalisation is not None:
            self.normalisation.set(*statistics[self.dims.frontend()])

    def encode(self, features: Mapping[str, Tensor], n_frames: Mapping[str, Tensor]) -> Memory:
        """Encode clips: n frames become n / 2**(number of convolutions) positions, rounded up."""
        x, n_valid = features[self.dims.frontend()], n_frames[self.dims.frontend()]
        if self.normalisation is not None:
            x = self.normalisation(x)
        x, n_valid = self.convolutions(x, n_valid)
        x = self.projection(x)  # (B, M, D)
        mask = frame_mask(n_valid, x.shape[1])
        x = self.dropout(x + sinusoids(0, x.shape[1], self.dims.n_hidden, x.device))
        for layer in self.encoder_layers:
            x = layer(x, mask)
        return Memory(self.memory_norm(x), mask)

    def axes(self, n_frames: Mapping[str, int]) -> list[Axis]:
        """Place the memory's positions, 2**(number of convolutions) frames apart."""
        frontend = self.dims.frontend()
        return [self.convolutions.axis(frontend, n_frames[frontend])]

    def classify(self, decoded: Tensor) -> Tensor:
        """Give the logits (..., V) of decoded words (..., D), by the embeddings themselves."""
        return F.linear(decoded, self.embedding.weight, self.classifier_bias)


MODEL = ConvTransformer
