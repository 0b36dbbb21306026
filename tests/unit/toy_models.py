"""Toy systems with the decoding interface only, whose every probability a test can work out."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch

SOS, EOS, UNK = 0, 1, 2


@dataclass
class ToyState:
    clips: list[int]  # per row: which clip, i.e. which table
    prefixes: list[tuple[int, ...]]

    def select(self, index):
        rows = index.tolist()
        return ToyState([self.clips[row] for row in rows], [self.prefixes[row] for row in rows])


class PrefixTable:
    """Random logits for every clip and prefix; `memory` is the list of clips."""

    def __init__(self, n_tokens, scale=2.0, end_bonus=0.0, dtype=torch.float32):
        self.n_tokens, self.scale, self.end_bonus = n_tokens, scale, end_bonus
        self.dtype = dtype
        self.rows_per_step = []
        self.table, self.log_table = {}, {}

    def logits(self, clip, prefix):
        entry = clip, self.context(prefix)
        if entry not in self.table:
            self.table[entry] = self.draw(entry)
        return self.table[entry]

    def draw(self, entry):
        key = hashlib.sha256(repr(entry).encode()).digest()
        random = np.random.default_rng(int.from_bytes(key[:8], "little"))
        logits = self.scale * random.standard_normal(self.n_tokens)
        logits[EOS] += self.end_bonus
        return logits

    def context(self, prefix):
        return prefix

    def log_p(self, clip, prefix):
        """The oracle's log probabilities, in float64."""
        entry = clip, self.context(prefix)
        if entry not in self.log_table:
            logits = self.logits(clip, prefix)
            self.log_table[entry] = logits - np.logaddexp.reduce(logits)
        return self.log_table[entry]

    def start(self, memory, prefix, n_beams):
        rows = [(clip, tuple(row[:-1])) for clip, row in zip(memory, prefix.tolist(), strict=True)]
        rows = [row for row in rows for _ in range(n_beams)]
        return ToyState([clip for clip, _ in rows], [row for _, row in rows])

    def step(self, state, tokens):
        self.rows_per_step.append(len(tokens))
        prefixes = [
            (*prefix, token) for prefix, token in zip(state.prefixes, tokens.tolist(), strict=True)
        ]
        logits = [
            self.logits(clip, prefix) for clip, prefix in zip(state.clips, prefixes, strict=True)
        ]
        return torch.tensor(np.array(logits), dtype=self.dtype), ToyState(state.clips, prefixes)


class Markov(PrefixTable):
    """Logits depend on the last token."""

    def context(self, prefix):
        return prefix[-1]


class NotAutoregressive(PrefixTable):
    """Logits depend on the position, whatever the tokens: like the DCASE baseline."""

    def context(self, prefix):
        return len(prefix)
