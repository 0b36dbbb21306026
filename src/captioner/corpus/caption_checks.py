"""The checks of what is written about a split's clips."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from captioner.corpus.expectations import Check, Expectations, make_check, within
from captioner.corpus.tables import Annotation
from captioner.text.normalisation import tokenize

TEXT_RULE = "task"  # by which words are counted and compared


def check_captions(
    annotations: Sequence[Annotation],
    development: Iterable[Annotation] | None,
    expected: Expectations,
) -> tuple[list[Check], Counter[int]]:
    """Check the captions of a split, and that `development`, if given, has all their words.

    Gives the checks, and the number of captions by their number of words.
    """
    empty, unclean, too_short_or_long = [], [], []
    found: set[str] = set()
    n_words: Counter[int] = Counter()
    for annotation in annotations:
        name = annotation.file_name
        for number, caption in enumerate(annotation.captions, start=1):
            words = tokenize(caption, TEXT_RULE)
            found.update(words)
            n_words[len(words)] += 1
            if not words:
                empty.append(f"{name}, caption {number}: {caption!r}")
            unclean += [f"{name}, caption {number}: {w!r}" for w in words if _has_punctuation(w)]
            if expected.caption_words and not within(len(words), expected.caption_words):
                too_short_or_long.append(f"{name}: {len(words)} words: {caption}")
    clean = "letters and digits only, after the text rules"
    checks = [
        _check_numbers(annotations, expected.n_captions),
        make_check("empty captions", "at least one word in each", empty),
        make_check("punctuation", clean, unclean, "warning"),
    ]
    if expected.caption_words:
        wanted = "{} to {} words after the text rules".format(*expected.caption_words)
        checks.append(make_check("caption lengths", wanted, too_short_or_long, "warning"))
    if development is not None:
        for annotation in development:
            for caption in annotation.captions:
                found.difference_update(tokenize(caption, TEXT_RULE))
        checks.append(
            make_check("words", "every word also in development", sorted(found), "warning")
        )
    return checks, n_words


def _check_numbers(annotations: Sequence[Annotation], n_captions: int | None) -> Check:
    """Compare the captions per clip with the number declared; without one, one at least."""
    wrong = [
        f"{annotation.file_name}: {len(annotation.captions)}"
        for annotation in annotations
        if (
            not annotation.captions
            if n_captions is None
            else len(annotation.captions) != n_captions
        )
    ]
    wanted = "one at least" if n_captions is None else str(n_captions)
    return make_check("captions per clip", wanted, wrong)


def _has_punctuation(word: str) -> bool:
    """Say whether a word has anything but letters, digits and their marks, in whatever script.

    Not by the table of the text rules, which this is to check: symbols and invisible characters
    count here too.
    """
    return not word.isalnum() and any(
        not c.isalnum() and not unicodedata.category(c).startswith("M") for c in word
    )
