"""Word vectors from a file: word2vec's text and binary forms, and GloVe's, plain or gzipped.

word2vec (word2vec.c of Mikolov et al., 2013): a line "words values", then per word its name, a
space and its values: as text on a line of its own, or as little-endian float32, often with a line
feed behind. GloVe (Pennington et al., 2014): the text form without that first line; a few of its
names hold spaces. Published files have gigabytes: they are read word by word, and only a
vocabulary's words are kept.
"""

import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from captioner.errors import InputError
from captioner.job import Progress
from captioner.text.vocabulary import Vocabulary
from captioner.text.word_embeddings.vectors import WordVectors

MOST_VALUES = 10_000  # per word; published files have 25 to 1,024
LONGEST_LINE = 1 << 20  # bytes
LONGEST_NAME = 1 << 12  # bytes, in binary files
BLOCK = 1 << 20  # bytes read at a time, in binary files
ADVANCE = 4096  # words from one look at the progress to the next
GZIP = b"\x1f\x8b"

Words = Iterator[tuple[bytes, bytes]]  # names, and values as they stand in the file


class _MalformedError(Exception):
    """Says what was found."""


def embed(vocabulary: Vocabulary, captions: Sequence[str], *, path: str) -> WordVectors:
    """Read the vectors of a vocabulary's words; of a word that stands twice, the first.

    `captions` are not looked at.

    Raises `InputError` for a file that is absent, cut short or of another form, saying where, and
    where it has none of the words.
    """
    specials = {*vocabulary.unspoken, vocabulary.eos}
    wanted = {t.encode(): i for i, t in enumerate(vocabulary.tokens) if i not in specials}
    found: dict[int, NDArray[np.float32]] = {}
    size = Path(path).stat().st_size if Path(path).is_file() else 0
    with (
        _explained(path),
        Path(path).open("rb") as raw,
        Progress(size, Path(path).name, "B", scale=True) as progress,
    ):
        zipped = raw.read(len(GZIP)) == GZIP
        raw.seek(0)
        seen = 0
        words, parse = _open_words(cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if zipped else raw)
        for n, (name, values) in enumerate(words):
            index = wanted.get(name)
            if index is not None and index not in found:
                found[index] = parse(name, values)
            if n % ADVANCE == 0:
                progress.advance(raw.tell() - seen)
                seen = raw.tell()
        progress.advance(size - seen)
    return WordVectors.collect(vocabulary, found)


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except _MalformedError as error:
        raise InputError(
            f"{path}: found {error}; expected word vectors in word2vec's text or binary form or in "
            "GloVe's, plain or gzipped. If it is a zip, unpack it; of a model of gensim's own, "
            "write one by `save_word2vec_format`; else get the file again."
        ) from None
    except (EOFError, zlib.error, OSError) as error:
        raise InputError(
            f"{path} cannot be read ({type(error).__name__}: {error}); expected a file of word "
            "vectors. Check the path, or get the file again."
        ) from error


def _open_words(file: BinaryIO) -> tuple[Words, Callable[[bytes, bytes], NDArray[np.float32]]]:
    """Give the words of a file whatever its form, and what parses their values."""
    first = file.readline(LONGEST_LINE)
    counts = re.fullmatch(rb"(\d{1,18}) (\d{1,18})\s*", first)
    if counts is None:
        n_values = len(first.split()) - 1
        if n_values > MOST_VALUES or not _is_text(first, n_values):
            raise _MalformedError(f"a first line without a word and numbers ({_shown(first)})")
        file.seek(0)
        return _text_words(file, None, n_values), _parse_text
    n_words, n_values = int(counts[1]), int(counts[2])
    if not (n_words and 0 < n_values <= MOST_VALUES):
        raise _MalformedError(f"{n_words} words of {n_values} values in the first line")
    if _is_text(file.readline(LONGEST_LINE), n_values):
        file.seek(len(first))
        return _text_words(file, n_words, n_values), _parse_text
    file.seek(len(first))
    return _binary_words(file, n_words, n_values), _parse_binary


def _is_text(line: bytes, n_values: int) -> bool:
    fields = line.split()
    try:
        return 0 < len([float(field) for field in fields[-n_values:]]) < len(fields)
    except ValueError:
        return False


def _text_words(file: BinaryIO, n_words: int | None, n_values: int) -> Words:
    """Yield a word a line; a name that holds a space, which no caption's word does, is empty."""
    n = 0
    while line := file.readline(LONGEST_LINE):
        n += 1
        stripped = line.rstrip()
        n_found = stripped.count(b" ")
        if n_found < n_values or len(line) == LONGEST_LINE:
            raise _MalformedError(
                f"{n_found} values of word {n} ({_shown(line)}) in place of {n_values}"
            )
        name, _, values = stripped.partition(b" ")
        yield (name if n_found == n_values else b""), values
    if n_words not in (None, n):
        raise _MalformedError(f"{n} words where the first line says {n_words}")


def _binary_words(file: BinaryIO, n_words: int, n_values: int) -> Words:
    n_bytes = 4 * n_values
    block, at = b"", 0
    for n in range(1, n_words + 1):
        if len(block) - at < LONGEST_NAME + n_bytes:
            block, at = block[at:] + file.read(BLOCK), 0
        space = block.find(b" ", at, at + LONGEST_NAME)
        end = space + 1 + n_bytes
        if space < 0 or end > len(block):
            raise _MalformedError(f"no word {n} of the {n_words} that the first line says")
        yield block[at:space].lstrip(b"\n"), block[space + 1 : end]
        at = end
    if (block[at:] + file.read(1)).strip(b"\n"):
        raise _MalformedError(f"more than the {n_words} words that the first line says")


def _parse_text(name: bytes, values: bytes) -> NDArray[np.float32]:
    try:
        return np.array([float(value) for value in values.split(b" ")], np.float32)
    except ValueError as error:
        raise _MalformedError(f"values of {_shown(name)} that are no numbers ({error})") from None


def _parse_binary(name: bytes, values: bytes) -> NDArray[np.float32]:
    return np.frombuffer(values, "<f4")


def _shown(raw: bytes) -> str:
    text = raw[:60].decode("utf-8", "replace").rstrip()
    return repr(text + ("..." if len(raw) > 60 else ""))
