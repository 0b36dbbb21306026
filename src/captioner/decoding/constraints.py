"""What captions may and must hold: the options of a decoding for one vocabulary."""

from dataclasses import dataclass

import torch

from captioner.decoding.options import DecodingOptions
from captioner.errors import InputError
from captioner.text.stop_words import stop_words
from captioner.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Constraints:
    """Lengths, n-grams and words by token index; a forbidden token has log p -inf.

    Nothing is renormalised, so that a score stays the model's own log probability. Whatever the
    options, the forced words can still be said: they differ, and none of them was said before.
    """

    eos: int
    min_length: int
    max_length: int
    no_repeat_ngram: int = 0
    banned: tuple[int, ...] = ()  # never said
    content: tuple[int, ...] = ()  # said at most once
    forced: tuple[int, ...] = ()  # all said

    @classmethod
    def of(cls, options: DecodingOptions, vocabulary: Vocabulary) -> "Constraints":
        """Look the words up; raises `InputError` for a word that the vocabulary does not hold.

        Special tokens, `<unk>` too, are never said.
        """
        said = {
            token: index
            for index, token in enumerate(vocabulary.tokens)
            if index != vocabulary.eos and index not in vocabulary.unspoken
        }
        for name in ("banned_words", "forced_words"):
            unknown = [word for word in getattr(options, name) if word not in said]
            if unknown:
                raise InputError(
                    f"decoding option {name}: found {', '.join(map(repr, unknown))}, expected "
                    f"words of the vocabulary (it holds {len(said)}, as its text rule writes "
                    "them). Change it in the config's `decodings` or on the command line."
                )
        content: tuple[int, ...] = ()
        if options.no_repeat_content:
            content = tuple(said[word] for word in said if word.lower() not in stop_words())
        return cls(
            vocabulary.eos,
            options.min_length,
            options.max_length,
            options.no_repeat_ngram,
            (*vocabulary.unspoken, *(said[word] for word in options.banned_words)),
            content,
            tuple(said[word] for word in options.forced_words),
        )

    def forbid(self, log_p: torch.Tensor, words: torch.Tensor) -> None:
        """Set log p (N, V) of what may not follow the words (N, L) to -inf, in place."""
        n_words = words.shape[1]
        end = log_p[:, self.eos].clone()
        if n_words == self.max_length:
            log_p.fill_(-torch.inf)
        else:
            log_p[:, list(self.banned)] = -torch.inf
            self._forbid_repetition(log_p, words)
        log_p[:, self.eos] = end if n_words >= self.min_length else -torch.inf
        if self.forced:
            missing = self.missing(words)
            n_missing = missing.sum(dim=1)
            log_p[n_missing > 0, self.eos] = -torch.inf
            due = n_missing == self.max_length - n_words  # no room for any other word
            others = torch.ones_like(log_p, dtype=torch.bool)
            others[:, list(self.forced)] = ~missing
            log_p.masked_fill_(others & due[:, None] & (n_missing > 0)[:, None], -torch.inf)

    def missing(self, words: torch.Tensor) -> torch.Tensor:
        """Mark the forced words that are not among the words (N, L): (N, n_forced) bool."""
        forced = torch.tensor(self.forced, dtype=torch.int64, device=words.device)
        return ~(words[:, :, None] == forced).any(dim=1)

    def _forbid_repetition(self, log_p: torch.Tensor, words: torch.Tensor) -> None:
        n_words, n = words.shape[1], self.no_repeat_ngram
        if 0 < n <= n_words:
            ngrams = words.unfold(1, n, 1)  # (N, L - n + 1, n)
            last = words[:, n_words - n + 1 :]  # what an n-gram would go on from
            row, place = (ngrams[..., :-1] == last[:, None]).all(dim=2).nonzero(as_tuple=True)
            log_p[row, ngrams[row, place, -1]] = -torch.inf
        if self.content and n_words:
            once = torch.zeros(log_p.shape[1], dtype=torch.bool, device=words.device)
            once[list(self.content)] = True
            row, place = once[words].nonzero(as_tuple=True)
            log_p[row, words[row, place]] = -torch.inf
