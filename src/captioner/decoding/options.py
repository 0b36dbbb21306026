"""What goes into a search and what comes out of it: options and hypotheses."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from captioner.errors import InputError


@dataclass(frozen=True)
class DecodingOptions:
    """Options of a search; lengths count words, without special tokens.

    Raises `InputError` for values that leave nothing to search.
    """

    beam_size: int = 1  # unfinished hypotheses kept per clip; 1 is greedy
    min_length: int = 0  # no end of the caption before this many words
    max_length: int = 30  # the end is forced after this many words
    length_penalty: float = 1.0  # score = sum log p / length ** this; 0: the sum; 1: the mean
    n_best: int = 1  # hypotheses returned per clip, at most beam_size
    batch_size: int = 32  # clips decoded at once

    def __post_init__(self) -> None:
        for name in ("beam_size", "n_best", "batch_size"):
            self._expect(getattr(self, name) >= 1, name, "at least 1")
        self._expect(self.min_length >= 0, "min_length", "at least 0")
        self._expect(
            self.max_length >= self.min_length,
            "max_length",
            f"at least min_length ({self.min_length})",
        )
        self._expect(
            self.n_best <= self.beam_size, "n_best", f"at most beam_size ({self.beam_size})"
        )

    def _expect(self, condition: bool, name: str, expected: str) -> None:
        if not condition:
            raise InputError(
                f"decoding option {name}: found {getattr(self, name)!r}, expected {expected}. "
                "Change it in the config's `decodings` or on the command line."
            )

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "DecodingOptions":
        """Give the options of a decoding in the config; all hypotheses of the beam by default.

        Raises `InputError` for a key that is no option.
        """
        known = [field.name for field in fields(cls)]
        for key in settings:
            if key not in known:
                raise InputError(
                    f"decoding option {key!r}: not known, expected one of {', '.join(known)}."
                )
        if settings.get("n_best") is None:
            settings = {**settings, "n_best": settings.get("beam_size", cls.beam_size)}
        return cls(**settings)


@dataclass(frozen=True)
class Hypothesis:
    """One caption that a search found, as token indices without `<sos>` and `<eos>`."""

    tokens: list[int]
    score: float  # sum of natural log probabilities / length ** length_penalty, <eos> included
