"""Vectors of a vocabulary's words, made by one of the sources and kept in a file."""

import importlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captioner.errors import InputError
from captioner.job import atomic_path
from captioner.text.vocabulary import Vocabulary
from captioner.text.word_embeddings.sources import SOURCES

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WordVectors:
    """A vector per token of a vocabulary; those of tokens that the source does not know are 0."""

    values: NDArray[np.float32]  # (V, E)
    known: NDArray[np.bool_]  # (V,)

    @classmethod
    def collect(cls, vocabulary: Vocabulary, found: Mapping[int, Any]) -> "WordVectors":
        """Take vectors (E,) by token index.

        Raises `InputError` where there is none, and naming a token whose vector is not finite.
        """
        if not found:
            raise InputError(
                f"word embeddings: found none of the vocabulary's {len(vocabulary)} tokens, "
                "expected most of its words. Use a source in the captions' language, lower-case"
            )
        rows = {index: np.asarray(vector, np.float32) for index, vector in found.items()}
        for index, row in rows.items():
            if not np.isfinite(row).all():
                raise InputError(
                    f"word embeddings: the vector of {vocabulary.tokens[index]!r} holds values "
                    "that are not finite; expected numbers. Get the source again"
                )
        values = np.zeros((len(vocabulary), len(next(iter(rows.values())))), np.float32)
        known = np.zeros(len(vocabulary), np.bool_)
        for index, row in rows.items():
            values[index], known[index] = row, True
        return cls(values, known)

    def save(self, path: str | Path) -> None:
        """Write as safetensors (`values`, `known`), atomically."""
        from safetensors.numpy import save_file

        with atomic_path(path) as temporary:
            save_file({"values": self.values, "known": self.known}, temporary)


def check_n_values(found: int, expected: int | None, source: str) -> None:
    """Raise `InputError` for vectors of more or fewer values than a model's words have.

    `expected` None: not known. `source` is whose they are, for the message.
    """
    if expected not in (None, found):
        raise InputError(
            f"word_embeddings: {source}: found vectors of {found} values, expected {expected}, as "
            f"many as a word has in the model. In `model`, set n_word_values to {found} (n_hidden, "
            f"where the family has no such key), or take vectors of {expected} values."
        )


def embed_words(
    vocabulary: Vocabulary,
    captions: Sequence[str],
    settings: Mapping[str, Any],
    n_values: int | None = None,
) -> WordVectors:
    """Make the vectors of a vocabulary's words.

    `captions`: those that the vocabulary was counted on, for the source that learns from them.
    `settings`: a system's `word_embeddings`, but for `frozen`, which is the training's. `n_values`:
    as many as the model's words have, if that is known.

    Raises `InputError` for a library that is not installed, a file that cannot be read, vectors of
    another size, and where no word is found.
    """
    rest = dict(settings)
    source = importlib.import_module(SOURCES[rest.pop("source")])
    vectors: WordVectors = source.embed(vocabulary, captions, **rest)
    check_n_values(vectors.values.shape[1], n_values, settings.get("path", settings["source"]))
    log.info(
        "%s: vectors of %d values for %d of the vocabulary's %d tokens; these start at random: %s",
        settings["source"],
        vectors.values.shape[1],
        vectors.known.sum(),
        len(vocabulary),
        " ".join(vocabulary.tokens[index] for index in np.flatnonzero(~vectors.known)) or "none",
    )
    return vectors
