"""Transformer layers (Vaswani et al., 2017) for training and for decoding with a cache.

Layers are pre-norm (Xiong et al., 2020), which trains without a long warm-up, or post-norm as first
published, where a decoder asks for it. Dropout acts on what a sublayer adds and inside feed-forward
parts; on attention weights only where asked for, so that PyTorch's fused attention applies.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from captioner.models.attention import Attention, KeysValues, additive
from captioner.models.dropout import Dropout


def sinusoids(first: int, n_positions: int, n_hidden: int, device: torch.device) -> Tensor:
    """Give the positional encodings of positions `first` onwards: (n_positions, n_hidden).

    The first half are sines, the second cosines, of wavelengths 2 pi to 10000 * 2 pi.
    """
    half = n_hidden // 2
    frequencies = torch.exp(torch.arange(half, device=device) * (-math.log(10000.0) / (half - 1)))
    positions = torch.arange(first, first + n_positions, device=device)
    angles = positions[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class FeedForward(nn.Sequential):
    """Two affine maps with a GELU between them, position by position."""

    def __init__(self, n_hidden: int, n_feedforward: int, dropout: float):
        super().__init__(
            nn.Linear(n_hidden, n_feedforward),
            nn.GELU(),
            Dropout(dropout),
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
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map (B, M, D) with mask (B, M) to (B, M, D)."""
        normed = self.attention_norm(x)
        attended = self.attention.keys_values(normed)
        x = x + self.dropout(self.attention(normed, attended, mask))
        return x + self.dropout(self.feedforward(self.feedforward_norm(x)))


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to the memory, and a feed-forward part.

    `post_norm`: norms act on the sums, as in Vaswani et al., instead of on what sublayers read.
    """

    def __init__(
        self,
        n_hidden: int,
        n_heads: int,
        n_feedforward: int,
        dropout: float,
        *,
        attention_dropout: float = 0.0,
        post_norm: bool = False,
    ):
        super().__init__()
        self.post_norm = post_norm
        self.attention_norm = nn.LayerNorm(n_hidden)
        self.attention = Attention(n_hidden, n_heads, attention_dropout)
        self.memory_norm = nn.LayerNorm(n_hidden)
        self.memory_attention = Attention(n_hidden, n_heads, attention_dropout)
        self.feedforward_norm = nn.LayerNorm(n_hidden)
        self.feedforward = FeedForward(n_hidden, n_feedforward, dropout)
        self.dropout = Dropout(dropout)

    def project_memory(self, memory: Tensor) -> KeysValues:
        """Project the memory (B, M, D), once per clip."""
        keys, values = self.memory_attention.keys_values(memory)
        return keys.contiguous(), values.contiguous()  # read at every step

    def forward(
        self,
        x: Tensor,
        memory: KeysValues,
        memory_mask: Tensor,
        past: KeysValues | None = None,
        past_mask: Tensor | None = None,
    ) -> tuple[Tensor, KeysValues]:
        """Map (N, L, D) to (N, L, D); give the words' keys and values too.

        Without a past, the L are positions from the first on, each seeing those before it. With
        one, they are the rows of a clip at one position: their keys and values are written into
        the last L places of the past (N, heads, S, D / heads), and each sees what its `past_mask`
        (N, L, S) says.
        """
        normed, words = self.words(x)
        if past is None:
            attended = self.attention(normed, words, causal=True)
        else:
            for stored, new in zip(past, words, strict=True):
                stored[:, :, -x.shape[1] :] = new
            attended = self.attention(normed, past, past_mask)
        return self.hear(x, attended, memory, memory_mask), words

    def words(self, x: Tensor) -> tuple[Tensor, KeysValues]:
        """Give what asks the words so far, (N, L, D), and the keys and values of these."""
        normed = self._before(self.attention_norm, x)
        return normed, self.attention.keys_values(normed)

    def hear(self, x: Tensor, attended: Tensor, memory: KeysValues, memory_mask: Tensor) -> Tensor:
        """Go on from what was attended to among the words, (N, L, D), to the layer's output."""
        x = self._after(self.attention_norm, x + self.dropout(attended))
        normed = self._before(self.memory_norm, x)
        heard = self.memory_attention(normed, memory, memory_mask)
        x = self._after(self.memory_norm, x + self.dropout(heard))
        fed = self.feedforward(self._before(self.feedforward_norm, x))
        return self._after(self.feedforward_norm, x + self.dropout(fed))

    def _before(self, norm: nn.Module, x: Tensor) -> Tensor:
        return x if self.post_norm else norm(x)

    def _after(self, norm: nn.Module, x: Tensor) -> Tensor:
        return norm(x) if self.post_norm else x


