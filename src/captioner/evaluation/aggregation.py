"""Corpus values of BLEU and METEOR from summed statistics of clips, for many sums at once.

Neither is a mean of clips. Both are computed as the official tools do, on arrays, so that one
product of resamples with statistics gives the scores of all resamples.
"""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

N_BLEU = 10  # matches of 1- to 4-grams, candidate's 1- to 4-grams, candidate's and closest length
N_METEOR = 23  # METEOR 1.5's statistics of a segment, the numbers of its SCORE answer

# pycocoevalcap's BleuScorer: TINY keeps a score without candidates 0, SMALL avoids division by 0.
BLEU_TINY, BLEU_SMALL = 1e-15, 1e-9

# METEOR 1.5's parameters for English (`-l en -norm`; Denkowski and Lavie, Meteor Universal, 2014),
# and its weights of exact, stem, synonym and paraphrase matches.
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
MATCH_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])
_LENGTH = slice(0, 2)  # words of the candidate and of the reference
_FUNCTION_WORDS = slice(2, 4)
_MATCHES = slice(4, 20)  # per module: content of candidate, reference, function words of both
_CHUNKS = 20
_MATCHED = slice(21, 23)  # words of the candidate and of the reference


def bleu_of_sums(sums: Matrix) -> Matrix:
    """Compute BLEU-1 to 4 of summed statistics: (R, 10) -> (R, 4).

    As `pycocoevalcap` with the option "closest": its brevity penalty and its small constants.
    """
    matches, guesses, length, reference = sums[:, :4], sums[:, 4:8], sums[:, 8], sums[:, 9]
    precisions = (matches + BLEU_TINY) / (guesses + BLEU_SMALL)
    bleu = np.cumprod(precisions, axis=1) ** (1 / np.arange(1, 5))
    ratio = (length + BLEU_TINY) / (reference + BLEU_SMALL)
    penalty = np.exp(np.minimum(0, 1 - 1 / ratio))  # 1 where the candidates are long enough
    scores: Matrix = bleu * penalty[:, None]
    return scores


def addable_meteor(statistics: Matrix) -> Matrix:
    """Give segments' statistics in the form that sums: (N, 23) -> (N, 23).

    METEOR leaves out the chunk of a segment that is one chunk with its reference, word for word.
    """
    matched = _by_module(statistics).sum(axis=(1, 2))  # (N, 2): candidate, reference
    whole = (matched == statistics[:, _LENGTH]).all(axis=1) & (statistics[:, _CHUNKS] == 1)
    added = statistics.copy()
    added[whole, _CHUNKS] = 0
    return added


def meteor_of_sums(sums: Matrix) -> Matrix:
    """Compute METEOR of summed statistics (`addable_meteor`): (R, 23) -> (R,).

    As the scorer of METEOR 1.5 does; without any match (a division by 0) it is 0.
    """
    weighted = np.einsum("rmkc,m->rkc", _by_module(sums), MATCH_WEIGHTS)
    content, function = weighted[:, 0], weighted[:, 1]  # (R, 2): candidate, reference
    lengths, of_function = sums[:, _LENGTH], sums[:, _FUNCTION_WORDS]
    matched = DELTA * content + (1 - DELTA) * function
    out_of = DELTA * (lengths - of_function) + (1 - DELTA) * of_function
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = (matched / out_of).T
        mean = 1 / ((1 - ALPHA) / precision + ALPHA / recall)
        fragmentation = sums[:, _CHUNKS] / (sums[:, _MATCHED].sum(axis=1) / 2)
        score = mean * (1 - GAMMA * fragmentation**BETA)
    return np.nan_to_num(score).clip(min=0)


def _by_module(statistics: Matrix) -> Matrix:
    """Matches by module, kind (content, function words) and side (candidate, reference)."""
    return statistics[:, _MATCHES].reshape(-1, len(MATCH_WEIGHTS), 2, 2)
