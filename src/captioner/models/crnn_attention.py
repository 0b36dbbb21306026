"""Convolutions and bidirectional GRUs, and a GRU decoder that attends: trained from scratch.

The decoder reads its words with one GRU, whose output asks the attention, and writes with a second
GRU that reads both (as in Wu et al., "Google's neural machine translation system", 2016, section 3:
the lowest layer asks, those above are told). So every word, and what was attended to before it,
reaches the next, and training needs no loop over words. What is heard is normalised and added to
what is written, and the convolutions' output to the encoder's: without these short ways, words are
learned long before sounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from captioner.errors import InputError
from captioner.models import dims
from captioner.models.attention import Attention, KeysValues, watched
from captioner.models.convolution import StridedConvolutions, frame_mask
from captioner.models.dropout import Dropout
from captioner.models.gru import GRU
from captioner.models.interface import Attentive, Axis, Memory
from captioner.models.normalisation import Normalisation
from captioner.models.transformer import regroup
from captioner.models.words import WordEmbedding


@dataclass(frozen=True, kw_only=True)
class CrnnAttentionDims(dims.Dims):
    """Dims of the recurrent system with attention."""

    family: ClassVar[str] = "crnn_attention"

    n_channels: tuple[int, ...] = (32, 64, 128)  # one convolution each, halving time and frequency
    n_hidden: int = 256  # of every GRU, in each direction, and of the attention
    n_heads: int = 4
    n_encoder_layers: int = 2
    dropout: float = 0.3
    n_word_values: int = 0  # of a word's embedding, mapped to n_hidden; 0: n_hidden
    normalise: bool = True  # features by the statistics of the training split

    def __post_init__(self) -> None:
        self.frontend()
        self.require_at_least(1, "n_hidden", "n_heads", "n_encoder_layers")
        self.require_at_least(0, "n_word_values")
        self.require_probability("dropout")
        if self.n_hidden % self.n_heads:
            raise InputError(
                f"n_hidden is {self.n_hidden}; expected a multiple of n_heads ({self.n_heads})"
            )
        self.require_positive("n_channels")


@dataclass(frozen=True)
class CrnnState:
    """What the two GRUs of the decoder remember, and the projected memory.

    The N rows stand in G groups of rows of one clip; a group has one copy of the memory.
    """

    hidden: Tensor  # (2, N, H): of the reading and of the writing GRU
    memory: KeysValues  # each (G, heads, M, H / heads)
    mask: Tensor  # (G, M)

    def select(self, index: Tensor) -> "CrnnState":
        """Take the rows `index` (N',) int64."""
        n_groups = len(self.mask)
        groups = regroup(index, self.hidden.shape[1] // n_groups)
        hidden = self.hidden[:, index]
        if torch.equal(groups, torch.arange(n_groups, device=groups.device)):
            return CrnnState(hidden, self.memory, self.mask)
        keys, values = self.memory
        return CrnnState(hidden, (keys[groups], values[groups]), self.mask[groups])


class CrnnAttention(Attentive[CrnnState]):
    """A convolutional recurrent encoder and an attentive recurrent decoder."""

    Dims = CrnnAttentionDims
    family = CrnnAttentionDims.family
    padding = "back"
    equal_lengths = False
    autoregressive = True
    dims: CrnnAttentionDims

    def __init__(self, dims: CrnnAttentionDims):
        super().__init__()
        self.dims = dims
        n_hidden = dims.n_hidden
        n_features = dims.n_features[dims.frontend()]
        self.normalisation = Normalisation(n_features) if dims.normalise else None
        self.convolutions = StridedConvolutions(n_features, dims.n_channels)
        self.projection = nn.Linear(self.convolutions.n_outputs, n_hidden)
        self.encoder_layers = nn.ModuleList(
            GRU(n_in, n_hidden, batch_first=True, bidirectional=True)
            for n_in in (n_hidden, *[2 * n_hidden] * (dims.n_encoder_layers - 1))
        )
        self.memory_projection = nn.Linear(2 * n_hidden, n_hidden)
        self.memory_norm = nn.LayerNorm(n_hidden)

        self.embedding = WordEmbedding(dims.n_tokens, dims.n_word_values or n_hidden, n_hidden)
        self.initial = nn.Linear(n_hidden, 2 * n_hidden)
        self.reading = nn.GRU(n_hidden, n_hidden, batch_first=True)
        self.attention = Attention(n_hidden, dims.n_heads)
        self.heard_norm = nn.LayerNorm(n_hidden)
        self.writing = nn.GRU(2 * n_hidden, n_hidden, batch_first=True)
        self.classifier = nn.Linear(n_hidden, dims.n_tokens)
        self.dropout = Dropout(dims.dropout)

    def set_normalisation(self, statistics: Mapping[str, tuple[Any, Any]]) -> None:
        """Set the mean and standard deviation, each (F,), of the front-end's features."""
        if self.normalisation is not None:
            self.normalisation.set(*statistics[self.dims.frontend()])

    def set_word_embeddings(self, values: Tensor, known: Tensor, frozen: bool) -> None:
        """Start the embeddings of words from `values` (V, E)."""
        self.embedding.set(values, known, frozen)

    def encode(self, features: Mapping[str, Tensor], n_frames: Mapping[str, Tensor]) -> Memory:
        """Encode clips: n frames become n / 2**(number of convolutions) positions, rounded up."""
        x, n_valid = features[self.dims.frontend()], n_frames[self.dims.frontend()]
        if self.normalisation is not None:
            x = self.normalisation(x)
        x, n_valid = self.convolutions(x, n_valid)
        frames = x = self.projection(x)
        for layer in self.encoder_layers:
            x = layer(self.dropout(x), n_valid)  # what stands behind a clip never reaches it
        values = self.memory_norm(frames + self.memory_projection(self.dropout(x)))
        return Memory(values, frame_mask(n_valid, x.shape[1]))

    def embed(self, tokens: Tensor) -> Tensor:
        """Embed tokens (N, L) as (N, L, D), of about unit variance."""
        return self.embedding(tokens)

    def forward(self, memory: Memory, embedded: Tensor) -> Tensor:
        """Give the logits (N, L, V) after each embedded word (N, L, D), all at once."""
        return self._decode(embedded, self._begin(memory, len(embedded)))[0]

    def start(self, memory: Memory, prefix: Tensor, n_beams: int) -> CrnnState:
        """Feed the prefix but its last token."""
        rows = prefix.repeat_interleave(n_beams, dim=0)
        state = self._begin(memory, rows.shape[0])
        if rows.shape[1] > 1:
            _, state = self._decode(self.embed(rows[:, :-1]), state)
        return state

    def step(self, state: CrnnState, tokens: Tensor) -> tuple[Tensor, CrnnState]:
        """Feed one token (N,) to each row: the logits (N, V) of the next."""
        logits, state = self._decode(self.embed(tokens[:, None]), state)
        return logits[:, 0], state

    def attended(self, memory: Memory, embedded: Tensor) -> Tensor:
        """Say where each prediction looked, (N, L, M): the mean over heads."""
        with watched([self.attention]) as weights:
            self(memory, embedded)
        return weights[0]

    def axes(self, n_frames: Mapping[str, int]) -> list[Axis]:
        """Place the memory's positions, 2**(number of convolutions) frames apart."""
        frontend = self.dims.frontend()
        return [self.convolutions.axis(frontend, n_frames[frontend])]

    def _begin(self, memory: Memory, n_rows: int) -> CrnnState:
        """Begin `n_rows` rows, a multiple of the memory's B, from the mean of its positions."""
        own = memory.mask[..., None].to(memory.values)
        mean = (memory.values * own).sum(1) / own.sum(1)
        hidden = self.initial(mean).tanh().repeat_interleave(n_rows // mean.shape[0], dim=0)
        attended = self.attention.keys_values(memory.values)
        return CrnnState(torch.stack(hidden.chunk(2, dim=-1)), attended, memory.mask)

    def _decode(self, embedded: Tensor, state: CrnnState) -> tuple[Tensor, CrnnState]:
        """Feed embedded words (N, L, D): the logits (N, L, V) after each, and the new state."""
        reading, writing = state.hidden[:, None]  # (1, N, H) each
        read, reading = self.reading(self.dropout(embedded), reading.contiguous())
        heard = self.heard_norm(self.attention(read, state.memory, state.mask))
        both = self.dropout(torch.cat([read, heard], dim=-1))
        written, writing = self.writing(both, writing.contiguous())
        logits = self.classifier(self.dropout(written + heard))
        return logits, CrnnState(torch.cat([reading, writing]), state.memory, state.mask)


MODEL = CrnnAttention
