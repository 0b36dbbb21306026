"""The score table: a row for each system with a decoding, over its seeds, and the same as text."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from captioner.evaluation.bootstrap import CONFIDENCE, over_seeds
from captioner.reporting.content import Group, ReportContent, system_titles
from captioner.reporting.loading import METRICS, Scores, read_scores
from captioner.reporting.published import published_systems

PEOPLE, PEOPLE_PARTS = "People", "one reference against the others"
CONFIDENCE_PERCENT = f"{100 * CONFIDENCE:g} %"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


@dataclass(frozen=True)
class FluencyColumn:
    """One column of the table of fluency: its heading, what is counted, how a value is written."""

    name: str
    unit: str
    text: Callable[[float], str]


FLUENCY_COLUMNS = {  # by the key of the scores
    "repeated_words": FluencyColumn("Stuttering", "captions with a word twice in a row", _percent),
    "repeated_content_words": FluencyColumn(
        "Repeating", "captions with a content word twice", _percent
    ),
    "unfinished": FluencyColumn("Unfinished", "captions that end in the, and, of ...", _percent),
    "fluency_error_rate": FluencyColumn("Fluency errors", "captions, FENSE's detector", _percent),
    "mean_length": FluencyColumn("Caption length", "words, mean", "{:.1f}".format),
    "vocabulary_size": FluencyColumn("Vocabulary", "distinct words", "{:.0f}".format),
    "vocabulary_coverage": FluencyColumn("Coverage", "of the references' words", _percent),
    "distinct_2": FluencyColumn("Distinct word pairs", "of all pairs", _percent),
}


@dataclass(frozen=True)
class ScoreRow:
    """One row of the score table.

    Attributes:
        label: of the row.
        kind: "system", "ensemble", "trivial", "people" or "published".
        decoding: its name; empty where there is none to choose.
        per_seed: the scores by seed; a single one for what has no seed.
        has_seeds: whether the keys of `per_seed` mean something.
        n_clips: None in a row without scores.
        metrics: the scores, means over the seeds; empty in a row without scores, and not all nine
            in every published one.
        intervals: of each score: over seeds where there are several, otherwise over clips.
        best: metrics in which no other row of this run is higher.
        note: why there are no scores.
        parts: of what an ensemble consists; how people are scored.
        source: where published scores stand.
    """

    label: str
    kind: str
    n_clips: int | None
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    decoding: str = ""
    per_seed: Mapping[int, Scores] = field(default_factory=dict)
    has_seeds: bool = False
    best: frozenset[str] = frozenset()
    note: str = ""
    parts: str = ""
    source: str = ""

    @property
    def seeds(self) -> str:
        """The seeds in words; empty where there are none."""
        return numbers_text(self.per_seed) if self.has_seeds else ""

    @property
    def has_several(self) -> bool:
        """Whether the scores are means over seeds."""
        return len(self.per_seed) > 1

    @property
    def empty_predictions(self) -> dict[int, Sequence[str]]:
        """File names by seed, of the seeds with some."""
        return {
            seed: scores.empty_predictions
            for seed, scores in self.per_seed.items()
            if scores.empty_predictions
        }

    @property
    def is_best(self) -> bool:
        """Whether no other row of this run has a higher SPIDEr."""
        return "spider" in self.best

    @property
    def n_empty(self) -> int:
        """Empty predictions of all seeds together."""
        return sum(map(len, self.empty_predictions.values()))

    @property
    def fluency(self) -> dict[str, float]:
        """Means over the seeds of the values that all of them have."""
        found = [scores.fluency for scores in self.per_seed.values()]
        return {
            key: sum(values[key] for values in found) / len(found)
            for key in FLUENCY_COLUMNS
            if found and all(key in values for values in found)
        }


def score_rows(content: ReportContent, split: str) -> list[ScoreRow]:
    """Read the scores of every system that was scored on `split`, and of people.

    A system that is not scored because it learned from the split has a row that says so. The rows
    of people, and of published systems on the same corpus, come last.

    Raises:
        InputError: a scores file lacks a metric.
    """
    rows = [row for group in content.groups() if (row := _row(content, group, split)) is not None]
    highest = {
        metric: max((row.metrics[metric] for row in rows if row.metrics), default=0.0)
        for metric in METRICS
    }
    rows = [
        replace(row, best=frozenset(m for m, v in row.metrics.items() if v == highest[m]))
        for row in rows
    ]
    if split in content.ceiling:
        people = read_scores(content.ceiling[split].json)
        rows.append(
            ScoreRow(
                PEOPLE,
                "people",
                people.n_clips,
                people.metrics,
                people.intervals,
                per_seed={0: people},
                parts=PEOPLE_PARTS,
            )
        )
    return rows + [
        ScoreRow(
            label=system.title,
            kind="published",
            n_clips=system.n_clips,
            metrics=system.metrics,
            intervals=system.intervals,
            source=system.source,
        )
        for system in published_systems(content.corpus.clotho, split)
    ]


def _row(content: ReportContent, group: Group, split: str) -> ScoreRow | None:
    """Give the row of a system on a split; None if it has nothing to do with the split."""
    name, kind = group.first.name, content.kind(group.first)
    per_seed = {
        run.seed: read_scores(run.scores[split].json) for run in group.runs if split in run.scores
    }
    unscored = group.first.unscored.get(split, "")
    if not per_seed and not unscored:
        return None
    metrics, intervals = _over_seeds(list(per_seed.values()))
    return ScoreRow(
        label=group.label,
        kind=kind,
        n_clips=next((scores.n_clips for scores in per_seed.values()), None),
        metrics=metrics,
        intervals=intervals,
        decoding="" if kind == "trivial" else group.first.decoding,
        per_seed=per_seed,
        has_seeds=kind == "system" and not content.settings(name).get("weights"),
        note="" if per_seed else f"{unscored}: not scored",
        parts=members_text(content, name) if kind == "ensemble" else "",
    )


def _over_seeds(
    scores: Sequence[Scores],
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Give the mean of each metric and its interval: over seeds, or of the only one over clips."""
    if len(scores) == 1:
        return scores[0].metrics, scores[0].intervals
    if not scores:
        return {}, {}
    found = {metric: over_seeds([s.metrics[metric] for s in scores]) for metric in METRICS}
    means = {metric: summary.mean for metric, summary in found.items()}
    return means, {m: summary.interval for m, summary in found.items() if summary.interval}


