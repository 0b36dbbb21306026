"""What a source of sound is: how it sounds, what people call it, which attributes it can take."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from captioner.corpus.synthetic.dsp import Rng, Waveform, faded, scatter, to_samples

Pace = Literal["slow", "fast"]


@dataclass(frozen=True)
class Manner:
    """How a source sounds this time; None and False: nothing to be said about it."""

    pace: Pace | None = None
    once: bool = False  # a single event, of sources that repeat

    @property
    def rate(self) -> float:
        """Events per second, relative to the usual rate."""
        return {"slow": 0.55, None: 1.0, "fast": 1.9}[self.pace]


Synthesis = Callable[[Rng, int, Manner], Waveform]  # n samples of any level
Events = Callable[[Rng, int], list[Waveform]]  # n events of one individual: one dog, one bell


@dataclass(frozen=True)
class Noun:
    """A noun phrase without its article; `article` is "a" (or "an"), "the" or "" (mass, plural)."""

    text: str
    article: str = "a"
    plural: bool = False


@dataclass(frozen=True)
class Verb:
    """A verb phrase with its complements: "falls on the ground"."""

    third: str
    plural: str
    gerund: str


def verb(base: str, complement: str = "", third: str = "", gerund: str = "") -> Verb:
    """Conjugate a verb; give the irregular forms by name."""
    hissing = base.endswith(("s", "sh", "ch", "x", "z"))
    stem = base.removesuffix("e") if not base.endswith("ee") else base
    forms = third or base + ("es" if hissing else "s"), base, gerund or stem + "ing"
    return Verb(*(f"{form} {complement}".strip() for form in forms))


@dataclass(frozen=True)
class Source:
    """One kind of sound."""

    name: str
    synthesise: Synthesis
    nouns: tuple[Noun, ...]
    verbs: tuple[Verb, ...]
    steady: bool = False  # goes on without a pause: may be a background
    repeats: bool = False  # single events: once or repeatedly
    paced: bool = False  # slow or fast
    indoors: bool = False  # may be met inside a room


@dataclass(frozen=True)
class EventSequence:
    """A synthesis that plays events at jittered intervals: at least three, or one if once.

    A class, not a closure: sources travel between processes.
    """

    events: Events
    interval_s: float  # between onsets, at the usual pace
    jitter: float = 0.15  # standard deviation of an interval, as a share of it

    def __call__(self, rng: Rng, n: int, manner: Manner) -> Waveform:
        """Give n samples."""
        if manner.once:
            (event,) = self.events(rng, 1)
            latest = max(1, min(n // 3, n - len(event)))
            starts = np.array([rng.integers(0, latest)])
            return faded(scatter(n, starts, [event]), 0.0, 0.02)
        spacing = min(to_samples(self.interval_s / manner.rate), n // 4)  # room for three
        steps = spacing * np.clip(1 + self.jitter * rng.standard_normal(n // spacing + 2), 0.5, 1.5)
        starts = (rng.uniform(0, spacing / 2) + np.cumsum(steps) - steps[0]).astype(np.int64)
        starts = starts[starts < n - min(spacing // 2, to_samples(0.1))]
        return faded(scatter(n, starts, self.events(rng, len(starts))), 0.0, 0.02)
