"""Splits of captioned clips in which every word is shared out, as in Clotho.

Clotho (Drossos, Lipping, Virtanen 2020; task page of DCASE 2021 Task 6) takes the words of a clip
as its labels and splits by multi-label stratification: every word is in development, in two splits
if it occurs in two clips, and else in proportion to the sizes of the splits. A word of one clip
only (Clotho has none) belongs in development.

Two stages: iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011), which takes the rarest
word first and gives each of its clips to the split that wants the word most; then swaps of two
clips between two splits as long as they lower the cost. Costs are whole numbers and ties are
broken by a hash of seed and name: the result is the same on every machine and in every order of
the clips.
"""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy import sparse

from captioner.corpus.splits import split_sizes
from captioner.job import Progress
from captioner.text.normalisation import tokenize

TEXT_RULE = "task"
# The cost of a word in a split is the square of (clips with it there - clips that should be), over
# all clips with it, so that all words count alike; as a whole number of units of 1 / SCALE.
SCALE = 2**12
ALONE = 2**12 * SCALE  # for a word of several clips in development only; above any swap's squares
MISSING = 2**12 * ALONE  # for a word that is not in development; above any swap's lone words
BLOCK = 256  # clips of two splits that are compared at a time, each with each
MAX_PASSES = 40  # over all pairs of splits; the cost hardly falls after twenty
TINY = 64  # clips: fewer are split N_ATTEMPTS times, and the best is taken
N_ATTEMPTS = 16


def stratified_split(
    captions: Mapping[str, Sequence[str]], shares: Mapping[str, float], seed: int
) -> dict[str, list[str]]:
    """Split clips (file name -> captions) so that every word is shared out in proportion.

    `shares` sum to 1 with `development` among them; sizes are exact (`split_sizes`). Gives the
    names of each split, sorted, in the order of `shares`. Raises `InputError` if shares are wrong
    or nothing is left for development.
    """
    sizes = split_sizes(len(captions), shares)
    n_attempts = N_ATTEMPTS if len(captions) < TINY else 1
    lowest = None
    with Progress(n_attempts * MAX_PASSES, "Splitting by words", "pass") as progress:
        for attempt in range(n_attempts):
            names = hash_order(captions, f"{seed}/{attempt}" if attempt else f"{seed}")
            found = _Assignment(label_matrix([captions[name] for name in names]), sizes)
            found.improve(progress)
            if lowest is None or found.cost() < lowest:
                lowest, parted = found.cost(), _named(names, found.split_of, sizes)
    return parted


def random_split(
    file_names: Mapping[str, object] | Sequence[str], shares: Mapping[str, float], seed: int
) -> dict[str, list[str]]:
    """Split clips at random, into the sizes of `stratified_split`: what it is compared with."""
    names = hash_order(file_names, f"{seed}")
    sizes = split_sizes(len(names), shares)
    return _named(names, np.repeat(np.arange(len(sizes)), list(sizes.values())), sizes)


def hash_order(file_names: Mapping[str, object] | Sequence[str], seed: str) -> list[str]:
    """Order names at random: by a hash of seed and name, which no other name changes."""

    def rank(file_name: str) -> bytes:
        key = f"{seed}/{file_name}".encode("utf-8", "surrogateescape")
        return hashlib.blake2b(key, digest_size=16).digest()

    return sorted(file_names, key=rank)


def label_matrix(captions: Sequence[Sequence[str]]) -> sparse.csr_array:
    """Give which clip has which word, by the text rules: ones (n_clips, n_words) int64."""
    held = [sorted({w for caption in c for w in tokenize(caption, TEXT_RULE)}) for c in captions]
    words = sorted({word for clip in held for word in clip})
    index = {word: number for number, word in enumerate(words)}
    columns = np.array([index[word] for clip in held for word in clip], dtype=np.int64)
    starts = np.cumsum([0, *map(len, held)])
    ones = np.ones(len(columns), dtype=np.int64)
    return sparse.csr_array((ones, columns, starts), shape=(len(held), len(words)))


def _named(
    names: Sequence[str], split_of: np.ndarray, sizes: Mapping[str, int]
) -> dict[str, list[str]]:
    return {
        split: sorted(names[clip] for clip in np.flatnonzero(split_of == number).tolist())
        for number, split in enumerate(sizes)
    }


