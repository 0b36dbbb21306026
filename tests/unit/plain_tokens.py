"""Captions tokenised without Java, for tests that train much and score little."""

from captioner.evaluation.spoken import Spoken
from captioner.training import rewards, validation


def plain_spoken(texts, vocabulary):
    """Take the words as they stand, in lower case."""
    silent = {vocabulary.eos, *vocabulary.unspoken}
    words = ["" if index in silent else word for index, word in enumerate(vocabulary.tokens)]
    return Spoken([[text.lower().rstrip(".") for text in of_clip] for of_clip in texts], words)


def use_plain_tokens(setattr=setattr):
    """Let trainings tokenise so; `setattr` of a monkeypatch undoes it after the test."""
    for module in (rewards, validation):
        setattr(module, "tokenize_once", plain_spoken)
