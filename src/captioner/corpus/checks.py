"""The checks of a split: what was expected, what was found, and the first ten offenders."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from captioner.corpus.listing import list_audio
from captioner.corpus.tables import Annotation, Clip
from captioner.errors import InputError
from captioner.text.normalisation import tokenize

N_SHOWN = 10
SILENCE = 1e-4  # -80 dB of full scale
CLIPPED_SHARE = 1e-3  # of the samples at full scale; a peak-normalised clip has a handful
TEXT_RULE = "task"  # by which words are counted and compared

Check = dict[str, Any]
Level = Literal["warning", "error"]


@dataclass(frozen=True)
class Expectations:
    """What a corpus declares of a split; None: nothing is declared."""

    n_clips: int | None = None
    n_captions: int | None = None  # per clip
    sample_rate_hz: int | None = None
    bits: int | None = None  # per sample
    n_channels: int | None = None
    duration_s: tuple[float, float] | None = None  # shortest, longest
    caption_words: tuple[int, int] | None = None  # fewest, most, after the text rules


def expectations_of(settings: Mapping[str, Any], split: str, captioned: bool) -> Expectations:
    """Read the expectations of a split from a corpus's YAML (`expected`, `n_captions`)."""
    declared = {
        **settings["expected"],
        "n_captions": settings.get("n_captions") if captioned else 0,
    }
    declared["n_clips"] = (declared.get("n_clips") or {}).get(split)
    return Expectations(**{field.name: declared.get(field.name) for field in fields(Expectations)})


def check_split(
    split: str,
    clips: Sequence[Clip],
    annotations: Sequence[Annotation],
    others: Mapping[str, Sequence[Annotation]],
    expected: Expectations,
) -> dict[str, Any]:
    """Check a split's clips and annotations; `others` are the annotations of the other splits.

    The report is JSON: `checks`, each with name, level (ok, warning, error), expected, found and
    offenders; `durations_s`, clips by whole seconds; `caption_lengths`, captions by words;
    `licences`, clips by licence.
    """
    words = [[tokenize(c, TEXT_RULE) for c in annotation.captions] for annotation in annotations]
    checks = [
        *_check_names(split, clips, annotations, others, expected),
        *_check_audio(clips, expected),
        *_check_captions(split, annotations, words, others, expected),
        *_check_metadata(annotations, others),
    ]
    return {
        "split": split,
        "checks": checks,
        "durations_s": _histogram(int(clip.duration_s) for clip in clips),
        "caption_lengths": _histogram(len(caption) for held in words for caption in held),
        "licences": dict(Counter(a.licence or "unknown" for a in annotations).most_common()),
    }


def raise_on_errors(report: Mapping[str, Any]) -> None:
    """Raise one `InputError` that tells all errors of a report of `check_split`."""
    errors = [check for check in report["checks"] if check["level"] == "error"]
    if errors:
        told = "\n".join(
            f"  {check['name']}: expected {check['expected']}; found {check['found']}"
            + "".join(f"\n    {offender}" for offender in check["offenders"])
            for check in errors
        )
        raise InputError(
            f"The checks of {report['split']} found errors:\n{told}\n"
            "What to do: mend the files named, or remove each clip's wav and row together"
        )


def _check(
    name: str, expected: str, offenders: Sequence[str], level: Level = "error", found: str = ""
) -> Check:
    return {
        "name": name,
        "level": level if offenders else "ok",
        "expected": expected,
        "found": found or (f"{len(offenders)} otherwise" if offenders else "as expected"),
        "offenders": list(offenders[:N_SHOWN]),
    }


def _check_names(
    split: str,
    clips: Sequence[Clip],
    annotations: Sequence[Annotation],
    others: Mapping[str, Sequence[Annotation]],
    expected: Expectations,
) -> list[Check]:
    in_audio = [clip.file_name for clip in clips]
    in_text = [annotation.file_name for annotation in annotations]
    elsewhere = {a.file_name for held in others.values() for a in held}
    known = elsewhere.union(in_audio, in_text)
    unlisted = [
        str(folder / name)
        for folder in sorted({Path(clip.path).parent for clip in clips})
        for name in list_audio(folder)
        if name not in known
    ]
    checks = [
        _check("names", "each in one row", [*_repeated(in_audio), *_repeated(in_text)]),
        _check("wav of each row", "a wav for every row", _without(in_text, in_audio)),
        _check("row of each wav", "a row for every wav", _without(in_audio, in_text)),
        _check("wavs in no table", "a row for every wav in the folder", unlisted, "warning"),
    ]
    if expected.n_clips is not None:
        found = f"{len(clips)} wavs, {len(annotations)} rows"
        wrong = {len(clips), len(annotations)} != {expected.n_clips}
        offenders = [f"{split}: {found}"] if wrong else []
        checks.insert(0, _check("clips", f"{expected.n_clips} clips", offenders, found=found))
    return checks


