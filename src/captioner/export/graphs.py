"""A system's encoder and one step of its decoder as modules of tensors alone, whatever its family.

What decoding carries is tensors with names, whose first axis is the rows (hypotheses). Those that
the encoder gives once for all words are called `memory...`, those that change from word to word
`state...`: so one loop serves all families.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captioner.errors import InputError
from captioner.models.attention import additive
from captioner.models.cnn_transformer import CnnTransformer
from captioner.models.convolution import frame_mask
from captioner.models.crnn_attention import CrnnAttention, CrnnState
from captioner.models.dcase_baseline import DcaseBaseline
from captioner.models.gru import WEIGHTS
from captioner.models.interface import Captioner, Memory
from captioner.models.transformer import DecoderLayer, sinusoids
from captioner.models.transformer_captioner import TransformerCaptioner

Tensors = dict[str, Tensor]

MEMORY, MASK = "memory", "memory_mask"  # what every encoder gives: (B, M, D) and (B, M)
STATE, NEXT = "state", "next"  # what the names of a state begin with, before and after a step


class Step(nn.Module, ABC):
    """One step of a decoder, and what it begins with."""

    Model: ClassVar[type[Captioner]]  # the systems that it serves

    def __init__(self, model: Any):
        super().__init__()
        self.model = model

    @abstractmethod
    def begin(self, memory: Memory) -> tuple[Tensors, Tensors]:
        """Give the memory's tensors that steps read, and the state before the first token.

        Names begin with `memory` and `state`; `MEMORY` and `MASK` are the memory's own.
        """

    @abstractmethod
    def forward(self, tokens: Tensor, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensors]:
        """Feed one token (N,) to each row: give the next one's logits (N, V), and the state."""


class TransformerStep(Step):
    """Keys and values (N, heads, positions, D / heads) of the memory, and of the words so far."""

    Model = TransformerCaptioner
    model: TransformerCaptioner

    def begin(self, memory: Memory) -> tuple[Tensors, Tensors]:
        """Project the memory, once for all words; before the first there is no past."""
        fixed: Tensors = {MASK: memory.mask}
        state: Tensors = {}
        for number, layer in enumerate(self._layers()):
            keys, values = layer.project_memory(memory.values)
            fixed |= {f"memory_keys.{number}": keys, f"memory_values.{number}": values}
            state |= {f"state_keys.{number}": keys[:, :, :0]}
            state |= {f"state_values.{number}": values[:, :, :0]}
        return fixed, state

    def forward(self, tokens: Tensor, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensors]:
        """Append each word's keys and values to the past."""
        decoder = self.model.decoder
        embedded = self.model.embed(tokens[:, None])  # (N, 1, D)
        position = state["state_keys.0"].shape[2]
        x = embedded + sinusoids(position, 1, embedded.shape[2], embedded.device)
        mask = additive(memory[MASK], x)
        appended: Tensors = {}
        for number, layer in enumerate(self._layers()):
            names = (f"state_keys.{number}", f"state_values.{number}")
            own = (memory[f"memory_keys.{number}"], memory[f"memory_values.{number}"])
            normed, words = layer.words(x)
            past = [torch.cat([state[n], new], 2) for n, new in zip(names, words, strict=True)]
            x = layer.hear(x, layer.attention(normed, (past[0], past[1])), own, mask)
            appended |= dict(zip(names, past, strict=True))
        return self.model.classify(decoder.norm(x)[:, 0]), appended

    def _layers(self) -> Iterable[DecoderLayer]:
        return cast(Iterable[DecoderLayer], self.model.decoder.layers)


class CrnnStep(Step):
    """Keys and values of the memory, and what the two GRUs remember."""

    Model = CrnnAttention
    model: CrnnAttention

    def begin(self, memory: Memory) -> tuple[Tensors, Tensors]:
        """Project the memory; the GRUs begin from its mean."""
        first = torch.zeros_like(memory.mask[:, :1], dtype=torch.int64)
        state = self.model.start(memory, first, 1)  # of the prefix all but the last token is read
        keys, values = state.memory
        fixed = {MASK: state.mask, "memory_keys": keys, "memory_values": values}
        return fixed, {"state_hidden": state.hidden.transpose(0, 1)}

    def forward(self, tokens: Tensor, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensors]:
        """Step the model itself."""
        hidden = state["state_hidden"].transpose(0, 1)
        attended = (memory["memory_keys"], memory["memory_values"])
        logits, new = self.model.step(CrnnState(hidden, attended, memory[MASK]), tokens)
        return logits, {"state_hidden": new.hidden.transpose(0, 1)}


class BaselineStep(Step):
    """The clip's encoding, and what the GRU remembers; no word is read."""

    Model = DcaseBaseline
    model: DcaseBaseline

    def begin(self, memory: Memory) -> tuple[Tensors, Tensors]:
        """Begin from zeros, at the first step."""
        n_rows, _, n_values = memory.values.shape
        hidden = memory.values.new_zeros(n_rows, n_values // 2)
        position = torch.zeros_like(memory.mask[:, 0], dtype=torch.int64)
        return {MEMORY: memory.values}, {"state_hidden": hidden, "state_position": position}

    def forward(self, tokens: Tensor, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensors]:
        """Go one step further; after `n_steps`, only `<eos>` is possible."""
        dims, decoder = self.model.dims, self.model.decoder
        weights = [getattr(decoder.rnn, name) for name in WEIGHTS]
        hidden = state["state_hidden"][None]
        written, hidden = torch.gru(
            memory[MEMORY], hidden, weights, True, 1, 0.0, False, False, True
        )
        logits = decoder.classifier(written[:, 0])
        end = torch.where(torch.arange(dims.n_tokens) == dims.eos, 0.0, -torch.inf)
        position = state["state_position"]
        logits = torch.where((position < dims.n_steps)[:, None], logits, end)
        return logits, {"state_hidden": hidden[0], "state_position": position + 1}


STEPS: tuple[type[Step], ...] = (TransformerStep, CrnnStep, BaselineStep)


def build_step(model: Captioner) -> Step:
    """Give the step of a system; raises `InputError` for a family without one."""
    for step in STEPS:
        if isinstance(model, step.Model):
            return step(model)
    raise InputError(
        f"export: found the family {model.family}, whose decoding is not known to the export; "
        f"expected one that is a {', '.join(step.Model.__name__ for step in STEPS)}."
    )


class ExportedEncoder(nn.Module):
    """From features to the memory, what steps read of it and the state before the first token."""

    def __init__(self, step: Step):
        super().__init__()
        self.step = step

    def forward(self, features: Tensors, n_frames: Tensors) -> Tensors:
        """Encode features (B, T, F) by front-end, of which `n_frames` (B,) are a clip's own."""
        model = self.step.model
        encode = _encode_by_cnn if isinstance(model, CnnTransformer) else type(model).encode
        memory = encode(model, features, n_frames)
        fixed, state = self.step.begin(memory)
        return {MEMORY: memory.values, MASK: memory.mask} | fixed | state


def _encode_by_cnn(model: CnnTransformer, features: Tensors, n_frames: Tensors) -> Memory:
    """Encode as the model does, without asking how many clips and frames there are."""
    frontend, shortest = model.dims.frontend(), 2**model.encoder.n_blocks
    log_mels = features[frontend]
    x, n_valid = model.encoder(F.pad(log_mels, (0, 0, 0, shortest - 1)), n_frames[frontend])
    x = x[:, : torch.sym_max(log_mels.shape[1] // shortest, 1)]
    return Memory(model.frames(x), frame_mask(n_valid, x.shape[1]))
