"""The table of splits, and how a report writes times, licences and small settings."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from captioner.corpus.tables import Annotation, Clip
from captioner.text.normalisation import tokenize

DCASE_SPLITS = {  # our name of a split -> the challenge's
    "development": "development-training",
    "validation": "development-validation",
    "evaluation": "development-testing",
    "test": "evaluation (Clotho: testing)",
    "analysis": "analysis (2022)",
}


@dataclass(frozen=True)
class SplitRow:
    """One row of the table of splits."""

    split: str
    dcase: str
    n_clips: int
    hours: float
    n_captions: int
    n_words: int  # running words, by the task page's rule
    n_distinct_words: int


def split_row(split: str, clips: Sequence[Clip], annotations: Sequence[Annotation]) -> SplitRow:
    """Count a split's clips, hours, captions and words."""
    captions = [tokenize(caption, "task") for found in annotations for caption in found.captions]
    return SplitRow(
        split=split,
        dcase=DCASE_SPLITS.get(split, ""),
        n_clips=len(clips),
        hours=sum(clip.duration_s for clip in clips) / 3600,
        n_captions=len(captions),
        n_words=sum(map(len, captions)),
        n_distinct_words=len({word for caption in captions for word in caption}),
    )


def thousands(number: float) -> str:
    """Write a whole number with thin spaces: `12 650`."""
    return f"{number:,.0f}".replace(",", "\u202f")


def counted(number: int, noun: str) -> str:
    """Write a number of things: `1 job`, `1 200 jobs`."""
    return f"{thousands(number)} {noun}{'s' if number != 1 else ''}"


def duration_text(seconds: float) -> str:
    """Write a time for people: `0.8 s`, `42 s`, `3 min 05 s`, `2 h 07 min`."""
    if seconds < 9.95:  # from here on it would read 10.0
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def rate_text(per_second: float) -> str:
    """Write a rate with the digits that mean something: `0.38`, `7.2`, `412`, `12 650`."""
    if per_second < 99.5:
        return f"{per_second:.2g}" if per_second < 9.95 else f"{per_second:.0f}"
    return thousands(per_second)


def difference_text(difference: float) -> str:
    """Write a difference of scores with its sign: `+.021`, `\u2212.003`."""
    sign = "+" if round(difference, 3) >= 0 else "\N{MINUS SIGN}"
    return f"{sign}{abs(difference):.3f}".replace(f"{sign}0.", f"{sign}.")


def p_text(p: float) -> str:
    """Write a p-value: `.04`, `.003`, `< .001`."""
    return "< .001" if p < 0.001 else f"{p:.3f}"[1:] if p < 0.0095 else f"{p:.2f}".lstrip("0")


def licence_text(url: str) -> str:
    """Name a Creative Commons licence by its address: `CC BY 3.0`; others keep their address."""
    if found := re.search(r"creativecommons\.org/licenses/([a-z+-]+)/([\d.]+)", url):
        return f"CC {found[1].upper()} {found[2]}"
    if found := re.search(r"creativecommons\.org/publicdomain/zero/([\d.]+)", url):
        return f"CC0 {found[1]}"
    return url


def source_text(source: Mapping[str, Any]) -> str:
    """Say what a part of a training was: an entry of a model's `trained_on`."""
    said = [source["corpus"], source["split"], f"{source['n_clips']} clips"]
    if source["n_leaks"]:
        said.append(f"{source['n_leaks']} left out as also held out")
    said.append(f"weight {source['weight']:g}")
    if source["task_token"]:
        said.append(f"task token {source['task_token']}")
    return ", ".join(said)


def settings_text(settings: Mapping[str, Any]) -> str:
    """Write plain settings as the YAML has them, empty lists left out: `kind logmel, n_mels 64`."""
    words = {True: "true", False: "false", None: "null"}
    told = {
        key: words[value] if isinstance(value, bool | None) else phrase(value)
        for key, value in settings.items()
        if value != []
    }
    return ", ".join(f"{key} {value}" for key, value in told.items())


def phrase(value: Any) -> str:
    """Write a small mapping or list as words: `clotho-v2.1, development`."""
    if isinstance(value, Mapping):
        return ", ".join(phrase(part) for part in value.values())
    if isinstance(value, list | tuple):
        return " + ".join(phrase(part) for part in value)
    return str(value)
