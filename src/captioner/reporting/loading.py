"""Read what the stages wrote: scores, histories, models, captions, checks, benchmarks."""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from captioner.errors import InputError

METRICS = {  # key in the score files -> name in print, in the challenge's order
    "bleu_1": "BLEU-1",
    "bleu_2": "BLEU-2",
    "bleu_3": "BLEU-3",
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "meteor": "METEOR",
    "cider": "CIDEr",
    "spice": "SPICE",
    "spider": "SPIDEr",
}


@dataclass(frozen=True)
class Scores:
    """The scores of one system on one split."""

    metrics: dict[str, float]  # the nine of `METRICS`, of the whole split
    n_clips: int
    empty_predictions: list[str]  # file names
    intervals: dict[str, tuple[float, float]]  # by metric; empty in scores made without them
    fluency: dict[str, float]  # values of the captions as a set, by name


@dataclass(frozen=True)
class History:
    """One training, a value per epoch; NaN where the file holds none."""

    epoch: list[int]
    training_loss: list[float]
    validation_loss: list[float]
    validation_cider: list[float]
    validation_spider: list[float]
    reward: list[float]  # of reinforcement
    learning_rate: list[float]
    seconds: list[float]
    clips_per_s: list[float]  # in training


@dataclass(frozen=True)
class RuleCost:
    """What all jobs of one rule took together."""

    rule: str
    n_jobs: int
    seconds: float  # wall time, summed over the jobs
    longest_s: float
    cpu_s: float | None  # None where it was not measured (jobs shorter than a second)
    peak_mb: float | None  # largest resident memory of any one job, in MiB


def read_scores(path: Path) -> Scores:
    """Read the corpus scores of one system.

    Raises:
        InputError: one of the nine metrics is missing.
    """
    found = _read_json(path)
    missing = [metric for metric in METRICS if metric not in found["metrics"]]
    if missing:
        raise InputError(
            f"{path}: no score {', '.join(missing)}; found {', '.join(found['metrics']) or 'none'}."
            f" A report needs all of {', '.join(METRICS)}: remove the file and evaluate again."
        )
    rate = {k: v for k, v in found.items() if k == "fluency_error_rate"}
    return Scores(
        metrics={metric: float(found["metrics"][metric]) for metric in METRICS},
        n_clips=found["n_clips"],
        empty_predictions=found["empty_predictions"],
        intervals={
            metric: (low, high)
            for metric, (low, high) in found.get("intervals", {}).items()
            if metric in METRICS
        },
        fluency={**found.get("diversity", {}), **rate},
    )


def read_history(path: Path) -> History:
    """Read the history of a training; an empty cell, or one of a column not there, is NaN."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))

    def column(name: str) -> list[float]:
        return [float(row.get(name) or "nan") for row in rows]

    columns = {found.name: column(found.name) for found in fields(History) if found.name != "epoch"}
    return History(epoch=[int(row["epoch"]) for row in rows], **columns)


def read_model(folder: Path) -> dict[str, Any]:
    """Read a model's description (`model.json`)."""
    return _read_json(folder / "model.json")


def read_checks(path: Path) -> list[dict[str, Any]]:
    """Read the checks of a split: name, level, expected, found and offenders of each."""
    return _read_json(path)["checks"]


def read_leakage(path: Path) -> tuple[int, dict[str, str]]:
    """Read a leakage check: the source's clips in all, and why which of them are left out."""
    found = _read_json(path)
    return found["n_clips"], found["excluded"]


def read_vocabulary(path: Path) -> dict[str, Any]:
    """Read a vocabulary: tokens, counts, settings and the corpora it was counted on."""
    return _read_json(path)


def read_costs(benchmarks: Mapping[str, Iterable[Path]]) -> list[RuleCost]:
    """Sum Snakemake's benchmark files per rule, the longest rule first."""
    costs = []
    for rule, paths in benchmarks.items():
        rows = [row for path in paths for row in _read_benchmark(path)]
        if not rows:
            continue
        seconds = [float(row["s"]) for row in rows]
        cpu = [value for row in rows if (value := _measured(row["cpu_time"])) is not None]
        memory = [value for row in rows if (value := _measured(row["max_rss"])) is not None]
        costs.append(
            RuleCost(
                rule=rule,
                n_jobs=len(rows),
                seconds=sum(seconds),
                longest_s=max(seconds),
                cpu_s=sum(cpu) if cpu else None,
                peak_mb=max(memory) if memory else None,
            )
        )
    return sorted(costs, key=lambda cost: -cost.seconds)


def read_seconds(benchmark: Path) -> float:
    """Read how long a job took, by one of Snakemake's benchmark files; repeats are summed."""
    return sum(float(row["s"]) for row in _read_benchmark(benchmark))


def _read_benchmark(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def _measured(cell: str) -> float | None:
    """Snakemake writes "-", "NA" or zero for what a job was too short to measure."""
    return None if cell in ("-", "NA", "") else float(cell) or None


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
