"""Beam search, batched over clips and beams together, on a system's `step` interface."""

from dataclasses import dataclass

import torch
from torch import Tensor

from captioner.decoding.constraints import Constraints
from captioner.decoding.options import DecodingOptions, Hypothesis
from captioner.errors import InputError
from captioner.models.interface import Captioner, Memory


@torch.inference_mode()
def beam_search(
    model: Captioner,
    memory: Memory,
    prefix: Tensor,
    options: DecodingOptions,
    constraints: Constraints,
) -> list[list[Hypothesis]]:
    """Search the best captions of each clip in `memory`; greedy decoding is `beam_size` 1.

    `prefix` (B, P) int64 holds what every caption begins with, `<sos>` included. Gives for each
    clip at most `n_best` hypotheses, best first and all different; fewer where the options leave
    fewer.

    Candidates compete by the sum of log p. One that ends within the best `beam_size` is finished;
    the best `beam_size` that do not end go on, until `beam_size` are finished or `max_length` is
    reached. The score is the sum, the end included, over (words + 1) ** length_penalty: search and
    score are those of fairseq's sequence generator (Ott et al. 2019).

    Forced words: candidates compete with those that have said as many of them. Each number has an
    equal share of the beam, and what it leaves goes to the best of the others (dynamic beam
    allocation, Post and Vilar 2018).

    Groups of beams search one after the other at each step; in the choice of its words, a group
    loses `diversity` for each hypothesis of an earlier group that goes on with the same word
    (Hamming diversity, Vijayakumar et al. 2018). The loss enters no sum and no score.

    Raises `InputError` where the model gives NaN.
    """
    search = _Search(
        options, constraints, [[[] for _ in range(options.beam_groups)] for _ in prefix]
    )
    state = model.start(memory, prefix, 1)  # beams are equal at the start: one row per clip
    words = torch.empty((len(prefix), 0), dtype=torch.int64)  # (N, L), stays on the CPU
    sums = torch.zeros((len(prefix), options.beam_groups, 1))  # (B, groups, beams) likewise
    last = prefix[:, -1]
    clips = list(range(len(prefix)))  # the clip in each place; finished clips leave
    for _ in range(options.max_length + 1):
        logits, state = model.step(state, last)
        log_p = log_probabilities(logits, words.shape[1])
        constraints.forbid(log_p, words.to(log_p.device))
        rows, tokens, sums = search.step(clips, log_p, words, sums)
        kept = close_gaps(sums.isfinite().flatten(1).any(1).tolist())
        if not kept:
            break
        clips = [clips[place] for place in kept]
        sums, index, last = sums[kept], rows[kept].flatten(), tokens[kept].flatten()
        words = torch.cat([words[index], last[:, None]], dim=1)
        state, last = state.select(index.to(prefix.device)), last.to(prefix.device)
    return [search.best(clip) for clip in range(len(prefix))]


def log_probabilities(logits: Tensor, n_words: int) -> Tensor:
    """Give log p (N, V) in float32; `InputError` for NaN after `n_words` words."""
    log_p = logits.float().log_softmax(dim=1)
    if log_p[:, 0].isnan().any():  # one NaN makes the whole row NaN
        raise InputError(
            f"decoding: found NaN among the model's probabilities at word {n_words + 1}, expected "
            "numbers. The training may have diverged: look at its history."
        )
    return log_p


def close_gaps(stays: list[bool]) -> list[int]:
    """Order the places that stay so that few clips move: the last ones go into the gaps."""
    kept = [place for place, stay in enumerate(stays) if stay]
    return [place if stays[place] else kept.pop() for place in range(len(kept))]


@dataclass(frozen=True)
class _Candidates:
    """What may come next for each clip, best first; each tensor is (B, n), on the CPU."""

    parents: Tensor  # the beam that goes on
    tokens: Tensor
    sums: Tensor  # of log p; -inf: none
    n_said: Tensor  # how many of the forced words

    def take(self, index: Tensor) -> "_Candidates":
        """Take the candidates `index` (B, n') of each clip."""
        columns = (self.parents, self.tokens, self.sums, self.n_said)
        return _Candidates(*(column.gather(1, index) for column in columns))


