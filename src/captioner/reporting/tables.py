"""The tables of a report: plain rows that the page and the terminal print."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from captioner.corpus.tables import Annotation, Clip
from captioner.reporting.content import ScoreFiles, System, system_labels
from captioner.reporting.loading import METRICS, read_scores
from captioner.reporting.published import published_systems
from captioner.text.normalisation import tokenize

DCASE_SPLITS = {  # our name of a split -> the challenge's
    "development": "development-training",
    "validation": "development-validation",
    "evaluation": "development-testing",
    "test": "evaluation (Clotho: testing)",
    "analysis": "analysis (2022)",
}


@dataclass(frozen=True)
class ScoreRow:
    """One row of the score table."""

    label: str
    kind: str  # "system", "trivial", "people" or "published"
    seed: int | None
    decoding: str
    n_clips: int
    metrics: Mapping[str, float]
    empty_predictions: Sequence[str]  # file names
    best: frozenset[str]  # metrics in which no other row of this run is higher
    source: str = ""  # where published scores stand


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


PEOPLE = "People, one reference against the others"


def score_rows(
    systems: Sequence[System],
    split: str,
    *,
    clotho: bool = False,
    ceiling: Mapping[str, ScoreFiles] | None = None,
) -> list[ScoreRow]:
    """Read the scores of every system that was scored on `split`.

    Args:
        systems: all systems of the report, in the order of the table.
        split: the scored split.
        clotho: whether published scores on Clotho are comparable; their rows come last.
        ceiling: the scores of people by split; their row follows the systems'.
    """
    scored = [
        (label, system, read_scores(system.scores[split].json))
        for label, system in zip(system_labels(systems), systems, strict=True)
        if split in system.scores
    ]
    highest = {
        metric: max((scores.metrics[metric] for _, _, scores in scored), default=0.0)
        for metric in METRICS
    }
    rows = [
        ScoreRow(
            label=label,
            kind="trivial" if system.trivial else "system",
            seed=None if system.trivial else system.seed,
            decoding="" if system.trivial else system.decoding,
            n_clips=scores.n_clips,
            metrics=scores.metrics,
            empty_predictions=scores.empty_predictions,
            best=frozenset(m for m in METRICS if scores.metrics[m] == highest[m]),
        )
        for label, system, scores in scored
    ]
    people = []
    if ceiling and split in ceiling:
        scores = read_scores(ceiling[split].json)
        people = [
            ScoreRow(PEOPLE, "people", None, "", scores.n_clips, scores.metrics, (), frozenset())
        ]
    published = [
        ScoreRow(
            label=system.title,
            kind="published",
            seed=None,
            decoding="",
            n_clips=system.n_clips,
            metrics=system.metrics,
            empty_predictions=(),
            best=frozenset(),
            source=system.source,
        )
        for system in published_systems(clotho, split)
    ]
    return rows + people + published


def score_table(
    systems: Sequence[System | Mapping[str, Any]],
    split: str = "evaluation",
    *,
    clotho: bool = False,
    ceiling: Mapping[str, ScoreFiles] | None = None,
) -> str:
    """Give the score table as plain text for a terminal; `*` marks the best of each column.

    Args:
        systems: as in `ReportContent.systems`, or as plain dicts.
        split: the scored split.
        clotho: add the published systems on Clotho.
        ceiling: the scores of people, by split.
    """
    typed = [s if isinstance(s, System) else System.from_dict(s) for s in systems]
    rows = score_rows(typed, split, clotho=clotho, ceiling=ceiling)
    header = [f"System ({split})", *METRICS.values(), "Clips"]
    body = [
        [
            row.label if row.kind == "system" else f"{row.label} [{row.kind}]",
            *(f"{row.metrics[m]:.3f}{'*' if m in row.best else ' '}" for m in METRICS),
            str(row.n_clips),
        ]
        for row in rows
    ]
    widths = [max(len(line[i]) for line in [header, *body]) for i in range(len(header))]

    def printed(cells: Sequence[str]) -> str:
        padded = [cells[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "  ".join(padded).rstrip()

    rule = "-" * len(printed(header))
    return "\n".join([printed(header), rule, *map(printed, body)]) + "\n"


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


def phrase(value: Any) -> str:
    """Write a small mapping or list as words: `clotho-v2.1, development`."""
    if isinstance(value, Mapping):
        return ", ".join(phrase(part) for part in value.values())
    if isinstance(value, list | tuple):
        return " + ".join(phrase(part) for part in value)
    return str(value)
