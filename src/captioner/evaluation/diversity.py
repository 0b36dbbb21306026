"""How varied and how broken captions are: values of a set of captions, from their words alone."""

from collections.abc import Sequence
from itertools import pairwise

from captioner.text.stop_words import stop_words

# A sentence goes on after these: of Clotho's 29,645 captions, .1 % end in one of them. Captions of
# reinforced systems often do: Guo et al., "Improving reinforcement learning based image captioning
# with natural language prior" (EMNLP 2018).
GO_ON = {
    "a", "an", "and", "are", "as", "at", "for", "from", "into", "is", "of", "or", "the", "to",
    "while", "with",
}  # fmt: skip


def diversity(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Compute the values of `METRIC_SETS["diversity"]` for tokenised captions.

    - `vocabulary_size`: distinct words of all candidates.
    - `vocabulary_coverage`: the share of the references' distinct words that a candidate uses.
    - `distinct_1`, `distinct_2`: distinct n-grams over all n-grams of the candidates (Li et al.,
      "A diversity-promoting objective function for neural conversation models", 2016).
    - `mean_length`: words a candidate.
    - `repeated_content_words`: the share of candidates in which a content word (no stop word)
      stands more than once.
    - `repeated_words`: the share of candidates in which a word follows itself.
    - `unfinished`: the share of candidates that end in a word of `GO_ON`.

    A share of nothing is 0.
    """
    words = [candidate.split() for candidate in candidates]
    vocabulary = {word for of_clip in words for word in of_clip}
    known = {word for of_clip in references for text in of_clip for word in text.split()}
    repeating = sum(_repeats_content_word(of_clip) for of_clip in words)
    return {
        "vocabulary_size": float(len(vocabulary)),
        "vocabulary_coverage": _share(len(vocabulary & known), len(known)),
        "distinct_1": _distinct(words, 1),
        "distinct_2": _distinct(words, 2),
        "mean_length": _share(sum(map(len, words)), len(words)),
        "repeated_content_words": _share(repeating, len(words)),
        "repeated_words": _share(sum(_stutters(of_clip) for of_clip in words), len(words)),
        "unfinished": _share(sum(of_clip[-1] in GO_ON for of_clip in words if of_clip), len(words)),
    }


def _distinct(words: Sequence[Sequence[str]], n: int) -> float:
    n_grams = [
        tuple(of_clip[start : start + n])
        for of_clip in words
        for start in range(len(of_clip) - n + 1)
    ]
    return _share(len(set(n_grams)), len(n_grams))


def _repeats_content_word(words: Sequence[str]) -> bool:
    content = [word for word in words if word not in stop_words()]
    return len(set(content)) < len(content)


def _stutters(words: Sequence[str]) -> bool:
    return any(word == after for word, after in pairwise(words))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
