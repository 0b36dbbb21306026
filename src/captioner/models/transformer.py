"""Transformer layers (Vaswani et al., 2017) for training and for decoding with a cache.

Layers are pre-norm (Xiong et al., 2020), which trains without a long warm-up. Dropout acts on what
a sublayer adds and inside the feed-forward part; attention weights have none, so that PyTorch's
fused attention applies everywhere.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KeysValues = tuple[Tensor, Tensor]  # each (B, heads, positions, D / heads)


def sinusoids(first: int, n_positions: int, n_hidden: int, device: torch.device) -> Tensor:
    """Give the positional encodings of positions `first` onwards: (n_positions, n_hidden).

    The first half are sines, the second cosines, of wavelengths 2 pi to 10000 * 2 pi.
    """
    half = n_hidden // 2
    frequencies = torch.exp(torch.arange(half, device=device) * (-math.log(10000.0) / (half - 1)))
    positions = torch.arange(first, first + n_positions, device=device)
    angles = positions[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class Attention(nn.Module):
    """Multi-head attention over keys and values that are projected once and may be kept."""

    def __init__(self, n_hidden: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(n_hidden, n_hidden)
        self.key_value = nn.Linear(n_hidden, 2 * n_hidden)
        self.output = nn.Linear(n_hidden, n_hidden)

    def keys_values(self, x: Tensor) -> KeysValues:
        """Project what is attended to, (B, M, D)."""
        keys, values = self.key_value(x).chunk(2, dim=-1)
        return self._split(keys), self._split(values)

    def forward(
        self,
        x: Tensor,
        attended: KeysValues,
        mask: Tensor | None = None,
        causal: bool = False,
    ) -> Tensor:
        """Map queries (N, L, D) to (N, L, D).

        N may be a multiple n of the attended B rows: rows b * n to b * n + n - 1 attend to row b.
        `mask` (B, M) bool is True where valid. `causal`: position t attends to positions up to t.
        """
        queries = self._split(self.query(x).reshape(len(attended[0]), -1, x.shape[-1]))
        heads = F.scaled_dot_product_attention(
            queries,
            *attended,
            attn_mask=None if mask is None else mask[:, None, None, :],
            is_causal=causal,
        )
        return self.output(heads.transpose(1, 2).reshape(x.shape))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


class FeedForward(nn.Sequential):
    """Two affine maps with a GELU between them, position by position."""

    def __init__(self, n_hidden: int, n_feedforward: int, dropout: float):
        super().__init__(
            nn.Linear(n_hidden, n_feedforward),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(n_feedforward, n_hidden),
        )


class EncoderLayer(nn.Module):
    """Self-attention among the valid positions, and a feed-forward part."""

    def __init__(self, n_hidden: int, n_heads: int, n_feedforward: int, dropout: float):
        super().__init__()
        self.attention_norm = nn.LayerNorm(n_hidden)
        self.attention = Attention(n_hidden, n_heads)
        self.feedforward_norm = nn.LayerNorm(n_hidden)
        self.feedforward = FeedForward(n_hidden, n_feedforward, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map (B, M, D) with mask (B, M) to (B, M, D)."""
        normed = self.attention_norm(x)
        attended = self.attention.keys_values(normed)
        x = x + self.dropout(self.attention(normed, attended, mask))
        return x + self.dropout(self.feedforward(self.feedforward_norm(x)))


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to the memory, and a feed-forward part."""

    def __init__(self, n_hidden: int, n_heads: int, n_feedforward: int, dropout: float):
        super().__init__()
        self.attention_norm = nn.LayerNorm(n_hidden)
        self.attention = Attention(n_hidden, n_heads)
        self.memory_norm = nn.LayerNorm(n_hidden)
        self.memory_attention = Attention(n_hidden, n_heads)
        self.feedforward_norm = nn.LayerNorm(n_hidden)
        self.feedforward = FeedForward(n_hidden, n_feedforward, dropout)
        self.dropout = nn.Dropout(dropout)

    def project_memory(self, memory: Tensor) -> KeysValues:
        """Project the memory (B, M, D), once per clip."""
        return self.memory_attention.keys_values(memory)

    def forward(
        self, x: Tensor, past: KeysValues | None, memory: KeysValues, memory_mask: Tensor
    ) -> tuple[Tensor, KeysValues]:
        """Map (N, L, D), behind the positions `past`, to (N, L, D) and the new past.

        With a past, L is 1: what follows a cached prefix comes step by step.
        """
        normed = self.attention_norm(x)
        keys, values = self.attention.keys_values(normed)
        if past is not None:
            keys, values = torch.cat([past[0], keys], dim=2), torch.cat([past[1], values], dim=2)
        attended = self.attention(normed, (keys, values), causal=past is None)
        x = x + self.dropout(attended)
        x = x + self.dropout(self.memory_attention(self.memory_norm(x), memory, memory_mask))
        return x + self.dropout(self.feedforward(self.feedforward_norm(x))), (keys, values)


@dataclass(frozen=True)
class DecoderState:
    """The keys and values of each layer: of the words so far, and of the memory.

    While all rows of a clip stand together (as a beam search keeps them) they share the memory's.
    """

    past: list[KeysValues | None]  # N rows; None before the first word
    memory: list[KeysValues]  # G rows; N is a multiple n of G, as in `Attention`
    memory_mask: Tensor  # (G, M)
    n_rows: int  # N
    position: int  # of the next word

    def select(self, index: Tensor) -> "DecoderState":
        """Take the rows `index` (N',) int64."""
        n_groups = len(self.memory_mask)
        n = self.n_rows // n_groups
        groups = index.div(n, rounding_mode="floor")  # of the memory, per new row
        if len(index) % n == 0 and bool((groups.view(-1, n) == groups[::n, None]).all()):
            groups = groups[::n]
        past = [pair and (pair[0][index], pair[1][index]) for pair in self.past]
        memory, mask = self.memory, self.memory_mask
        if groups.tolist() != list(range(n_groups)):
            memory, mask = [(k[groups], v[groups]) for k, v in memory], mask[groups]
        return DecoderState(past, memory, mask, len(index), self.position)


class Decoder(nn.Module):
    """Decoder layers over embedded words; the same arithmetic at once or word by word."""

    def __init__(
        self, n_layers: int, n_hidden: int, n_heads: int, n_feedforward: int, dropout: float
    ):
        super().__init__()
        self.layers = nn.ModuleList(
            DecoderLayer(n_hidden, n_heads, n_feedforward, dropout) for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(n_hidden)
        self.dropout = nn.Dropout(dropout)

    def start(self, memory: Tensor, memory_mask: Tensor, n_rows: int) -> DecoderState:
        """Prepare `n_rows` rows, a multiple of the memory's (B, M, D), before their first word."""
        projected = [
            layer.project_memory(memory) for layer in cast(Iterable[DecoderLayer], self.layers)
        ]
        return DecoderState([None] * len(self.layers), projected, memory_mask, n_rows, 0)

    def forward(self, embedded: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Feed embedded words (N, L, D), any L to a new state, else 1: give (N, L, D), state."""
        n_positions, n_hidden = embedded.shape[1:]
        x = embedded + sinusoids(state.position, n_positions, n_hidden, embedded.device)
        x = self.dropout(x)
        past: list[KeysValues | None] = []
        for layer, before, memory in zip(self.layers, state.past, state.memory, strict=True):
            x, after = layer(x, before, memory, state.memory_mask)
            past.append(after)
        position = state.position + n_positions
        return self.norm(x), DecoderState(
            past, state.memory, state.memory_mask, state.n_rows, position
        )
