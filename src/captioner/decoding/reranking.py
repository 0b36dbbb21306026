"""Reranking by minimum Bayes risk: the caption most like all that might be said of the clip.

The risk is the loss of CIDEr-D (Vedantam et al. 2015), as the COCO caption tools compute it, over
token indices: a hypothesis scores against each of the clip's hypotheses, itself among them, and the
scores are averaged by the hypotheses' probabilities (Kumar and Byrne 2004). What a caption gets
from itself is its own probability: without it, a probable caption would be punished.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from captioner.decoding.options import DecodingOptions, Hypothesis

N = 4  # n-grams of up to four words
SIGMA = 6.0  # of the penalty on different lengths
SCALE = 10.0

Ngram = tuple[int, ...]


def rerank(
    hypotheses: Mapping[str, Sequence[Hypothesis]], options: DecodingOptions
) -> dict[str, list[Hypothesis]]:
    """Sort each clip's hypotheses by their expected CIDEr-D, best first; ties keep their order.

    The weights are the system's probabilities of the hypotheses, from their scores, or equal for
    samples, which come as often as they are probable. An n-gram's idf counts the clips among whose
    hypotheses it is, so that it depends on the clips that are decoded together, as CIDEr does.
    """
    counts = {
        file_name: [_count(hypothesis.tokens) for hypothesis in of_clip]
        for file_name, of_clip in hypotheses.items()
    }
    frequency = Counter(
        ngram for of_clip in counts.values() for ngram in {n for each in of_clip for n in each}
    )
    reranked: dict[str, list[Hypothesis]] = {}
    for file_name, of_clip in hypotheses.items():
        if not of_clip:
            reranked[file_name] = []
            continue
        scores = cider_d(counts[file_name], frequency, len(hypotheses))
        expected = scores @ _weights(of_clip, options)
        order = np.argsort(-expected, kind="stable")
        reranked[file_name] = [
            replace(of_clip[place], expected_cider_d=float(expected[place])) for place in order
        ]
    return reranked


def cider_d(
    counts: Sequence[Mapping[Ngram, int]], frequency: Mapping[Ngram, int], n_clips: int
) -> np.ndarray:
    """Give CIDEr-D of each caption (row) against each of them as the only reference (column).

    `counts` are n-gram counts, `frequency` in how many of `n_clips` clips an n-gram is.
    """
    lengths = np.array([sum(c for ngram, c in each.items() if len(ngram) == 2) for each in counts])
    # The tools call the number of bigrams the length of a caption.
    penalty = np.exp(-((lengths[:, None] - lengths) ** 2) / (2 * SIGMA**2))
    total = np.zeros((len(counts), len(counts)))
    for n in range(1, N + 1):
        ngrams = sorted({ngram for each in counts for ngram in each if len(ngram) == n})
        idf = np.array([np.log(n_clips) - np.log(max(1, frequency[ngram])) for ngram in ngrams])
        tf = np.array([[each.get(ngram, 0) for ngram in ngrams] for each in counts], dtype=float)
        vectors = tf * idf  # (captions, n-grams)
        norms = np.sqrt((vectors**2).sum(axis=1))
        products = (np.minimum(vectors[:, None], vectors) * vectors).sum(axis=2)
        scale = norms[:, None] * norms
        total += np.divide(products, scale, out=np.zeros_like(scale), where=scale > 0)
    return SCALE * penalty * total / N


def _count(tokens: Sequence[int]) -> Counter[Ngram]:
    return Counter(
        tuple(tokens[start : start + n])
        for n in range(1, N + 1)
        for start in range(len(tokens) - n + 1)
    )


def _weights(of_clip: Sequence[Hypothesis], options: DecodingOptions) -> np.ndarray:
    """Give the probabilities of the hypotheses among themselves, (n,)."""
    if options.samples:
        return np.full(len(of_clip), 1 / len(of_clip))
    log_p = np.array(
        [each.score * (len(each.tokens) + 1) ** options.length_penalty for each in of_clip]
    )
    weights = np.exp(log_p - log_p.max())
    return weights / weights.sum()