@dataclass(frozen=True)
class _Search:
    """What is finished, and the choice of what goes on."""

    options: DecodingOptions
    constraints: Constraints
    finished: list[list[list[Hypothesis]]]  # by clip and group

    @property
    def group_size(self) -> int:
        """Count the beams of a group."""
        return self.options.beam_size // self.options.beam_groups

    def best(self, clip: int) -> list[Hypothesis]:
        """Give the best hypotheses of all groups of a clip, each once."""
        found = {tuple(each.tokens): each for group in self.finished[clip] for each in group}
        by_score = sorted(found.values(), key=lambda hypothesis: -hypothesis.score)
        return by_score[: self.options.n_best]

    def step(
        self, clips: list[int], log_p: Tensor, words: Tensor, sums: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Choose what goes on: the rows it comes from, tokens and sums, each (B, groups, K).

        A sum is -inf where nothing goes on: the group is finished, or nothing more is possible.
        """
        n_clips, n_groups, n_beams = sums.shape  # at the first step, one beam for all groups
        by_group = log_p.view(n_clips, -1, n_beams, log_p.shape[1]).expand(-1, n_groups, -1, -1)
        rows = torch.arange(len(log_p)).view(n_clips, -1, n_beams).expand(-1, n_groups, -1)
        n_tokens = log_p.shape[1] if n_groups > 1 else 0
        taken = log_p.new_zeros(n_clips, n_tokens)  # how often, by earlier groups
        chosen = []
        for group in range(n_groups):
            own = rows[:, group]
            loss = self.options.diversity * taken if group else None
            found = self._candidates(by_group[:, group], sums[:, group], words[own], loss)
            finished = [self.finished[clip][group] for clip in clips]
            self._finish(finished, found, words, own)
            going = self._going_on(found)
            full = torch.tensor([len(hypotheses) >= self.group_size for hypotheses in finished])
            going.sums[full] = -torch.inf
            if group + 1 < n_groups:
                goes = going.sums.isfinite().float().to(taken.device)
                taken.scatter_add_(1, going.tokens.to(taken.device), goes)
            chosen.append((own.gather(1, going.parents), going.tokens, going.sums))
        rows, tokens, sums = (torch.stack(each, dim=1) for each in zip(*chosen, strict=True))
        return rows, tokens, sums

    def _candidates(
        self, log_p: Tensor, sums: Tensor, words: Tensor, loss: Tensor | None
    ) -> _Candidates:
        """Sort what may follow a group's beams: log_p (B, K, V), sums (B, K), words (B, K, L).

        `loss` (B, V) counts in the order only.
        """
        forced = torch.tensor(self.constraints.forced, dtype=torch.int64, device=log_p.device)
        said = words.new_zeros(words.shape[:2])  # (B, K)
        ranks = log_p if loss is None else log_p - loss[:, None]
        forced_ranks = ranks[..., :0]
        if len(forced):  # they stand apart, so that candidates are there with each number of them
            missing = self.constraints.missing(words.flatten(0, 1)).view(*words.shape[:2], -1)
            said = (~missing).sum(dim=2)
            missing = missing.to(ranks.device)
            forced_ranks = ranks[..., forced].masked_fill(~missing, -torch.inf)
            ranks = ranks.clone()
            ranks[..., forced] = ranks[..., forced].masked_fill(missing, -torch.inf)
        # At most one candidate per beam ends: among twice as many, as many as beams go on.
        top = ranks.topk(min(2 * self.group_size, ranks.shape[2]), dim=2)
        tokens = torch.cat([top.indices, forced.expand(forced_ranks.shape)], dim=2)  # (B, K, n)
        ranks = torch.cat([top.values, forced_ranks], dim=2).cpu() + sums[:, :, None]
        own = log_p.gather(2, tokens).cpu() + sums[:, :, None]
        n_said = said[:, :, None].repeat(1, 1, tokens.shape[2])
        n_said[..., top.indices.shape[2] :] += 1
        parents = torch.arange(tokens.shape[1])[:, None].expand(tokens.shape)
        own = own.masked_fill(ranks == -torch.inf, -torch.inf)
        columns = [each.flatten(1) for each in (parents, tokens.cpu(), own, n_said)]
        order = ranks.flatten(1).argsort(dim=1, descending=True)
        return _Candidates(*columns).take(order)

    def _finish(
        self, finished: list[list[Hypothesis]], found: _Candidates, words: Tensor, rows: Tensor
    ) -> None:
        """Store those that end among the best that have said all forced words."""
        complete = found.n_said == len(self.constraints.forced)
        among_best = complete & (complete.cumsum(dim=1) <= self.group_size)
        ends = (found.tokens == self.constraints.eos) & found.sums.isfinite()
        length = words.shape[1] + 1  # <eos> counts
        for place, candidate in (among_best & ends).nonzero().tolist():
            score = found.sums[place, candidate].item() / length**self.options.length_penalty
            row = rows[place, found.parents[place, candidate]]
            finished[place].append(Hypothesis(words[row].tolist(), score))

    def _going_on(self, found: _Candidates) -> _Candidates:
        """Take as many as beams, the best that do not end, of each number of forced words."""
        n, n_numbers = self.group_size, len(self.constraints.forced) + 1
        possible = (found.tokens != self.constraints.eos) & found.sums.isfinite()
        first = torch.zeros_like(possible)
        for number in range(n_numbers):
            share = n // n_numbers + (number >= n_numbers - n % n_numbers)  # the rest: the highest
            own = possible & (found.n_said == number)
            first |= own & (own.cumsum(dim=1) <= share)
        order = (2 - possible.int() - first.int()).argsort(dim=1, stable=True)[:, :n]
        going = found.take(order)
        going.sums[~possible.gather(1, order)] = -torch.inf
        return going