def members_text(content: ReportContent, ensemble: str) -> str:
    """Say what an ensemble consists of: `ensemble of 3: Small (seeds 1 and 2), Large (seed 1)`."""
    titles = system_titles(content.systems)
    seeds: dict[str, list[int]] = {}
    for name, seed in content.members(ensemble):
        seeds.setdefault(name, []).append(seed)
    parts = [
        f"{titles.get(name, name)} (seed{'s' if len(found) > 1 else ''} {numbers_text(found)})"
        for name, found in seeds.items()
    ]
    return f"ensemble of {len(content.members(ensemble))}: {', '.join(parts)}"


def numbers_text(numbers: Iterable[int]) -> str:
    """Write whole numbers in order, runs of three or more from first to last: `1 to 3, 7`."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    written = [
        [f"{run[0]} to {run[-1]}"] if len(run) > 2 else [str(number) for number in run]
        for run in runs
    ]
    return ", ".join(part for parts in written for part in parts)


def interval_text(interval: tuple[float, float]) -> str:
    """Write an interval of a score compactly: `.513–.571`."""
    return "\N{EN DASH}".join(_compact(value) for value in interval)


def _compact(value: float) -> str:
    text = f"{round(value, 3) + 0.0:.3f}".replace("-", "\N{MINUS SIGN}")  # no -.000
    return text.replace("0.", ".", 1) if abs(value) < 0.9995 else text


def interval_note(rows: Sequence[ScoreRow]) -> str:
    """Say of what the intervals of a table are; nothing where it has none."""
    shown = [row for row in rows if row.intervals and row.kind != "published"]
    n_seeds = {len(row.per_seed) for row in shown}
    said = []
    if 1 in n_seeds:
        said.append(
            f"{CONFIDENCE_PERCENT} percentile bootstrap over clips: what other clips would change"
        )
    if several := sorted(n_seeds - {1}):
        counts = " or ".join(map(str, several))
        said.append(
            f"of {counts} seeds, the mean and its {CONFIDENCE_PERCENT} Student's t interval over "
            "seeds: what other trainings would change"
        )
    if any(row.intervals for row in rows if row.kind == "published"):
        said.append("of published systems, as published")
    return f"Below each score its interval: {'; '.join(said)}." if said else ""


def fluency_columns(rows: Sequence[ScoreRow]) -> dict[str, FluencyColumn]:
    """Give the columns of `FLUENCY_COLUMNS` that at least one row has a value of."""
    return {
        key: column
        for key, column in FLUENCY_COLUMNS.items()
        if any(key in row.fluency for row in rows)
    }


def score_table(rows: Sequence[ScoreRow], split: str) -> str:
    """Give the tables of a split as plain text for a terminal: scores, seeds, fluency.

    `*` marks the best of each column.
    """
    header = [f"System ({split})", *METRICS.values(), "Seeds", "Clips"]
    lines = [line for row in rows for line in _score_lines(row)]
    notes = [interval_note(rows), *(f"{row.label}: {row.parts}." for row in rows if row.parts)]
    tables = [_text_table(header, lines), "\n".join(filter(None, notes))]
    if by_seed := [line for row in rows if row.has_several for line in _seed_lines(row)]:
        header = [f"Each seed ({split})", *METRICS.values(), "Seed"]
        tables.append(_text_table(header, by_seed))
    if columns := fluency_columns(rows):
        header = [f"Fluency ({split})", "SPIDEr", *(column.name for column in columns.values())]
        lines = [_fluency_cells(row, columns) for row in rows if row.fluency]
        tables.append(_text_table(header, lines))
    return "\n\n".join(filter(None, tables)) + "\n"


def _score_lines(row: ScoreRow) -> list[list[str]]:
    """Give a row of the text: the scores, then the intervals, then why there are none."""
    label = _text_label(row)
    if not row.metrics:
        return [[f"{label}: {row.note}", *[""] * (len(METRICS) + 2)]]
    values = [
        f"{row.metrics[m]:.3f}{'*' if m in row.best else ' '}" if m in row.metrics else ""
        for m in METRICS
    ]
    lines = [[label, *values, row.seeds, str(row.n_clips)]]
    if row.intervals:
        texts = [_text_interval(row.intervals.get(metric)) for metric in METRICS]
        lines.append(["", *texts, "", ""])
    return lines


def _seed_lines(row: ScoreRow) -> list[list[str]]:
    lines: list[list[str]] = []
    for seed, scores in row.per_seed.items():
        label = _text_label(row) if not lines else ""
        values = [f"{scores.metrics[metric]:.3f} " for metric in METRICS]
        lines.append([label, *values, str(seed)])
        if scores.intervals:
            texts = [_text_interval(scores.intervals.get(metric)) for metric in METRICS]
            lines.append(["", *texts, ""])
    return lines


def _fluency_cells(row: ScoreRow, columns: Mapping[str, FluencyColumn]) -> list[str]:
    values = [
        column.text(row.fluency[key]) if key in row.fluency else ""
        for key, column in columns.items()
    ]
    return [_text_label(row), f"{row.metrics['spider']:.3f}", *values]


def _text_label(row: ScoreRow) -> str:
    return row.label if row.kind == "system" else f"{row.label} [{row.kind}]"


def _text_interval(interval: tuple[float, float] | None) -> str:
    return interval_text(interval).replace("\N{EN DASH}", "-") if interval else ""


def _text_table(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Align the columns, the first to the left, the others to the right."""
    widths = [max(len(line[i]) for line in [header, *body]) for i in range(len(header))]

    def printed(cells: Sequence[str]) -> str:
        padded = [cells[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "  ".join(padded).rstrip()

    rule = "-" * len(printed(header))
    return "\n".join([printed(header), rule, *map(printed, body)])
