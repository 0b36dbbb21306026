"""Beam search, batched over clips and beams together, on a system's `step` interface."""

from collections.abc import Sequence

import torch

from captioner.decoding.options import DecodingOptions, Hypothesis
from captioner.errors import InputError
from captioner.models.interface import Captioner, Memory


@torch.inference_mode()
def beam_search(
    model: Captioner,
    memory: Memory,
    prefix: torch.Tensor,
    options: DecodingOptions,
    eos: int,
    banned: Sequence[int] = (),
) -> list[list[Hypothesis]]:
    """Search the best captions of each clip in `memory`; greedy decoding is `beam_size` 1.

    `prefix` (B, P) int64 holds what every caption begins with, `<sos>` included; the tokens in
    `banned` are never produced. Gives for each clip at most `n_best` hypotheses, best first and
    all different; fewer where the options leave fewer.

    Candidates compete by the sum of log p. One that ends within the best `beam_size` is finished;
    the best `beam_size` that do not end go on, until `beam_size` are finished or `max_length` is
    reached. The score is the sum, the end included, over (words + 1) ** length_penalty: search and
    score are those of fairseq's sequence generator (Ott et al. 2019). Constraints set probabilities
    to zero without renormalising, so that a score is the model's own log probability.

    Raises `InputError` where the model gives NaN.
    """
    device, n_beams = prefix.device, options.beam_size
    n_clips = len(prefix)
    clips = list(range(n_clips))  # the clip of each group of n_beams rows; finished clips leave
    finished: list[list[Hypothesis]] = [[] for _ in clips]
    state = model.start(memory, prefix, n_beams)
    last = prefix[:, -1].repeat_interleave(n_beams)  # (B * K,)
    sums = torch.full((n_clips, n_beams), -torch.inf, device=device)
    sums[:, 0] = 0.0  # a clip's beams are equal at the start: only the first counts
    words = torch.empty((n_clips, n_beams, 0), dtype=torch.int64)  # stays on the CPU
    for n_words in range(options.max_length + 1):
        logits, state = model.step(state, last)  # (B * K, V)
        log_p = _allowed(logits, n_words, options, eos, banned)
        n_tokens = log_p.shape[1]
        candidates = (sums.unsqueeze(2) + log_p.view(len(clips), n_beams, n_tokens)).flatten(1)
        top = candidates.topk(2 * n_beams)  # at most one per beam ends: n_beams do not
        top_sums, top_index = top.values.cpu(), top.indices.cpu()  # (B, 2 K): one copy per step
        parents, tokens = top_index // n_tokens, top_index % n_tokens
        ends = tokens == eos
        possible = top_sums > -torch.inf

        length = n_words + 1  # <eos> counts
        for row, place in (ends & possible)[:, :n_beams].nonzero().tolist():
            score = top_sums[row, place].item() / length**options.length_penalty
            hypothesis = Hypothesis(words[row, parents[row, place]].tolist(), score)
            finished[clips[row]].append(hypothesis)

        goes_on = (possible & ~ends).any(1).tolist()
        kept = [
            row for row, clip in enumerate(clips) if goes_on[row] and len(finished[clip]) < n_beams
        ]
        if n_words == options.max_length or not kept:
            break
        clips = [clips[row] for row in kept]
        # The best that do not end, in order (the sort is stable), of the clips that go on.
        place = ends[kept].to(torch.int8).argsort(dim=1, stable=True)[:, :n_beams]  # (B', K)
        parents, tokens, top_sums = (
            values[kept].gather(1, place) for values in (parents, tokens, top_sums)
        )
        rows = torch.tensor(kept).unsqueeze(1)  # (B', 1)
        words = torch.cat([words[rows, parents], tokens.unsqueeze(2)], dim=2)
        state = state.select((rows * n_beams + parents).flatten().to(device))
        last, sums = tokens.flatten().to(device), top_sums.to(device)
    return [
        sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)[: options.n_best]
        for hypotheses in finished
    ]


def _allowed(
    logits: torch.Tensor, n_words: int, options: DecodingOptions, eos: int, banned: Sequence[int]
) -> torch.Tensor:
    """Give log p (N, V) in float32 of the tokens after `n_words` words; -inf for forbidden ones."""
    log_p = logits.float().log_softmax(dim=1)
    if log_p.isnan().any():
        raise InputError(
            f"decoding: found NaN among the model's probabilities at word {n_words + 1}, expected "
            "numbers. The training may have diverged: look at its history."
        )
    end = log_p[:, eos].clone()
    if n_words == options.max_length:
        log_p.fill_(-torch.inf)
    log_p[:, list(banned)] = -torch.inf
    log_p[:, eos] = -torch.inf if n_words < options.min_length else end
    return log_p
