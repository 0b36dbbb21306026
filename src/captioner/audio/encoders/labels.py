"""The classes of AudioSet that the encoders give probabilities of."""

from functools import cache
from importlib.resources import files

LABELS = "audioset_labels.txt"


@cache
def audioset_labels() -> tuple[str, ...]:
    """Give the 527 display names in the order of the networks' outputs."""
    text = files(__package__).joinpath(LABELS).read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if not line.startswith("#"))
