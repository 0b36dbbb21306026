"""English stop words: words of grammar, which a caption may well repeat.

The list is scikit-learn's `ENGLISH_STOP_WORDS` (318 words, from the Glasgow Information Retrieval
Group), without those of its words that say what is heard, where, or how: they are content here.
"""

from functools import cache

CONTENT_WORDS = {
    "bill", "bottom", "call", "cry", "describe", "detail", "empty", "fill", "fire", "front", "full",
    "interest", "keep", "mill", "move", "part", "serious", "side", "sincere", "system", "thick",
    "thin", "top",
}  # fmt: skip


@cache
def stop_words() -> frozenset[str]:
    """Give the stop words, in lower case."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS) - CONTENT_WORDS