def regroup(index: Tensor, n_rows_per_group: int) -> Tensor:
    """Give the groups (G',) that rows `index` (N',) come from, N' / G' rows that stand together.

    Row i comes from group i // n_rows_per_group; G' is as small as can be.
    """
    groups, counts = torch.unique_consecutive(
        index.div(n_rows_per_group, rounding_mode="floor"), return_counts=True
    )
    return groups.repeat_interleave(counts // math.gcd(*counts.tolist()))


@dataclass(frozen=True)
class DecoderState:
    """The keys and values of each layer: of the words so far, and of the memory.

    The N rows stand in G groups of n: rows of one clip that stand together, as a beam search keeps
    them. A group keeps one copy of its memory's keys and values, and its words' are only ever
    appended: S of them, n per step. Which of them are a row's own past stands in `places`. So a
    reordering within groups copies nothing but `places`, and groups that leave cost the copies of
    those that take their place. The buffers are written in place.
    """

    past: list[KeysValues]  # per layer, each (G, heads, room for S and more, D / heads)
    memory: list[KeysValues]  # per layer, each (G, heads, M, D / heads)
    memory_mask: Tensor  # (G, M)
    places: Tensor  # (N, position) int64, in 0 .. S - 1
    n_stored: int  # S

    @property
    def n_rows_per_group(self) -> int:
        """Count the rows n of a group."""
        return len(self.places) // len(self.memory_mask)

    @property
    def position(self) -> int:
        """Give the position of the next word."""
        return self.places.shape[1]

    def select(self, index: Tensor) -> "DecoderState":
        """Take the rows `index` (N',) int64."""
        groups = regroup(index, self.n_rows_per_group)
        moved = (groups != torch.arange(len(groups), device=groups.device)).nonzero()[:, 0]
        places = self.places[index]
        if len(moved) == 0 and len(groups) == len(self.memory_mask):
            return replace(self, places=places)

        def take(stored: Tensor) -> Tensor:
            if len(groups) > len(stored):
                return stored[groups]
            stored[moved] = stored[groups[moved]]
            return stored[: len(groups)]

        return DecoderState(
            [(take(keys), take(values)) for keys, values in self._by_group().past],
            [(take(keys), take(values)) for keys, values in self.memory],
            take(self.memory_mask.clone()),  # the caller's, and small
            places,
            self.n_stored,
        )

    def first(self, words: list[KeysValues]) -> "DecoderState":
        """Store the first words' keys and values, each (N, heads, L, D / heads)."""
        n, n_positions = self.n_rows_per_group, words[0][0].shape[2]
        own = torch.arange(n * n_positions, device=self.places.device).view(n, n_positions)
        places = own.repeat(len(self.memory_mask), 1)
        return replace(self, past=words, places=places, n_stored=n * n_positions)

    def _by_group(self) -> "DecoderState":
        """Bring the first words of a group together: training, which needs no state, does not."""
        n_groups, n = len(self.memory_mask), self.n_rows_per_group
        if not self.past or len(self.past[0][0]) == n_groups:
            return self

        def join(rows: Tensor) -> Tensor:
            return rows.unflatten(0, (n_groups, n)).transpose(1, 2).flatten(2, 3)

        return replace(self, past=[(join(keys), join(values)) for keys, values in self.past])

    def with_room(self) -> "DecoderState":
        """Make a place for the next word of each row."""
        n_groups, n = len(self.memory_mask), self.n_rows_per_group
        new = self.n_stored + torch.arange(n, device=self.places.device).repeat(n_groups)
        places = torch.cat([self.places, new[:, None]], dim=1)
        n_stored = self.n_stored + n
        past = self._by_group().past
        if past[0][0].shape[2] < n_stored:
            room = max(2 * n_stored, 16 * n)  # most captions fit; doubled when full
            past = [(self._grown(keys, room), self._grown(values, room)) for keys, values in past]
        return replace(self, past=past, places=places, n_stored=n_stored)

    def _grown(self, stored: Tensor, room: int) -> Tensor:
        n_groups, n_heads, _, n_hidden = stored.shape
        grown = stored.new_empty(n_groups, n_heads, room, n_hidden)
        grown[:, :, : self.n_stored] = stored[:, :, : self.n_stored]
        return grown

    def mask(self) -> Tensor | None:
        """Mark each row's own past among its group's: (G, n, S); None where all of it is."""
        if self.n_stored == self.position:
            return None
        own = self.places.new_zeros(len(self.places), self.n_stored, dtype=torch.bool)
        own.scatter_(1, self.places, True)
        return own.view(len(self.memory_mask), self.n_rows_per_group, self.n_stored)


class Decoder(nn.Module):
    """Decoder layers over embedded words; the same arithmetic at once or word by word.

    Pre-norm layers are followed by one more norm.
    """

    def __init__(
        self,
        n_layers: int,
        n_hidden: int,
        n_heads: int,
        n_feedforward: int,
        dropout: float,
        *,
        attention_dropout: float = 0.0,
        post_norm: bool = False,
    ):
        super().__init__()
        self.layers = nn.ModuleList(
            DecoderLayer(
                n_hidden,
                n_heads,
                n_feedforward,
                dropout,
                attention_dropout=attention_dropout,
                post_norm=post_norm,
            )
            for _ in range(n_layers)
        )
        self.norm = nn.Identity() if post_norm else nn.LayerNorm(n_hidden)
        self.dropout = Dropout(dropout)

    def start(self, memory: Tensor, memory_mask: Tensor, n_rows: int) -> DecoderState:
        """Prepare `n_rows` rows, a multiple of the memory's (B, M, D), before their first word."""
        projected = [
            layer.project_memory(memory) for layer in cast(Iterable[DecoderLayer], self.layers)
        ]
        places = torch.empty((n_rows, 0), dtype=torch.int64, device=memory.device)
        return DecoderState([], projected, memory_mask, places, 0)

    def forward(self, embedded: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Feed embedded words (N, L, D), any L to a new state, else 1: give (N, L, D), state."""
        n_positions, n_hidden = embedded.shape[1:]
        x = embedded + sinusoids(state.position, n_positions, n_hidden, embedded.device)
        x = self.dropout(x)
        if state.position == 0:
            words = []
            for layer, memory in zip(self.layers, state.memory, strict=True):
                x, keys_values = layer(x, memory, state.memory_mask)
                words.append(keys_values)
            return self.norm(x), state.first(words)
        state = state.with_room()
        own, memory_mask = state.mask(), additive(state.memory_mask, x)  # once for all layers
        mask = None if own is None else additive(own, x)
        x = x.reshape(len(state.memory_mask), state.n_rows_per_group, n_hidden)
        for layer, stored, memory in zip(self.layers, state.past, state.memory, strict=True):
            past = [each[:, :, : state.n_stored] for each in stored]
            x, _ = layer(x, memory, memory_mask, past, mask)
        return self.norm(x).view(embedded.shape), state
