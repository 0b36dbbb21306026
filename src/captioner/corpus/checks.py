"""The checks of a split: what was expected, what was found, and the first ten offenders.

They read tables only, no audio: what samples measure stands in the table of clips.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from captioner.corpus.caption_checks import check_captions
from captioner.corpus.expectations import Check, Expectations, make_check, within
from captioner.corpus.listing import list_audio
from captioner.corpus.tables import Annotation, Clip, read_annotations, read_clips, read_faults
from captioner.errors import InputError

SILENCE = 1e-4  # -80 dB of full scale; `samples` reads quiet clips as a whole
CLIPPED_SHARE = 1e-3  # of the samples at full scale; a peak-normalised clip has a handful


@dataclass(frozen=True)
class SplitTables:
    """The tables of a split."""

    clips: Sequence[Clip] = ()
    annotations: Sequence[Annotation] = ()
    faults: Mapping[str, str] = field(default_factory=dict)  # damaged clips -> why

    @classmethod
    def read(cls, clips: str | Path, annotations: str | Path) -> "SplitTables":
        """Read the tables of a split from their files."""
        return cls(read_clips(clips), read_annotations(annotations), read_faults(clips))

    @property
    def names_of_audio(self) -> list[str]:
        """The names of all audio files, damaged ones too."""
        return [*(clip.file_name for clip in self.clips), *self.faults]


def check_split(
    split: str, tables: SplitTables, others: Mapping[str, SplitTables], expected: Expectations
) -> dict[str, Any]:
    """Check the tables of a split; `others` are those of the other splits.

    The report is JSON: `checks`, each with name, level (ok, warning, error), expected, found and
    offenders; `durations_s`, clips by whole seconds; `caption_lengths`, captions by words;
    `licences`, clips by licence.
    """
    learnt = others["development"].annotations if "development" in others else None
    of_captions, n_words = check_captions(tables.annotations, learnt, expected)
    checks = [
        *_check_names(split, tables, others, expected),
        *_check_audio(tables, expected),
        *of_captions,
        *_check_overlap(tables, others),
        *_check_metadata(tables.annotations),
    ]
    licences = Counter(annotation.licence or "unknown" for annotation in tables.annotations)
    return {
        "split": split,
        "checks": checks,
        "durations_s": _sorted(Counter(int(clip.duration_s) for clip in tables.clips)),
        "caption_lengths": _sorted(n_words),
        "licences": dict(licences.most_common()),
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


def _check_names(
    split: str, tables: SplitTables, others: Mapping[str, SplitTables], expected: Expectations
) -> list[Check]:
    in_audio = tables.names_of_audio
    in_text = [annotation.file_name for annotation in tables.annotations]
    checks = [
        make_check("names", "each in one row", [*_repeated(in_audio), *_repeated(in_text)]),
        make_check("wav of each row", "a wav for every row", _without(in_text, in_audio)),
        make_check("row of each wav", "a row for every wav", _without(in_audio, in_text)),
    ]
    if expected.all_listed:
        elsewhere = {a.file_name for held in others.values() for a in held.annotations}
        known = elsewhere.union(in_audio, in_text)
        strays = [
            str(folder / name)
            for folder in sorted({Path(clip.path).parent for clip in tables.clips})
            for name in list_audio(folder)
            if name not in known
        ]
        wanted = "a row for every wav in the folder"
        checks.append(make_check("wavs in no table", wanted, strays, "warning"))
    if expected.n_clips is not None:
        checks.insert(0, _check_count(split, tables, others, expected))
    return checks


def _check_count(
    split: str, tables: SplitTables, others: Mapping[str, SplitTables], expected: Expectations
) -> Check:
    """Compare the number of clips with that published, over all splits that were one then."""
    counted = [tables, *(others.get(other, SplitTables()) for other in expected.counted_with)]
    n_wavs = sum(len(held.names_of_audio) for held in counted)
    n_rows = sum(len(held.annotations) for held in counted)
    found = f"{n_wavs} wavs, {n_rows} rows"
    offenders = [f"{split}: {found}"] if {n_wavs, n_rows} != {expected.n_clips} else []
    wanted = f"{expected.n_clips} clips"
    if expected.counted_with:
        wanted += f" with {' and '.join(expected.counted_with)}"
    return make_check("clips", wanted, offenders, found=found)


def _check_audio(tables: SplitTables, expected: Expectations) -> list[Check]:
    """Compare headers and measures with what is declared."""
    clips = tables.clips
    oddities = [f"{clip.file_name}: {odd}" for clip in clips if (odd := _oddity(clip))]
    damaged = list(tables.faults.values())
    left_out = f"{len(damaged)} left out" if damaged else ""
    checks = [
        make_check("damaged clips", "none", damaged, "warning", left_out),
        make_check("sound", "neither silent, constant nor clipped", oddities, "warning"),
    ]
    if expected.sample_rate_hz:
        wanted = f"{expected.sample_rate_hz} Hz (others are resampled)"
        rates = [
            f"{clip.file_name}: {clip.sample_rate_hz} Hz"
            for clip in clips
            if clip.sample_rate_hz != expected.sample_rate_hz
        ]
        checks.append(make_check("sample rate", wanted, rates, "warning"))
    if expected.n_channels:
        wanted = f"{expected.n_channels} (channels are averaged)"
        channels = [
            f"{clip.file_name}: {clip.n_channels} channels"
            for clip in clips
            if clip.n_channels != expected.n_channels
        ]
        checks.append(make_check("channels", wanted, channels, "warning"))
    if expected.bits:
        widths = [
            f"{clip.file_name}: {f'{clip.bits} bit' if clip.bits else 'compressed'}"
            for clip in clips
            if clip.bits != expected.bits
        ]
        checks.append(make_check("sample width", f"{expected.bits} bit", widths, "warning"))
    if expected.duration_s:
        wanted = "{:g} to {:g} s".format(*expected.duration_s)
        durations = [
            f"{clip.file_name}: {clip.duration_s:.2f} s"
            for clip in clips
            if not within(round(clip.duration_s, 1), expected.duration_s)
        ]
        checks.append(make_check("durations", wanted, durations, "warning"))
    return checks


def _oddity(clip: Clip) -> str:
    if clip.peak < SILENCE:
        return "silent"
    if clip.constant:
        return "constant"
    return "clipped" if clip.full_scale > CLIPPED_SHARE else ""


def _check_overlap(tables: SplitTables, others: Mapping[str, SplitTables]) -> list[Check]:
    """Judge overlap by sound id and samples: equal names in two splits may be two recordings."""
    ids = {
        a.sound_id: f"{a.file_name} of {split}"
        for split, held in others.items()
        for a in held.annotations
    }
    digests = {
        clip.digest: f"{clip.file_name} of {split}"
        for split, held in others.items()
        for clip in held.clips
    }
    same_id = [
        f"{a.file_name}: {a.sound_id} is {ids[a.sound_id]} too"
        for a in tables.annotations
        if a.sound_id and a.sound_id in ids
    ]
    same_samples = [
        f"{clip.file_name}: the same samples as {digests[clip.digest]}"
        for clip in tables.clips
        if clip.digest and clip.digest in digests
    ]
    wanted = "no recording in two splits"
    return [
        make_check("overlap by sound id", wanted, same_id, "warning"),
        make_check("overlap by samples", wanted, same_samples, "warning"),
    ]


def _check_metadata(annotations: Sequence[Annotation]) -> list[Check]:
    """Name the clips without metadata, where others have some."""
    bare = [a.file_name for a in annotations if not (a.sound_id or a.author or a.licence)]
    if len(bare) == len(annotations):
        return []
    return [make_check("metadata", "a row for every clip", bare, "warning")]


def _repeated(names: Iterable[str]) -> list[str]:
    return [f"{name}: {count} rows" for name, count in Counter(names).items() if count > 1]


def _without(names: Iterable[str], partners: Iterable[str]) -> list[str]:
    present = set(partners)
    return [name for name in names if name not in present]


def _sorted(counts: Mapping[int, int]) -> dict[str, int]:
    return {str(value): count for value, count in sorted(counts.items())}
