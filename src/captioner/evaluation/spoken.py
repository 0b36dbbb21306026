"""Captions of a vocabulary's words as the official tokeniser would write them, without Java.

References and words are tokenised once, at the start of a training; from then on any caption that a
model says is tokenised by joining its words' tokens. The tokeniser looks beyond a word only where a
whole number stands before a fraction ("10 1/2" is one token to it, two here).
"""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from captioner.evaluation.process import twice_if_it_hangs
from captioner.evaluation.tokenizer import tokenize_all
from captioner.text.vocabulary import Vocabulary

TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Spoken:
    """What scores in process need: tokenised references, and each word's tokens."""

    references: list[list[str]]  # clip, caption: tokens joined by spaces
    words: list[str]  # token index -> what it becomes; nothing for special tokens

    def tokenize(self, caption: Iterable[int]) -> str:
        """Give the tokens of a caption of token indices, joined by spaces."""
        return " ".join(filter(None, (self.words[index] for index in caption)))


def tokenize_once(texts: Sequence[Sequence[str]], vocabulary: Vocabulary) -> Spoken:
    """Tokenise the references of each clip, and every word of the vocabulary by itself.

    Raises `InputError` if the Java tool fails.
    """
    silent = {vocabulary.eos, *vocabulary.unspoken}
    words = ["" if index in silent else word for index, word in enumerate(vocabulary.tokens)]
    flat = [text for of_clip in texts for text in of_clip]
    run = partial(tokenize_all, [flat, words], timeout_s=TIMEOUT_S)
    with tempfile.TemporaryDirectory(prefix="captioner-tokens-") as folder:
        references, pieces = twice_if_it_hangs(run, Path(folder).resolve())
    remaining = iter(references)
    return Spoken([[next(remaining) for _ in of_clip] for of_clip in texts], pieces)
