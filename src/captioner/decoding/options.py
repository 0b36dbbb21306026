"""What goes into decoding and what comes out of it: options and hypotheses."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any

from captioner.errors import InputError

RERANKINGS = ("none", "mbr")


@dataclass(frozen=True)
class DecodingOptions:
    """Options of a search, or of sampling; lengths count words, without special tokens.

    Words are those of the vocabulary, one token each. Raises `InputError` for values that leave
    nothing to decode or contradict each other; words are checked where the vocabulary is known.
    """

    beam_size: int = 1  # unfinished hypotheses kept per clip; 1 is greedy
    min_length: int = 0  # no end of the caption before this many words
    max_length: int = 30  # the end is forced after this many words
    length_penalty: float = 1.0  # score = sum log p / length ** this; 0: the sum; 1: the mean
    n_best: int = 1  # hypotheses returned per clip, at most beam_size or samples
    batch_size: int = 128  # clips decoded at once
    no_repeat_ngram: int = 0  # no n-gram of this many words occurs twice in a caption; 0: it may
    no_repeat_content: bool = False  # no word occurs twice but stop words
    banned_words: tuple[str, ...] = ()  # words that no caption holds
    forced_words: tuple[str, ...] = ()  # words that every caption holds, each, anywhere
    beam_groups: int = 1  # groups that the beam is cut into, each unlike those before it
    diversity: float = 0.5  # log p lost per hypothesis of an earlier group that takes the same word
    samples: int = 0  # captions drawn per clip instead of searched; 0: search
    temperature: float = 1.0  # of sampling: logits are divided by it
    top_k: int = 0  # sampling among this many words, the most probable; 0: all
    top_p: float = 1.0  # sampling among the fewest words of this probability together; 1: all
    seed: int = 0  # of sampling; a clip's draws depend on it and on the clip's file name
    rerank: str = "none"  # mbr: the n-best by minimum Bayes risk, the expected CIDEr-D

    def __post_init__(self) -> None:
        for name in ("beam_size", "n_best", "batch_size", "beam_groups"):
            self._expect(getattr(self, name) >= 1, name, "at least 1")
        for name in ("min_length", "no_repeat_ngram", "samples", "top_k", "seed", "diversity"):
            self._expect(getattr(self, name) >= 0, name, "at least 0")
        for name in ("length_penalty", "diversity", "temperature"):
            self._expect(isfinite(getattr(self, name)), name, "a finite number")
        self._expect(
            self.max_length >= self.min_length,
            "max_length",
            f"at least min_length ({self.min_length})",
        )
        self._expect(self.rerank in RERANKINGS, "rerank", f"one of {', '.join(RERANKINGS)}")
        self._check_words()
        if self.samples:
            self._check_sampling()
        else:
            self._check_search()

    def _check_words(self) -> None:
        for name in ("banned_words", "forced_words"):
            words = getattr(self, name)
            self._expect(len(set(words)) == len(words), name, "every word once")
        both = sorted(set(self.banned_words) & set(self.forced_words))
        self._expect(not both, "forced_words", f"no banned word (also banned: {', '.join(both)})")
        self._expect(
            len(self.forced_words) <= self.max_length,
            "forced_words",
            f"at most max_length ({self.max_length}) words",
        )

    def _check_search(self) -> None:
        self._expect(
            self.n_best <= self.beam_size, "n_best", f"at most beam_size ({self.beam_size})"
        )
        self._expect(
            self.beam_size % self.beam_groups == 0,
            "beam_groups",
            f"a divisor of beam_size ({self.beam_size})",
        )
        per_group = self.beam_size // self.beam_groups
        self._expect(
            not self.forced_words or per_group > len(self.forced_words),
            "beam_size",
            f"more hypotheses (per group: {per_group}) than forced words "
            f"({len(self.forced_words)}), one for each number of them said",
        )
        for name, neutral in (("temperature", 1.0), ("top_k", 0), ("top_p", 1.0)):
            self._expect(
                getattr(self, name) == neutral,
                name,
                f"{neutral} for a search (`samples: N` samples instead)",
            )

    def _check_sampling(self) -> None:
        self._expect(self.n_best <= self.samples, "n_best", f"at most samples ({self.samples})")
        for name in ("beam_size", "beam_groups"):
            self._expect(
                getattr(self, name) == 1,
                name,
                f"1 with samples ({self.samples}), which no beam has",
            )
        self._expect(
            not self.forced_words, "forced_words", "none with samples: forcing words needs a beam"
        )
        self._expect(self.temperature > 0, "temperature", "more than 0")
        self._expect(0 < self.top_p <= 1, "top_p", "more than 0 and at most 1")

    def _expect(self, condition: bool, name: str, expected: str) -> None:
        if not condition:
            found = getattr(self, name)
            shown = list(found) if isinstance(found, tuple) else found
            raise InputError(
                f"decoding option {name}: found {shown!r}, expected {expected}. "
                "Change it in the config's `decodings` or on the command line."
            )

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "DecodingOptions":
        """Give the options of a decoding in the config; by default all hypotheses are returned.

        Raises `InputError` for a key that is no option.
        """
        known = [field.name for field in fields(cls)]
        for key in settings:
            if key not in known:
                raise InputError(
                    f"decoding option {key!r}: not known, expected one of {', '.join(known)}."
                )
        settings = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in settings.items()
        }
        if settings.get("n_best") is None:
            n_best = settings.get("samples") or settings.get("beam_size", cls.beam_size)
            settings["n_best"] = max(n_best, 1)
        return cls(**settings)


@dataclass(frozen=True)
class Hypothesis:
    """One caption that was found, as token indices without `<sos>` and `<eos>`."""

    tokens: list[int]
    score: float  # sum of natural log probabilities / length ** length_penalty, <eos> included
    expected_cider_d: float | None = None  # against the clip's hypotheses, if reranked by it
