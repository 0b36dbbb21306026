"""CIDEr-D of many candidates against references that stay: rewards and scores of every epoch.

Vedantam et al., "CIDEr: Consensus-based image description evaluation" (CVPR 2015), in the variant
D of the COCO caption tools, whose values these are: those of `metrics.cider`, which counts document
frequencies anew at each call.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

N = 4  # n-grams of up to four words
SIGMA = 6.0  # of the penalty on different lengths
SCALE = 10.0
# Clips whose references stay ready, 50 kB each for five captions: all of Clotho's development.
CLIPS_READY = 4096

Ngram = tuple[str, ...]


@dataclass(frozen=True)
class _References:
    """A clip's references, ready to be compared with."""

    where: Mapping[Ngram, list[tuple[int, float]]]  # n-gram -> reference, tf-idf in it
    norms: list[list[float]]  # of the tf-idf vectors: reference, length of n-gram
    n_bigrams: list[int]


class CiderD:
    """Scores tokenised captions against a corpus of tokenised references.

    `references` holds each clip's, words joined by spaces; document frequencies are those of the
    whole corpus, whatever clips are scored.
    """

    def __init__(self, references: Sequence[Sequence[str]]):
        frequency: Counter[Ngram] = Counter()
        for of_clip in references:
            frequency.update({ngram for text in of_clip for ngram in count_ngrams(text)})
        self._references = references
        self._ready = lru_cache(CLIPS_READY)(self._prepare)
        self._log_n_clips = math.log(len(references)) if references else 0.0
        # An n-gram that no reference has counts as one that is in one clip's: log 1 = 0.
        self._log_frequency = {
            ngram: math.log(n_clips) for ngram, n_clips in frequency.items() if n_clips > 1
        }

    def scores(self, clips: Sequence[int], candidates: Sequence[str]) -> np.ndarray:
        """Score candidates (n,), words joined by spaces, against the references of their clips."""
        pairs = zip(clips, candidates, strict=True)
        return np.array([self._score(candidate, self._ready(clip)) for clip, candidate in pairs])

    def _idf(self, ngram: Ngram) -> float:
        return self._log_n_clips - self._log_frequency.get(ngram, 0.0)

    def _prepare(self, clip: int) -> _References:
        where: dict[Ngram, list[tuple[int, float]]] = {}
        norms, n_bigrams = [], []
        for reference, text in enumerate(self._references[clip]):
            squares = [0.0] * N
            for ngram, count in count_ngrams(text).items():
                value = count * self._idf(ngram)
                squares[len(ngram) - 1] += value * value
                where.setdefault(ngram, []).append((reference, value))
            norms.append([math.sqrt(square) for square in squares])
            n_bigrams.append(_count_bigrams(text))
        return _References(where, norms, n_bigrams)

    def _score(self, candidate: str, references: _References) -> float:
        products = [[0.0] * N for _ in references.norms]
        squares = [0.0] * N
        for ngram, count in count_ngrams(candidate).items():
            value = count * self._idf(ngram)
            n = len(ngram) - 1
            squares[n] += value * value
            for reference, other in references.where.get(ngram, ()):
                products[reference][n] += min(value, other) * other
        norms = [math.sqrt(square) for square in squares]
        n_bigrams = _count_bigrams(candidate)
        total = 0.0
        for of_reference, other_norms, other_n in zip(
            products, references.norms, references.n_bigrams, strict=True
        ):
            similarity = sum(
                product / (norm * other) if norm and other else product
                for product, norm, other in zip(of_reference, norms, other_norms, strict=True)
            )
            # The tools call the number of bigrams the length of a caption.
            total += similarity * math.exp(-((n_bigrams - other_n) ** 2) / (2 * SIGMA**2))
        return SCALE * total / N / len(references.norms)


def count_ngrams(text: str) -> Counter[Ngram]:
    """Count the n-grams, of one to four words, of words joined by spaces."""
    words = text.split()
    counts: Counter[Ngram] = Counter()
    for n in range(1, N + 1):
        counts.update(zip(*(words[start:] for start in range(n)), strict=False))
    return counts


def _count_bigrams(text: str) -> int:
    return max(len(text.split()) - 1, 0)
