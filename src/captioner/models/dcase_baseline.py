"""The baseline of DCASE 2021 Task 6: recurrent, and no word is fed back.

Three bidirectional GRUs encode the clip, with residual additions around the second and the third;
the last time step, repeated once per word, feeds one GRU and an affine classifier (task page,
"Neural network and optimization hyper-parameters"; dropout as in the code released with it).
Features are padded with zeros in front and nothing is masked: the padding is part of the input. The
names of the weights are those of the published checkpoint (Zenodo 4835966).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from captioner.errors import InputError
from captioner.models import dims
from captioner.models.dropout import Dropout
from captioner.models.gru import GRU, LastStepGRU
from captioner.models.interface import Captioner, Memory


@dataclass(frozen=True, kw_only=True)
class BaselineDims(dims.Dims):
    """Dims of the DCASE 2021 baseline."""

    family: ClassVar[str] = "dcase_baseline"

    n_hidden: int = 256  # of every GRU, in each direction
    n_steps: int = 22  # words decoded: the longest caption of Clotho with both special tokens
    dropout: float = 0.0  # after each encoder GRU and before the decoder GRU

    def __post_init__(self) -> None:
        self.frontend()
        self.require_at_least(1, "n_hidden", "n_steps")
        self.require_probability("dropout")


class Encoder(nn.Module):
    """Three bidirectional GRUs; gives the last time step."""

    def __init__(self, n_features: int, n_hidden: int, dropout: float):
        super().__init__()
        self.gru_1 = GRU(n_features, n_hidden, bidirectional=True)
        self.gru_2 = GRU(2 * n_hidden, n_hidden, bidirectional=True)
        self.gru_3 = LastStepGRU(2 * n_hidden, n_hidden, bidirectional=True)
        self.dropout = Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, T, F) to (B, 2 * n_hidden)."""
        h = self.dropout(self.gru_1(features.transpose(0, 1)))  # (T, B, 2 * n_hidden)
        h = h + self.dropout(self.gru_2(h))
        return h[-1] + self.dropout(self.gru_3(h))


class Decoder(nn.Module):
    """One GRU that reads the clip's encoding at every step, and the classifier."""

    def __init__(self, n_hidden: int, n_tokens: int, dropout: float):
        super().__init__()
        self.dropout = Dropout(dropout)
        self.rnn = GRU(2 * n_hidden, n_hidden, batch_first=True)
        self.classifier = nn.Linear(n_hidden, n_tokens)

    def forward(self, encoded: Tensor, n_steps: int) -> Tensor:
        """Map (N, 1, 2 * n_hidden) to logits (N, n_steps, V)."""
        repeated = encoded.expand(-1, n_steps, -1)  # dropout differs from step to step
        return self.classifier(self.rnn(self.dropout(repeated)))


@dataclass(frozen=True)
class BaselineState:
    """All logits, which depend on no word, and where the rows stand in them."""

    logits: Tensor  # (B, n_steps, V)
    clips: Tensor  # (N,) int64: the clip of each row
    position: int

    def select(self, index: Tensor) -> "BaselineState":
        """Take the rows `index` (N',) int64."""
        return BaselineState(self.logits, self.clips[index], self.position)


class DcaseBaseline(Captioner[BaselineState]):
    """The DCASE 2021 Task 6 baseline, 4,574,739 parameters at 64 features and 4371 tokens."""

    Dims = BaselineDims
    family = BaselineDims.family
    padding = "front"
    equal_lengths = True
    autoregressive = False

    def __init__(self, dims: BaselineDims):
        super().__init__()
        self.dims = dims
        n_features = dims.n_features[dims.frontend()]
        self.encoder = Encoder(n_features, dims.n_hidden, dims.dropout)
        self.decoder = Decoder(dims.n_hidden, dims.n_tokens, dims.dropout)

    def encode(self, features: Mapping[str, Tensor], n_frames: Mapping[str, Tensor]) -> Memory:
        """Encode clips as one vector each: values (B, 1, 2 * n_hidden); `n_frames` is not used."""
        values = self.encoder(features[self.dims.frontend()])[:, None]
        return Memory(values, values.new_ones(values.shape[:2], dtype=torch.bool))

    def embed(self, tokens: Tensor) -> Tensor:
        """Embed tokens (N, L) in no dimension, (N, L, 0): no word is fed back."""
        return self.decoder.classifier.weight.new_zeros(*tokens.shape, 0)

    def forward(self, memory: Memory, embedded: Tensor) -> Tensor:
        """Give the logits (N, L, V) of the first L steps; `InputError` beyond `n_steps`."""
        n_rows, n_steps, _ = embedded.shape
        if n_steps > self.dims.n_steps:
            raise InputError(
                f"a caption has {n_steps} tokens to predict (`<eos>` too), the baseline's "
                f"decoder {self.dims.n_steps} steps: set `n_steps` in `model:` of the system to "
                f"{n_steps} or more"
            )
        return self.decoder(memory.repeat(n_rows // len(memory.values)).values, n_steps)

    def start(self, memory: Memory, prefix: Tensor, n_beams: int) -> BaselineState:
        """Run the whole decoder, once per clip."""
        clips = torch.arange(len(prefix), device=prefix.device).repeat_interleave(n_beams)
        logits = self.decoder(memory.values, self.dims.n_steps)
        return BaselineState(logits, clips, prefix.shape[1] - 1)

    def step(self, state: BaselineState, tokens: Tensor) -> tuple[Tensor, BaselineState]:
        """Give the logits of this step whatever the tokens; after `n_steps`, only `<eos>`."""
        if state.position < self.dims.n_steps:
            logits = state.logits[state.clips, state.position]
        else:
            logits = state.logits.new_full((len(state.clips), self.dims.n_tokens), -torch.inf)
            logits[:, self.dims.eos] = 0.0
        return logits, BaselineState(state.logits, state.clips, state.position + 1)


MODEL = DcaseBaseline
