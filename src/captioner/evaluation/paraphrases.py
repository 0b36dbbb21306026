"""The part of METEOR's paraphrase table that a set of captions can need.

METEOR reads all 5.3 million entries at its start, which is most of its time. An entry can count
only where both of its phrases stand, word by word, in captions; the rest is left out, the order is
kept, and so METEOR gives the same values. What says which phrases those are is computed once from
the table and kept in a file.
"""

import gzip
import logging
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from captioner.job import atomic_path

PLAIN_WORD = re.compile("[a-z0-9]+")  # METEOR's normalisation leaves such a token as it is
LONGEST_PHRASE = 16  # words; the table's longest has 7

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ParaphraseTable:
    """The table in numbers: V words, P distinct phrases of W words in all, E entries.

    Attributes:
        vocabulary: the words, one a line, as UTF-8 bytes.
        word_ids: (W,) words of all phrases.
        starts: (P,) where each phrase starts in `word_ids`.
        entries: (E, 2) the two phrases of each entry, in the order of the file.
    """

    vocabulary: NDArray[np.uint8]
    word_ids: NDArray[np.unsignedinteger]
    starts: NDArray[np.int32]
    entries: NDArray[np.int32]

    def words(self) -> list[str]:
        """Give the vocabulary: id -> word."""
        return self.vocabulary.tobytes().decode().split("\n")


def open_table(path: Path, folder: Path) -> ParaphraseTable:
    """Give the table of `path` (METEOR's gzip file) in numbers, kept in `folder` (72 MB).

    It is computed (some 7 s) where `folder` does not have it, or has it damaged.
    """
    kept = folder / f"meteor-paraphrases-{path.stat().st_size}.npz"
    names = [field.name for field in fields(ParaphraseTable)]
    try:
        with np.load(kept) as arrays:
            return ParaphraseTable(*(arrays[name] for name in names))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        log.warning("%s is damaged (%s): written again", kept, error)
    log.info("Reading METEOR's paraphrase table, once")
    table = _read_table(path)
    try:
        with atomic_path(kept) as temporary:
            np.savez(temporary, **{name: getattr(table, name) for name in names})
    except OSError as error:  # a read-only folder: slower, but nothing is lost
        log.warning("%s cannot be written (%s): the next run reads the table again", kept, error)
    return table


def write_relevant(table: ParaphraseTable, captions: Sequence[str], path: Path) -> int:
    """Write the entries that tokenised `captions` can need as METEOR reads them (gzip).

    Returns:
        The number of entries written.
    """
    words = table.words()
    sure, possible = _present(words, captions)
    usable = np.logical_and.reduceat((sure | possible)[table.word_ids], table.starts)
    usable[usable] = _stand_in(table, np.flatnonzero(usable), words, captions, possible)
    entries = table.entries[usable[table.entries].all(axis=1)]
    ends = np.append(table.starts[1:], len(table.word_ids))
    texts = {
        phrase: " ".join(
            words[word] for word in table.word_ids[table.starts[phrase] : ends[phrase]]
        )
        for phrase in np.unique(entries).tolist()
    }
    # METEOR reads three lines an entry; the first, a probability, it does not use.
    lines = "".join(f"0\n{texts[a]}\n{texts[b]}\n" for a, b in entries.tolist())
    path.write_bytes(gzip.compress(lines.encode(), compresslevel=1))
    return len(entries)


def _read_table(path: Path) -> ParaphraseTable:
    with gzip.open(path) as file:
        data = file.read()
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    offsets = np.concatenate([[0], ends + 1]).astype(np.int32)
    lines = pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(data))
    is_phrase = np.arange(len(ends)) % 3 != 0
    phrases = pc.ascii_trim_whitespace(lines.filter(pa.array(is_phrase))).dictionary_encode()
    words = pc.split_pattern(phrases.dictionary, " ")
    flat = words.flatten().dictionary_encode()
    return ParaphraseTable(
        vocabulary=np.frombuffer("\n".join(flat.dictionary.to_pylist()).encode(), np.uint8),
        word_ids=flat.indices.to_numpy().astype(np.min_scalar_type(len(flat.dictionary))),
        starts=words.offsets.to_numpy()[:-1].astype(np.int32),
        entries=phrases.indices.to_numpy().astype(np.int32).reshape(-1, 2),
    )


def _present(
    words: Sequence[str], captions: Sequence[str]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say which words are tokens of the captions, and which may come out of one: (V,) each.

    METEOR's normalisation parts, mends and drops punctuation and symbols. So a token that is not
    plain may give any word whose letters and digits stand together in it.
    """
    tokens = {token for caption in captions for token in caption.split()}
    odd = "\n".join(_letters(token) for token in tokens if not PLAIN_WORD.fullmatch(token))
    sure = [word in tokens for word in words]
    possible = [_letters(word) in odd for word in words]
    return np.array(sure), np.array(possible)


def _letters(token: str) -> str:
    return "".join(filter(str.isalnum, token))


def _stand_in(
    table: ParaphraseTable,
    phrases: NDArray[np.int64],
    words: Sequence[str],
    captions: Sequence[str],
    possible: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Say which of the phrases (n,) stand in a caption as they are, or may: (n,).

    Phrases and the captions' n-grams are compared by 64-bit sums; phrases that share one by chance
    are kept, which does no harm.
    """
    random = np.random.default_rng(0)
    weights = random.integers(0, 2**64, len(words) + 1, np.uint64)
    places = random.integers(0, 2**64, LONGEST_PHRASE, np.uint64) | np.uint64(1)

    lengths = np.diff(np.append(table.starts, len(table.word_ids)))[phrases]
    ids = {word: number for number, word in enumerate(words)}
    gap = [""] * LONGEST_PHRASE  # no n-gram spans two captions
    tokens = []
    for caption in captions:
        words_of_it = caption.split()
        spoken = [token for token in words_of_it if _letters(token)]  # METEOR drops the others
        tokens += [*words_of_it, *gap]
        tokens += [*spoken, *gap] if len(spoken) < len(words_of_it) else []
    flat = np.array([ids.get(token, len(words)) for token in tokens])
    found = np.zeros(len(phrases), bool)
    sums = np.zeros(len(flat), np.uint64)  # of the n-grams that start there
    for n in range(1, int(lengths.max(initial=0)) + 1):
        step = len(flat) - n + 1
        sums = sums[:step] + weights[flat[n - 1 :]] * places[n - 1]
        (rows,) = np.nonzero(lengths == n)
        of_length = table.word_ids[table.starts[phrases[rows], None] + np.arange(n)]
        found[rows] = np.isin((weights[of_length] * places[:n]).sum(axis=1, dtype=np.uint64), sums)
        found[rows] |= possible[of_length].any(axis=1)
    return found
