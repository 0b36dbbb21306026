"""What a request asks for: the parameters of its address, checked."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from captioner.decoding.windows import LONGEST_TRAINED_S, Windows
from captioner.errors import InputError
from captioner.serving.uploads import RefusedError

MOST_CAPTIONS = 20  # a beam that wide takes no more memory than a batch
SHORTEST_S = 1.0  # of window and hop: they bound how many windows a sound becomes
# What sounds longer than any that systems are trained on are cut into, as docs/captions.md advises.
LONG = Windows(20.0, 10.0)
NAMES = ("n_best", "window", "hop", "spectrogram")


@dataclass(frozen=True)
class Query:
    """What is wanted of a sound."""

    n_best: int = 1
    windows: Windows | None = None
    spectrogram: bool = False

    @classmethod
    def of(cls, parameters: Iterable[tuple[str, str]]) -> "Query":
        """Read the parameters; raises `RefusedError` (400) naming what is wrong."""
        given: dict[str, str] = {}
        for name, value in parameters:
            if name not in NAMES or name in given:
                found = f"{name!r} twice" if name in given else f"the parameter {name!r}"
                raise RefusedError(400, f"Found {found}, expected {', '.join(NAMES)}, each once.")
            given[name] = value
        window, hop = (_seconds(name, given.get(name)) for name in ("window", "hop"))
        try:
            windows = Windows.of(window, hop)
        except InputError as error:
            raise RefusedError(400, str(error)) from error
        return cls(
            _whole("n_best", given.get("n_best", "1"), 1, MOST_CAPTIONS),
            windows,
            bool(_whole("spectrogram", given.get("spectrogram", "0"), 0, 1)),
        )

    def windows_for(self, duration_s: float) -> Windows | None:
        """Give the windows of a sound; None: it is captioned as one."""
        if self.windows is None and duration_s > LONGEST_TRAINED_S + 1:
            return LONG
        return self.windows


def _whole(name: str, text: str, least: int, most: int) -> int:
    if text.isascii() and text.isdigit() and len(text) < 9 and least <= int(text) <= most:
        return int(text)
    raise RefusedError(
        400, f"{name}: found {text!r}, expected a whole number from {least} to {most}."
    )


def _seconds(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not SHORTEST_S <= seconds <= LONGEST_TRAINED_S:
        raise RefusedError(
            400,
            f"{name}: found {text!r}, expected seconds from {SHORTEST_S:g} to "
            f"{LONGEST_TRAINED_S:g}: systems are trained on clips no longer than that.",
        )
    return seconds
