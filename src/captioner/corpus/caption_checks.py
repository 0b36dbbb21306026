"""The checks of what is written about a split's clips."""

import unicodedata
from collections.abc import Iterable, Sequence

from captioner.corpus.expectations import Check, Expectations, make_check, within
from captioner.corpus.tables import Annotation
from captioner.text.normalisation import tokenize

TEXT_RULE = "task"  # by which words are counted and compared

Tokens = list[list[list[str]]]  # of each clip, of each of its captions: the words


def tokens_of(annotations: Iterable[Annotation]) -> Tokens:
    """Split all captions into words."""
    return [[tokenize(c, TEXT_RULE) for c in annotation.captions] for annotation in annotations]


def check_captions(
    annotations: Sequence[Annotation],
    tokens: Tokens,
    development: Iterable[Annotation] | None,
    expected: Expectations,
) -> list[Check]:
    """Check the captions of a split, and that `development`, if given, has all their words."""
    each = [  # file name, number of the caption, caption, its words
        (annotation.file_name, number, caption, words)
        for annotation, held in zip(annotations, tokens, strict=True)
        for number, (caption, words) in enumerate(
            zip(annotation.captions, held, strict=True), start=1
        )
    ]
    empty = [f"{name}, caption {n}: {caption!r}" for name, n, caption, words in each if not words]
    unclean = [
        f"{name}, caption {n}: {word!r}"
        for name, n, _, words in each
        for word in words
        if _has_punctuation(word)
    ]
    checks = [
        _check_numbers(annotations, expected.n_captions),
        make_check("empty captions", "at least one word in each", empty),
        make_check(
            "punctuation", "letters and digits only, after the text rules", unclean, "warning"
        ),
    ]
    if expected.caption_words:
        lengths = [
            f"{name}: {len(words)} words: {caption}"
            for name, _, caption, words in each
            if not within(len(words), expected.caption_words)
        ]
        wanted = "{} to {} words after the text rules".format(*expected.caption_words)
        checks.append(make_check("caption lengths", wanted, lengths, "warning"))
    if development is not None:
        known = {word for held in tokens_of(development) for words in held for word in words}
        unknown = {word for _, _, _, words in each for word in words} - known
        wanted = "every word also in development"
        checks.append(make_check("words", wanted, sorted(unknown), "warning"))
    return checks


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
