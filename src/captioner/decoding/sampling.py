"""Captions drawn from a system's distribution, batched over clips and samples together."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor

from captioner.decoding.beam import close_gaps, log_probabilities
from captioner.decoding.constraints import Constraints
from captioner.decoding.options import DecodingOptions, Hypothesis
from captioner.models.interface import Captioner, Memory


@torch.inference_mode()
def sample(
    model: Captioner,
    memory: Memory,
    prefix: Tensor,
    options: DecodingOptions,
    constraints: Constraints,
    file_names: Sequence[str],
) -> list[list[Hypothesis]]:
    """Draw `samples` captions of each clip, and give the `n_best` by score, best first.

    Draws may coincide: all of them together are the distribution. What the constraints forbid has
    no probability; then temperature, top-k (Fan et al. 2018) and nucleus (Holtzman et al. 2020)
    act, in this order. The score is the system's own, as in a search, whatever these do.

    A clip's draws depend on the seed and on its file name, not on the clips beside it: each has
    uniform numbers of its own, and a word is where the cumulative distribution passes them.
    """
    n_draws = options.samples
    drawn: list[list[Hypothesis]] = [[] for _ in file_names]
    uniform = np.stack([_uniform(options, file_name) for file_name in file_names])
    clips = list(range(len(file_names)))  # the clip in each place; finished clips leave
    state = model.start(memory, prefix, n_draws)
    last = prefix[:, -1].repeat_interleave(n_draws)  # (B * samples,)
    words = last.new_empty((len(last), 0)).cpu()
    sums = torch.zeros(len(last))  # of log p; -inf: the caption ended, or nothing is possible
    for n_words in range(options.max_length + 1):
        logits, state = model.step(state, last)
        log_p = log_probabilities(logits, n_words)
        constraints.forbid(log_p, words.to(log_p.device))
        numbers = torch.from_numpy(uniform[clips, :, n_words].ravel()).to(log_p.device)
        tokens = _draw(log_p, numbers, options)
        sums = sums + log_p.gather(1, tokens[:, None])[:, 0].cpu()
        tokens = tokens.cpu()
        for row in ((tokens == constraints.eos) & sums.isfinite()).nonzero()[:, 0].tolist():
            score = sums[row].item() / (n_words + 1) ** options.length_penalty
            drawn[clips[row // n_draws]].append(Hypothesis(words[row].tolist(), score))
        sums[tokens == constraints.eos] = -torch.inf
        kept = close_gaps(sums.isfinite().view(-1, n_draws).any(dim=1).tolist())
        if not kept:
            break
        index = torch.arange(len(sums)).view(-1, n_draws)[kept].flatten()
        clips = [clips[place] for place in kept]
        sums, tokens = sums[index], tokens[index]
        words = torch.cat([words[index], tokens[:, None]], dim=1)
        state, last = state.select(index.to(prefix.device)), tokens.to(prefix.device)
    return [
        sorted(of_clip, key=lambda hypothesis: -hypothesis.score)[: options.n_best]
        for of_clip in drawn
    ]


def _uniform(options: DecodingOptions, file_name: str) -> np.ndarray:
    """Give a clip's random numbers in [0, 1): (samples, max_length + 1)."""
    key = blake2b(f"{options.seed}/{file_name}".encode("utf-8", "surrogateescape"), digest_size=16)
    generator = np.random.Generator(np.random.Philox(int.from_bytes(key.digest(), "little")))
    return generator.random((options.samples, options.max_length + 1))


def _draw(log_p: Tensor, numbers: Tensor, options: DecodingOptions) -> Tensor:
    """Draw a token (N,) from each row of log p (N, V) by a uniform number (N,) in [0, 1).

    A row in which nothing is possible gives a token of log p -inf.
    """
    p = (log_p.double() / options.temperature).softmax(dim=1).nan_to_num(0.0)
    if 0 < options.top_k < p.shape[1]:
        least = p.topk(options.top_k, dim=1).values[:, -1:]
        p = p.masked_fill(p < least, 0.0)
    if options.top_p < 1:
        descending, order = p.sort(dim=1, descending=True)
        before = descending.cumsum(dim=1) - descending  # of the more probable tokens
        outside = before >= options.top_p * p.sum(dim=1, keepdim=True)
        p = p.masked_fill(outside.gather(1, order.argsort(dim=1)), 0.0)
    cumulative = p.cumsum(dim=1)
    total = cumulative[:, -1:].contiguous()
    passed = torch.searchsorted(cumulative, numbers[:, None] * total, right=True)
    last_possible = torch.searchsorted(cumulative, total)  # should rounding reach the total
    return torch.minimum(passed, last_possible)[:, 0]
