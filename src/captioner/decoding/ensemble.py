"""Several systems that speak as one: each word's probabilities are averaged over them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from captioner.errors import InputError
from captioner.models.checkpoint import LoadedModel
from captioner.models.dims import Dims
from captioner.models.interface import Captioner, Memory

Average = Literal["probability", "log_probability"]


@dataclass(frozen=True)
class EnsembleMemory(Memory):
    """What each member's decoder sees of the clips; `values` and `mask` are the first member's."""

    others: tuple[Memory, ...]

    @property
    def members(self) -> tuple[Memory, ...]:
        """Give the memory of each member."""
        return (Memory(self.values, self.mask), *self.others)

    def select(self, index: Tensor) -> "EnsembleMemory":
        """Take the clips `index` (B',) of every member."""
        return _join([memory.select(index) for memory in self.members])

    def repeat(self, n: int) -> "EnsembleMemory":
        """Give each clip `n` rows."""
        return _join([memory.repeat(n) for memory in self.members])


def _join(memories: Sequence[Memory]) -> EnsembleMemory:
    return EnsembleMemory(memories[0].values, memories[0].mask, tuple(memories[1:]))


@dataclass(frozen=True)
class EnsembleState:
    """The state of each member, of the same rows."""

    members: list[Any]

    def select(self, index: Tensor) -> "EnsembleState":
        """Take the rows `index` (N',) of every member."""
        return EnsembleState([state.select(index) for state in self.members])


class Ensemble(Captioner[EnsembleState]):
    """Systems of any families and front-ends that share a vocabulary.

    The logits are the log of the mean of the members' probabilities, or, by `log_probability`, the
    mean of their log p, which a softmax normalises as it does any logits. Members that pad on
    different sides, and those that padding changes, get clips of equal lengths only.
    """

    Dims = Dims
    family = "ensemble"

    def __init__(self, members: Sequence[Captioner], average: Average = "probability"):
        super().__init__()
        if not members or average not in get_args(Average):
            raise InputError(
                f"ensemble: found {len(members)} members averaged by {average!r}, expected one or "
                f"more, averaged by one of {', '.join(get_args(Average))}."
            )
        shared = {(m.dims.n_tokens, m.dims.sos, m.dims.eos) for m in members}
        if len(shared) > 1:
            raise InputError(
                f"ensemble: found members of {len(shared)} vocabularies (tokens, <sos>, <eos>: "
                f"{', '.join(map(str, sorted(shared)))}), expected one. Train them with the same."
            )
        self.members = nn.ModuleList(members)
        self.average = average
        n_features = {name: n for member in members for name, n in member.dims.n_features.items()}
        n_tokens, sos, eos = shared.pop()
        self.dims = Dims(n_features=n_features, n_tokens=n_tokens, sos=sos, eos=eos)
        self.padding = members[0].padding
        self.equal_lengths = (
            any(member.equal_lengths for member in members)
            or len({member.padding for member in members}) > 1
        )
        self.autoregressive = any(member.autoregressive for member in members)

    def encode(
        self, features: Mapping[str, Tensor], n_frames: Mapping[str, Tensor]
    ) -> EnsembleMemory:
        """Encode clips by every member, each from its own front-ends among the features."""
        return _join([member.encode(features, n_frames) for member in self._members()])

    def embed(self, tokens: Tensor) -> Tensor:
        """Embed tokens (N, L) by every member, side by side."""
        return torch.cat([member.embed(tokens) for member in self._members()], dim=2)

    def forward(self, memory: Memory, embedded: Tensor) -> Tensor:
        """Give the logits (N, L, V) after each embedded word."""
        first = torch.zeros((1, 1), dtype=torch.int64, device=embedded.device)
        sizes = [member.embed(first).shape[2] for member in self._members()]
        parts = embedded.split(sizes, dim=2)
        each = zip(self._members(), _memories(memory), parts, strict=True)
        return self._mean([member(own, part) for member, own, part in each])

    def start(self, memory: Memory, prefix: Tensor, n_beams: int) -> EnsembleState:
        """Begin decoding with every member."""
        each = zip(self._members(), _memories(memory), strict=True)
        return EnsembleState([member.start(own, prefix, n_beams) for member, own in each])

    def step(self, state: EnsembleState, tokens: Tensor) -> tuple[Tensor, EnsembleState]:
        """Feed one token (N,) to every member: give the next one's logits (N, V), and state."""
        each = zip(self._members(), state.members, strict=True)
        logits, states = zip(*(member.step(own, tokens) for member, own in each), strict=True)
        return self._mean(logits), EnsembleState(list(states))

    def _mean(self, logits: Sequence[Tensor]) -> Tensor:
        log_p = torch.stack([each.float().log_softmax(dim=-1) for each in logits])
        if self.average == "log_probability":
            return log_p.mean(dim=0)
        return log_p.logsumexp(dim=0) - math.log(len(log_p))

    def _members(self) -> list[Captioner]:
        return cast(list[Captioner], list(self.members))


def _memories(memory: Memory) -> tuple[Memory, ...]:
    assert isinstance(memory, EnsembleMemory), "an ensemble's memory comes from its `encode`"
    return memory.members


def ensemble(members: Sequence[LoadedModel], average: Average = "probability") -> LoadedModel:
    """Join trained systems to one that decodes like any other.

    Raises `InputError` where their vocabularies, the tokens that their captions start with, or the
    settings of a front-end that they share differ.
    """
    model = Ensemble([member.model for member in members], average).eval()
    first, *others = members
    frontends: dict[str, Any] = {}
    for member in members:
        for name, settings in member.description["frontends"].items():
            if frontends.setdefault(name, settings) != settings:
                raise InputError(
                    f"ensemble: found members that heard through different front-ends {name!r}, "
                    "expected the same settings. Train them on the same features."
                )
    for other in others:
        if other.vocabulary.tokens != first.vocabulary.tokens:
            raise InputError(
                "ensemble: found members with different vocabularies, expected the same words in "
                "the same order. Train them with the same vocabulary."
            )
        tokens = [member.description.get("task_token") for member in (first, other)]
        if tokens[0] != tokens[1]:
            raise InputError(
                f"ensemble: found captions that start with the task tokens {tokens[0]!r} and "
                f"{tokens[1]!r}, expected the same for all members."
            )
    description = {
        "family": model.family,
        "frontends": frontends,
        "task_token": first.description.get("task_token"),
        "members": [member.description for member in members],
    }
    return LoadedModel(model, first.vocabulary, description)