class _Assignment:
    """Which split each clip is in, and how often each split has each word."""

    def __init__(self, labels: sparse.csr_array, sizes: Mapping[str, int]):
        """Assign clips, the rows of `labels`, by iterative stratification."""
        n_clips, n_words = labels.shape
        self.labels = labels
        self.development = list(sizes).index("development")
        self.total = np.bincount(labels.indices, minlength=n_words)  # clips of each word
        self.target = self.total[:, None] * (np.array(list(sizes.values())) / n_clips)  # (V, S)
        self.found = np.zeros(self.target.shape, dtype=np.int64)  # (V, S)
        self.split_of = np.full(n_clips, -1)
        self._assign(np.array(list(sizes.values())))
        self.leaving = np.empty_like(self.found)  # rise of the cost if a clip with the word leaves
        self.entering = np.empty_like(self.found)  # a split, or enters it; (V, S)
        self._price(np.arange(n_words))

    def cost(self) -> int:
        """Give the cost of all words."""
        return int(self._costs(slice(None), self.found).sum())

    def words_of(self, clip: int) -> np.ndarray:
        """Give the columns of a clip's words."""
        start, end = self.labels.indptr[clip : clip + 2]
        return self.labels.indices[start:end]

    def _costs(self, words: np.ndarray | slice, found: np.ndarray) -> np.ndarray:
        """Cost (n_words, S) of `words` if their counts were `found` (n_words, S)."""
        total = self.total[words]
        costs = np.rint(SCALE * (found - self.target[words]) ** 2 / total[:, None]).astype(np.int64)
        here = found[:, self.development]
        costs[:, self.development] += MISSING * (here <= 0) + ALONE * (
            (here >= total) & (total > 1)
        )
        return costs

    def _assign(self, room: np.ndarray) -> None:
        """Take the word with the fewest clips left and assign them, until no clip is left.

        Two rules go before what Sechidis et al. have: a word's first clip is for development, and
        its last for another split if none has the word.
        """
        by_word = self.labels.tocsc()
        left = self.total.copy()  # clips not assigned of each word
        wanted = self.target.copy()
        while left.any():
            word = int(np.where(left, left, np.iinfo(left.dtype).max).argmin())
            clips = np.sort(by_word.indices[by_word.indptr[word] : by_word.indptr[word + 1]])
            for clip in clips[self.split_of[clips] < 0]:
                here, anywhere = self.found[word, self.development], self.found[word].sum()
                allowed = room > 0
                if here == 0 and room[self.development]:
                    allowed[:] = False
                    allowed[self.development] = True
                elif here == anywhere and left[word] == 1 and allowed.sum() > 1:
                    allowed[self.development] = False
                # Ties of the word go to the split with the most room, as in the paper.
                split = np.lexsort((-room, -wanted[word], ~allowed))[0]
                words = self.words_of(clip)
                self.split_of[clip] = split
                room[split] -= 1
                self.found[words, split] += 1
                wanted[words, split] -= 1
                left[words] -= 1
        wordless = np.flatnonzero(self.split_of < 0)
        self.split_of[wordless] = np.repeat(np.arange(len(room)), room)

    def improve(self, progress: Progress) -> None:
        """Swap clips of two splits while that lowers the cost, `MAX_PASSES` times round at most.

        Each pass compares each block of one split's clips with one block of the other's, the next
        one in every pass; so the time of a pass grows with the clips, not with their square.
        """
        n_splits = self.target.shape[1]
        n_idle, n_rounds = 0, -(-len(self.split_of) // BLOCK)
        for turn in range(MAX_PASSES):
            n_swapped = 0
            for one, other in combinations(range(n_splits), 2):
                first, second = (np.flatnonzero(self.split_of == split) for split in (one, other))
                blocks = [second[at : at + BLOCK] for at in range(0, len(second), BLOCK)]
                for number, at in enumerate(range(0, len(first), BLOCK)):
                    theirs = blocks[(number + turn) % len(blocks)]
                    theirs = theirs[self.split_of[theirs] == other]  # of those not swapped yet
                    n_swapped += self._swap_best(one, first[at : at + BLOCK], other, theirs)
            progress.advance()
            n_idle = 0 if n_swapped else n_idle + 1
            if n_idle == n_rounds:
                break

    def _price(self, words: np.ndarray) -> None:
        """Work out what the moves of clips with `words` cost now."""
        found = self.found[words]
        now = self._costs(words, found)
        self.leaving[words] = self._costs(words, found - 1) - now
        self.entering[words] = self._costs(words, found + 1) - now

    def _swap_best(self, one: int, first: np.ndarray, other: int, second: np.ndarray) -> int:
        """Swap clips `first` of split `one` each with its best of `second` of split `other`.

        Only swaps that lower the cost are made, the best first. Gives their number.
        """
        if not len(second):
            return 0
        out = self.leaving[:, one] + self.entering[:, other]  # a word that goes from one to other
        back = self.leaving[:, other] + self.entering[:, one]
        mine, theirs = self.labels[first], self.labels[second]
        # Words that both clips have stay where they are.
        change = (mine @ out)[:, None] + (theirs @ back)[None, :]  # (len(first), len(second))
        change -= ((mine * (out + back)) @ theirs.T).toarray()
        partner = change.argmin(axis=1)
        lowest = change.min(axis=1)
        taken = set()
        for row in np.argsort(lowest, kind="stable"):
            if lowest[row] >= 0:
                break
            if partner[row] not in taken and self._swap(first[row], second[partner[row]]):
                taken.add(partner[row])
        return len(taken)

    def _swap(self, clip: int, partner: int) -> bool:
        """Swap two clips if that still lowers the cost after the swaps before."""
        one, other = self.split_of[clip], self.split_of[partner]
        out = np.setdiff1d(self.words_of(clip), self.words_of(partner), assume_unique=True)
        back = np.setdiff1d(self.words_of(partner), self.words_of(clip), assume_unique=True)
        change = (
            self.leaving[out, one].sum()
            + self.entering[out, other].sum()
            + self.leaving[back, other].sum()
            + self.entering[back, one].sum()
        )
        if change >= 0:
            return False
        self.split_of[[clip, partner]] = other, one
        self.found[out, one] -= 1
        self.found[out, other] += 1
        self.found[back, other] -= 1
        self.found[back, one] += 1
        self._price(np.concatenate([out, back]))
        return True
