"""One interface for every captioning system: training, scoring and decoding know no other.

B clips, T frames, F features, M memory positions, L caption positions, D embedding, V tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Protocol, Self, TypeVar

from torch import Tensor, nn

from captioner.errors import InputError
from captioner.models.dims import Dims


@dataclass(frozen=True)
class Memory:
    """What the decoder sees of the clips."""

    values: Tensor  # (B, M, D)
    mask: Tensor  # (B, M) bool, True where valid; each row has at least one valid position

    def select(self, index: Tensor) -> "Memory":
        """Take the clips `index` (B',) int64, in that order, repeats allowed."""
        return Memory(self.values[index], self.mask[index])

    def repeat(self, n: int) -> "Memory":
        """Give each clip `n` rows: row b * n + k is clip b."""
        return Memory(
            self.values.repeat_interleave(n, dim=0), self.mask.repeat_interleave(n, dim=0)
        )


class State(Protocol):
    """What decoding carries from step to step, for N rows (hypotheses).

    A state serves once: `step` and `select` may write into what it holds.
    """

    def select(self, index: Tensor) -> Self:
        """Take the rows `index` (N',) int64, in that order, repeats allowed.

        Cheapest where the rows of a clip stay together and a clip stays in its place.
        """


Padding = Literal["front", "back"]  # the side where zeros stand
S = TypeVar("S", bound=State)


class Captioner(nn.Module, ABC, Generic[S]):
    """A captioning system: an encoder of clips and a decoder of words."""

    Dims: ClassVar[type[Dims]]  # the family's dims
    family: ClassVar[str]
    padding: Padding  # where features of a batch are padded with zeros
    equal_lengths: bool  # padding changes the output: decode clips of equal length only
    autoregressive: bool  # words are fed back

    dims: Any  # the family's own `Dims`

    def set_normalisation(self, statistics: Mapping[str, tuple[Any, Any]]) -> None:
        """Set the mean and standard deviation, each (F,), of every front-end's features.

        Families that do not normalise ignore them.
        """

    def load_pretrained(self, checkpoints: Mapping[str, Path]) -> None:
        """Start parts of the model from published checkpoints, by part (`encoder`).

        Raises `InputError` for a part that the family does not take and for another network's
        checkpoint.
        """
        for part, path in checkpoints.items():
            raise InputError(
                f"pretrained: found {part!r} ({path}); the family {self.family} takes no "
                "pretrained part. Take it out of the system"
            )

    def set_word_embeddings(self, values: Tensor, known: Tensor, frozen: bool) -> None:
        """Start the embeddings of words from `values` (V, E).

        Words that `known` (V,) bool does not mark keep their random start. `frozen`: the
        embeddings are not trained. Raises `InputError` where the family embeds no words, and for
        another number of values than the model's.
        """
        raise InputError(
            f"word_embeddings: the family {self.family} takes none. Take them out of the system"
        )

    @abstractmethod
    def encode(self, features: Mapping[str, Tensor], n_frames: Mapping[str, Tensor]) -> Memory:
        """Encode clips from their features (B, T, F) float32, by front-end.

        `n_frames` (B,) int64 are a clip's own frames; zeros pad the rest, on the side `padding`.
        """

    @abstractmethod
    def embed(self, tokens: Tensor) -> Tensor:
        """Embed tokens (N, L) int64 as (N, L, D), without positions."""

    @abstractmethod
    def forward(self, memory: Memory, embedded: Tensor) -> Tensor:
        """Give the logits (N, L, V) of the token after each of the embedded ones (N, L, D).

        `embedded[:, 0]` is `<sos>`. N is a multiple n of the memory's B clips, row b * n + k being
        the k-th caption of clip b: a clip is encoded once for all its captions.
        """

    @abstractmethod
    def start(self, memory: Memory, prefix: Tensor, n_beams: int) -> S:
        """Begin decoding: feed all but the last token of `prefix` (B, P) int64.

        A prefix begins with `<sos>`. The state has B * n_beams rows; row b * n_beams + k is beam k
        of clip b.
        """

    @abstractmethod
    def step(self, state: S, tokens: Tensor) -> tuple[Tensor, S]:
        """Feed one token (N,) int64 to each row: give the next one's logits (N, V), and state."""

    def n_parameters(self) -> int:
        """Count the parameters, frozen ones too; buffers are none."""
        return sum(parameter.numel() for parameter in self.parameters())


@dataclass(frozen=True)
class Axis:
    """Positions of a memory that stand for one front-end's frames, evenly apart."""

    frontend: str
    n_positions: int
    first: float  # frame at the middle of the first position
    step: int  # frames from one position to the next

    @classmethod
    def pooled(cls, frontend: str, n_positions: int, step: int) -> Self:
        """Place positions that are each the mean of `step` frames."""
        return cls(frontend, n_positions, (step - 1) / 2, step)


class Attentive(Captioner[S]):
    """A system whose decoder attends to the memory, and can say where each word looked.

    `registry.ATTENTIVE` names the families.
    """

    @abstractmethod
    def attended(self, memory: Memory, embedded: Tensor) -> Tensor:
        """Say what of the memory was attended to after each of the embedded tokens: (N, L, M).

        Row l is what `forward` weighed the memory by for the token after `embedded[:, l]`. Rows
        sum to one over the valid positions, and are zero elsewhere.
        """

    @abstractmethod
    def axes(self, n_frames: Mapping[str, int]) -> list[Axis]:
        """Place the valid positions of a clip with `n_frames`, in the order of the memory."""
