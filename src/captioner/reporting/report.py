"""Build the report: one page and its audio, in a folder that can be zipped and sent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from captioner.evaluation.tables import read_predictions
from captioner.job import atomic_path
from captioner.reporting import data, loading
from captioner.reporting.content import ReportContent, System, system_labels
from captioner.reporting.data import Tables
from captioner.reporting.examples import Example, Prediction, choose, write_examples
from captioner.reporting.figures import (
    Figure,
    Training,
    learning_figures,
    spider_figure,
)
from captioner.reporting.loading import METRICS
from captioner.reporting.tables import (
    DCASE_SPLITS,
    ScoreRow,
    duration_text,
    licence_text,
    phrase,
    score_rows,
    score_table,
    source_text,
    split_row,
)
from captioner.store.shards import FeatureStore


@dataclass(frozen=True)
class ScoredSplit:
    """The scores on one split."""

    split: str
    dcase: str
    rows: Sequence[ScoreRow]
    figure: Figure


@dataclass(frozen=True)
class Learned:
    """The training of one system, with all its seeds."""

    title: str
    trainings: Sequence[Training]
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Described:
    """A row of the score table with what its model says about itself; None without a model."""

    label: str
    system: System
    model: Mapping[str, Any] | None


def build_report(content: ReportContent | Mapping[str, Any], folder: Path) -> None:
    """Write `index.html`, `scores.txt` and `audio/` (with spectrograms); replace the folder.

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
    described = _describe(content.systems)
    tables = {split: Tables.read(files) for split, files in content.splits.items()}
    scored = [_scored(content, split) for split in content.scored_splits]
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        (temporary / "audio").mkdir()
        heard = content.scored_splits[-1] if content.scored_splits else None
        stores = data.open_stores(content.frontends) if heard else {}
        examples, by_frontend = [], []
        if heard:
            clips = tables[heard].clips
            examples = _examples(content, heard, tables[heard], stores, temporary)
            by_frontend = data.frontend_examples(content, stores, clips, examples)
        page = _environment().get_template("page.html")
        html = page.render(
            content=content,
            built=datetime.now(UTC),
            metrics=METRICS,
            scored=scored,
            learned=_learned(described),
            heard=heard,
            dcase=DCASE_SPLITS,
            labels=system_labels(content.systems),
            examples=examples,
            splits=[split_row(split, t.clips, t.annotations) for split, t in tables.items()],
            histograms=data.histograms(tables, data.expectations(content)),
            licences=data.licences(tables),
            left_out=data.left_out(content, tables),
            by_frontend=by_frontend,
            checks={s: loading.read_checks(f.checks) for s, f in content.splits.items()},
            vocabularies={
                name: loading.read_vocabulary(path) for name, path in content.vocabularies.items()
            },
            costs=loading.read_costs(content.benchmarks),
            described=described,
            config=_yaml(content.config),
        )
        (temporary / "index.html").write_text(html, encoding="utf-8")
        scores = [
            score_table(
                content.systems, split, clotho=content.corpus.clotho, ceiling=content.ceiling
            )
            for split in content.scored_splits
        ]
        (temporary / "scores.txt").write_text("\n".join(scores), encoding="utf-8")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("captioner.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["score"] = lambda value: f"{value:.3f}"
    environment.filters["thousands"] = lambda n: f"{n:,}".replace(",", "\u202f")  # thin space
    environment.filters.update(
        time=duration_text, phrase=phrase, licence=licence_text, source=source_text
    )
    return environment


def _yaml(config: Mapping[str, Any]) -> str:
    """Write the configuration as YAML; through JSON, for plain types and without anchors."""
    plain = json.loads(json.dumps(config))
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)


def _describe(systems: Sequence[System]) -> list[Described]:
    return [
        Described(label, system, loading.read_model(system.model) if system.model else None)
        for label, system in zip(system_labels(systems), systems, strict=True)
    ]


def _scored(content: ReportContent, split: str) -> ScoredSplit:
    rows = score_rows(content.systems, split, clotho=content.corpus.clotho, ceiling=content.ceiling)
    figure = spider_figure(
        [row.label for row in rows],
        [row.metrics["spider"] for row in rows],
        [row.kind for row in rows],
        f"spider-{split}",
    )
    return ScoredSplit(split, DCASE_SPLITS.get(split, ""), rows, figure)


def _learned(described: Sequence[Described]) -> list[Learned]:
    """Gather the trainings of each system; a training with several decodings counts once."""
    trainings: dict[str, dict[int, Training]] = {}
    titles = {}
    for row in described:
        if row.system.history is not None:
            history = loading.read_history(row.system.history)
            best = row.model["best"]["epoch"] if row.model else None
            seeds = trainings.setdefault(row.system.name, {})
            seeds[row.system.seed] = Training(row.system.seed, history, best)
            titles[row.system.name] = row.system.title
    return [
        Learned(
            titles[name],
            list(seeds.values()),
            learning_figures(titles[name], list(seeds.values()), f"learning-{i}"),
        )
        for i, (name, seeds) in enumerate(trainings.items())
    ]


def _examples(
    content: ReportContent,
    split: str,
    tables: Tables,
    stores: Mapping[str, FeatureStore],
    folder: Path,
) -> list[Example]:
    """Choose clips by the mean SPIDEr of the systems that are not trivial (of all, if all are)."""
    predictions: dict[str, list[Prediction]] = {clip.file_name: [] for clip in tables.clips}
    for label, system in zip(system_labels(content.systems), content.systems, strict=True):
        if split not in system.scores or split not in system.captions:
            continue
        captions = read_predictions(system.captions[split])
        spider = loading.read_clip_scores(system.scores[split], "spider")
        for name, score in spider.items():
            predictions[name].append(Prediction(label, captions[name], score, system.trivial))
    ranking = {name: _ranking_score(found) for name, found in predictions.items() if found}
    chosen = choose(ranking, content.n_examples)
    clips = {clip.file_name: clip for clip in tables.clips}
    annotations = {found.file_name: found for found in tables.annotations}
    return write_examples(
        [clips[name] for name in chosen],
        annotations,
        predictions,
        ranking,
        {name: data.heard_tags(stores, name) for name in chosen},
        folder,
    )


def _ranking_score(predictions: Sequence[Prediction]) -> float:
    counted = [p for p in predictions if not p.trivial] or predictions
    return sum(p.spider for p in counted) / len(counted)
