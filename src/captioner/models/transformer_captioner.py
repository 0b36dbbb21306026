"""What the families with a Transformer decoder share, and the small decoder of the .30 recipe."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from captioner.errors import InputError
from captioner.models import dims
from captioner.models.attention import watched
from captioner.models.dropout import Dropout
from captioner.models.interface import Attentive, Memory
from captioner.models.transformer import Decoder, DecoderLayer, DecoderState
from captioner.models.words import WordEmbedding


class TransformerCaptioner(Attentive[DecoderState]):
    """A system whose words are embedded, decoded by Transformer layers and classified."""

    padding = "back"
    equal_lengths = False
    autoregressive = True

    embedding: WordEmbedding
    decoder: Decoder

    @abstractmethod
    def classify(self, decoded: Tensor) -> Tensor:
        """Give the logits (..., V) of decoded words (..., D)."""

    def set_word_embeddings(self, values: Tensor, known: Tensor, frozen: bool) -> None:
        """Start the embeddings of words from `values` (V, E)."""
        self.embedding.set(values, known, frozen)

    def embed(self, tokens: Tensor) -> Tensor:
        """Embed tokens (N, L) as (N, L, D), of about unit variance."""
        return self.embedding(tokens)

    def forward(self, memory: Memory, embedded: Tensor) -> Tensor:
        """Give the logits (N, L, V) after each embedded word (N, L, D), all at once."""
        state = self.decoder.start(memory.values, memory.mask, len(embedded))
        return self.classify(self.decoder(embedded, state)[0])

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
        return self.classify(decoded[:, 0]), state

    def attended(self, memory: Memory, embedded: Tensor) -> Tensor:
        """Say where each prediction looked, (N, L, M): the mean over heads and layers."""
        layers = cast(Iterable[DecoderLayer], self.decoder.layers)
        with watched(layer.memory_attention for layer in layers) as weights:
            self(memory, embedded)
        return torch.stack(weights).mean(dim=0)


@dataclass(frozen=True, kw_only=True)
class FrameDims(dims.Dims):
    """Dims of the small decoder over frame embeddings; the defaults are the recipe's."""

    n_hidden: int = 256
    n_heads: int = 8
    n_layers: int = 6
    n_feedforward: int = 2048
    dropout: float = 0.2  # of the decoder, the weights of its attention too
    input_dropout: float = 0.5  # of frames, before and after their projection
    n_word_values: int = 0  # of a word's embedding, mapped to n_hidden; 0: n_hidden

    def __post_init__(self) -> None:
        self.require_at_least(4, "n_hidden")
        self.require_at_least(1, "n_heads", "n_layers", "n_feedforward")
        self.require_at_least(0, "n_word_values")
        self.require_probability("dropout")
        self.require_probability("input_dropout")
        if self.n_hidden % (2 * self.n_heads):
            raise InputError(
                f"n_hidden is {self.n_hidden}; expected a multiple of 2 * n_heads ({self.n_heads})"
            )


class FrameCaptioner(TransformerCaptioner):
    """A system whose decoder attends to projected frame embeddings.

    Words and decoder as in Labbé, Pellegrini and Pinquier, "CoNeTTE: An Efficient Audio Captioning
    System Leveraging Multiple Datasets With Task Embedding", IEEE/ACM TASLP 32, 2024, arXiv
    2309.00454: post-norm layers, no norm after the last, dropout of attention weights (as in
    PyTorch's layers), a classifier of its own. Frames carry no positions.
    """

    dims: FrameDims

    def __init__(self, dims: FrameDims):
        super().__init__()
        self.dims = dims
        n_hidden = dims.n_hidden
        self.embedding = WordEmbedding(dims.n_tokens, dims.n_word_values or n_hidden, n_hidden)
        self.decoder = Decoder(
            dims.n_layers,
            n_hidden,
            dims.n_heads,
            dims.n_feedforward,
            dims.dropout,
            attention_dropout=dims.dropout,
            post_norm=True,
        )
        self.classifier = nn.Linear(n_hidden, dims.n_tokens)

    def classify(self, decoded: Tensor) -> Tensor:
        """Give the logits (..., V) of decoded words (..., D)."""
        return self.classifier(decoded)

    def projection(self, n_features: int) -> nn.Sequential:
        """Build what maps frames (B, T, n_features) to what the decoder attends to."""
        return nn.Sequential(
            Dropout(self.dims.input_dropout),
            nn.Linear(n_features, self.dims.n_hidden),
            nn.ReLU(),
            Dropout(self.dims.input_dropout),
        )
