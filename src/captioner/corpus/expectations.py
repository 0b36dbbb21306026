"""What a corpus declares of its splits, and the form of a check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

N_SHOWN = 10  # offenders that a check keeps

Check = dict[str, Any]
Level = Literal["warning", "error"]


@dataclass(frozen=True)
class Expectations:
    """What a corpus declares of a split; None: nothing is declared."""

    n_clips: int | None = None
    counted_with: tuple[str, ...] = ()  # splits that were one with this when its clips were counted
    n_captions: int | None = None  # per clip
    sample_rate_hz: int | None = None
    bits: int | None = None  # per sample
    n_channels: int | None = None
    duration_s: tuple[float, float] | None = None  # shortest, longest
    caption_words: tuple[int, int] | None = None  # fewest, most, after the text rules
    all_listed: bool = False  # every audio file of the split's folders stands in some table


def expectations_of(settings: Mapping[str, Any], split: str, captioned: bool) -> Expectations:
    """Read the expectations of a split from a corpus's YAML.

    Of its keys: `expected`, `n_captions`, `kind` and `hold_out`. Where clips are held out, the
    number declared for development, as published, is of all splits made of it.
    """
    declared = dict(settings["expected"])
    counts = declared.pop("n_clips", None) or {}
    made_of_one = {"development", *(settings.get("hold_out") or {"shares": ()})["shares"]}
    together = made_of_one if split in made_of_one else {split}
    known = {field.name for field in fields(Expectations)}
    return Expectations(
        **{key: value for key, value in declared.items() if key in known},
        n_clips=counts.get("development" if split in made_of_one else split),
        counted_with=tuple(sorted(together - {split})),
        n_captions=settings.get("n_captions") if captioned else 0,
        all_listed=settings.get("kind") == "folder",
    )


def make_check(
    name: str, expected: str, offenders: Sequence[str], level: Level = "error", found: str = ""
) -> Check:
    """Give a check as JSON: `level` only if there are offenders, else ok; the first ten of them."""
    return {
        "name": name,
        "level": level if offenders else "ok",
        "expected": expected,
        "found": found or (f"{len(offenders)} otherwise" if offenders else "as expected"),
        "offenders": list(offenders[:N_SHOWN]),
    }


def within(value: float, bounds: tuple[float, float]) -> bool:
    """Say whether `value` lies between two bounds, both included."""
    return bounds[0] <= value <= bounds[1]
