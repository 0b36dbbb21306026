"""Build the report: one page, its data and its audio, in a folder that can be zipped and sent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from captioner.audio.spectrogram import DYNAMIC_RANGE_DB, SPECTROGRAM
from captioner.job import atomic_path
from captioner.reporting import data, loading
from captioner.reporting.attention import write_attention_data
from captioner.reporting.content import ReportContent, system_titles
from captioner.reporting.cost import sizes, speeds
from captioner.reporting.cost_figures import cost_figures
from captioner.reporting.data import Tables
from captioner.reporting.figures import Bar, Figure, spider_figure
from captioner.reporting.learning import (
    Learned,
    at_best_columns,
    learned,
    read_models,
    read_trainings,
)
from captioner.reporting.listening import read_listening, write_listening
from captioner.reporting.loading import METRICS
from captioner.reporting.provenance import describe
from captioner.reporting.rule_graph_figure import rule_graph_figure
from captioner.reporting.scores import (
    FluencyColumn,
    ScoreRow,
    fluency_columns,
    interval_note,
    interval_text,
    score_rows,
    score_table,
)
from captioner.reporting.significance import Significance, against_baseline
from captioner.reporting.svg import standalone
from captioner.reporting.tables import (
    DCASE_SPLITS,
    difference_text,
    duration_text,
    licence_text,
    p_text,
    phrase,
    rate_text,
    settings_text,
    split_row,
    thousands,
)
from captioner.reporting.words import read_words
from captioner.reporting.words_figure import words_figure


@dataclass(frozen=True)
class ScoredSplit:
    """The scores on one split."""

    split: str
    dcase: str
    rows: Sequence[ScoreRow]
    intervals: str  # of what they are
    fluency: Mapping[str, FluencyColumn]  # by key of the scores
    figure: Figure
    significance: Significance | None


@dataclass(frozen=True)
class Drawn:
    """The pictures of the sections, as the page's templates call them."""

    learned: Sequence[Learned]
    pictures: Sequence[Figure]  # of the data
    coverage_figures: Sequence[Figure]
    words_figure: Figure | None
    cost_figures: Sequence[Figure]
    rule_graph_figure: Figure | None

    def write(self, others: Sequence[Figure], folder: Path) -> None:
        """Write each picture, and `others`, as a file for papers and slides."""
        folder.mkdir()
        of_systems = [figure for system in self.learned for figure in system.figures]
        of_data = [*self.pictures, *self.coverage_figures]
        alone = [self.words_figure, self.rule_graph_figure]
        for figure in [*others, *of_systems, *of_data, *self.cost_figures, *alone]:
            if figure is not None and figure.name:
                path = folder / f"{figure.name}.svg"
                path.write_text(standalone(figure.svg), encoding="utf-8")


def build_report(content: ReportContent | Mapping[str, Any], folder: Path) -> None:
    """Write `index.html`, `scores.txt`, `figures/`, `data/` and `media/`; replace the folder.

    The page loads nothing but its own folder: it works from disk and without a network.

    Args:
        content: what to show, typed or as the plain dict of `ReportContent.from_dict`.
        folder: the report's folder; it appears complete or not at all.

    Raises:
        InputError: a scores file lacks a metric, or a shard of features is none.
        FileNotFoundError: a file named in `content` is absent.
    """
    if not isinstance(content, ReportContent):
        content = ReportContent.from_dict(content)
    models = read_models(content)
    trainings = read_trainings(content.systems, models)
    tables = {split: Tables.read(files) for split, files in content.splits.items()}
    vocabularies = {
        name: loading.read_vocabulary(path) for name, path in content.vocabularies.items()
    }
    scored = [_scored(content, split) for split in content.scored_splits]
    costs = loading.read_costs(content.benchmarks)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        heard = content.scored_splits[-1] if content.scored_splits else None
        stores = data.open_stores(content.frontends) if heard else {}
        listening, attending, by_frontend = None, None, []
        if heard:
            clips, annotations = tables[heard].clips, tables[heard].annotations
            listening = read_listening(content, heard, clips, annotations, stores)
            write_listening(listening, content.listening.folders, temporary, folder)
            attention = {s.run_name: s.attention for s in content.systems if s.attention}
            attending = write_attention_data(attention, listening, temporary)
            by_frontend = data.frontend_examples(content, stores, listening)
        words = read_words(content, heard) if heard else []
        covered = data.coverage(vocabularies, tables)
        graph = content.rule_graph
        drawn = Drawn(
            learned=learned(system_titles(content.systems), trainings),
            pictures=data.pictures(tables, data.expectations(content)),
            coverage_figures=data.coverage_figures(covered),
            words_figure=words_figure(words, "words-shares") if words else None,
            cost_figures=cost_figures(costs, "cost"),
            rule_graph_figure=rule_graph_figure(graph, "rules") if graph else None,
        )
        durations = {split: [c.duration_s for c in t.clips] for split, t in tables.items()}
        page = _environment().get_template("page.html")
        html = page.render(
            content=content,
            built=datetime.now(UTC),
            metrics=METRICS,
            scored=scored,
            at_best=at_best_columns(trainings),
            heard=heard,
            words=words,
            dcase=DCASE_SPLITS,
            listening=listening,
            attending=attending,
            spectrogram=SPECTROGRAM,
            dynamic_range_db=DYNAMIC_RANGE_DB,
            splits=[split_row(split, t.clips, t.annotations) for split, t in tables.items()],
            licences=data.licences(tables),
            left_out=data.left_out(content, tables),
            by_frontend=by_frontend,
            checks={s: loading.read_checks(f.checks) for s, f in content.splits.items()},
            vocabularies=vocabularies,
            coverage=covered,
            costs=costs,
            sizes=sizes(content, models, trainings),
            speeds=speeds(content, models, durations),
            described=describe(content, models),
            config=_yaml(content.config),
            **vars(drawn),
        )
        drawn.write([part.figure for part in scored], temporary / "figures")
        (temporary / "index.html").write_text(html, encoding="utf-8")
        texts = [score_table(part.rows, part.split) for part in scored]
        (temporary / "scores.txt").write_text("\n".join(texts), encoding="utf-8")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("captioner.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["score"] = lambda value: f"{value:.3f}"
    environment.filters.update(
        thousands=thousands,
        difference=difference_text,
        p=p_text,
        time=duration_text,
        rate=rate_text,
        phrase=phrase,
        licence=licence_text,
        interval=interval_text,
        settings=settings_text,
    )
    return environment


def _yaml(config: Mapping[str, Any]) -> str:
    """Write the configuration as YAML; through JSON, for plain types and without anchors."""
    plain = json.loads(json.dumps(config))
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)


def _scored(content: ReportContent, split: str) -> ScoredSplit:
    rows = score_rows(content, split)
    bars = [
        Bar(
            row.label,
            row.metrics["spider"],
            row.kind,
            row.intervals.get("spider"),
            [s.metrics["spider"] for s in row.per_seed.values()] if row.has_several else (),
        )
        for row in rows
        if row.metrics
    ]
    return ScoredSplit(
        split=split,
        dcase=DCASE_SPLITS.get(split, ""),
        rows=rows,
        intervals=interval_note(rows),
        fluency=fluency_columns(rows),
        figure=spider_figure(bars, f"spider-{split}"),
        significance=against_baseline(content, split),
    )