def _check_audio(clips: Sequence[Clip], expected: Expectations) -> list[Check]:
    """Compare headers and measures with what is declared."""
    rates, channels, durations, widths, oddities = [], [], [], [], []
    for clip in clips:
        name = clip.file_name
        if expected.sample_rate_hz not in (None, clip.sample_rate_hz):
            rates.append(f"{name}: {clip.sample_rate_hz} Hz")
        if expected.n_channels not in (None, clip.n_channels):
            channels.append(f"{name}: {clip.n_channels} channels")
        if expected.bits not in (None, clip.bits):
            widths.append(f"{name}: {f'{clip.bits} bit' if clip.bits else 'compressed'}")
        if expected.duration_s and not _within(round(clip.duration_s, 1), expected.duration_s):
            durations.append(f"{name}: {clip.duration_s:.2f} s")
        if oddity := _oddity(clip):
            oddities.append(f"{name}: {oddity}")
    checks = [_check("sound", "neither silent, constant nor clipped", oddities, "warning")]
    if expected.sample_rate_hz:
        wanted = f"{expected.sample_rate_hz} Hz (others are resampled)"
        checks.append(_check("sample rate", wanted, rates, "warning"))
    if expected.n_channels:
        wanted = f"{expected.n_channels} (channels are averaged)"
        checks.append(_check("channels", wanted, channels, "warning"))
    if expected.bits:
        checks.append(_check("sample width", f"{expected.bits} bit", widths, "warning"))
    if expected.duration_s:
        wanted = "{:g} to {:g} s".format(*expected.duration_s)
        checks.append(_check("durations", wanted, durations, "warning"))
    return checks


def _oddity(clip: Clip) -> str:
    if clip.peak < SILENCE:
        return "silent"
    if clip.constant:
        return "constant"
    return "clipped" if clip.full_scale > CLIPPED_SHARE else ""


def _check_captions(
    split: str,
    annotations: Sequence[Annotation],
    words: Sequence[Sequence[Sequence[str]]],
    others: Mapping[str, Sequence[Annotation]],
    expected: Expectations,
) -> list[Check]:
    checks = []
    if expected.n_captions is not None:
        wrong = [
            f"{a.file_name}: {len(a.captions)}"
            for a in annotations
            if len(a.captions) != expected.n_captions
        ]
        checks.append(_check("captions per clip", str(expected.n_captions), wrong))
    empty = [
        f"{a.file_name}, caption {number}: {caption!r}"
        for a, held in zip(annotations, words, strict=True)
        for number, (caption, tokens) in enumerate(zip(a.captions, held, strict=True), start=1)
        if not tokens
    ]
    checks.append(_check("empty captions", "at least one word in each", empty))
    if expected.caption_words:
        lengths = [
            f"{a.file_name}: {len(tokens)} words: {caption}"
            for a, held in zip(annotations, words, strict=True)
            for caption, tokens in zip(a.captions, held, strict=True)
            if not _within(len(tokens), expected.caption_words)
        ]
        wanted = "{} to {} words after the text rules".format(*expected.caption_words)
        checks.append(_check("caption lengths", wanted, lengths, "warning"))
    if "development" in others and split != "development":
        known = {
            word
            for annotation in others["development"]
            for caption in annotation.captions
            for word in tokenize(caption, TEXT_RULE)
        }
        unknown = sorted({w for held in words for tokens in held for w in tokens} - known)
        wanted = "every word also in development"
        checks.append(_check("words", wanted, unknown, "warning"))
    return checks


def _check_metadata(
    annotations: Sequence[Annotation], others: Mapping[str, Sequence[Annotation]]
) -> list[Check]:
    """Judge overlap by sound id: equal names in two splits may be different recordings."""
    if not any(a.sound_id or a.author or a.licence for a in annotations):
        return []
    bare = [a.file_name for a in annotations if not (a.sound_id or a.author or a.licence)]
    split_of = {a.sound_id: split for split, held in others.items() for a in held if a.sound_id}
    shared = [
        f"{a.file_name}: sound {a.sound_id} is in {split_of[a.sound_id]} too"
        for a in annotations
        if a.sound_id in split_of
    ]
    return [
        _check("metadata", "a row for every clip", bare, "warning"),
        _check("overlap", "no recording in two splits", shared, "warning"),
    ]


def _repeated(names: Iterable[str]) -> list[str]:
    return [f"{name}: {count} rows" for name, count in Counter(names).items() if count > 1]


def _without(names: Iterable[str], partners: Iterable[str]) -> list[str]:
    present = set(partners)
    return [name for name in names if name not in present]


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]


def _histogram(values: Iterable[int]) -> dict[str, int]:
    return {str(value): count for value, count in sorted(Counter(values).items())}
