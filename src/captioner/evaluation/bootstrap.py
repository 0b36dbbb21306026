"""Intervals of corpus scores by the bootstrap over clips, and of means over seeds.

Clips are drawn anew, as many as there are, with replacement (Efron, 1979), and every metric is
computed on each such sample: means of the clips' values; BLEU and METEOR from summed statistics,
so that the sample of every clip once gives the official corpus value. CIDEr's idf is kept from the
full set of clips: what varies is which clips were in the test, not how much a word weighs.

The interval is the percentile interval, the middle 95 % of the resampled scores: it reads as people
expect and stays inside a metric's range. For people's scores on the 1045 clips of Clotho's
evaluation split the bias-corrected interval (BCa) lies within .0002 of it, in all nine metrics.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from captioner.evaluation.aggregation import Matrix
from captioner.evaluation.clip_scores import ClipScores, clip_scores_of

CONFIDENCE = 0.95
RESAMPLES = 1000
BLOCK_ENTRIES = 2**23  # weights held at once: 64 MiB
METHOD = (
    "percentile bootstrap over clips; CIDEr's idf is kept from the full set; BLEU and METEOR from "
    "summed statistics"
)
ONE_SEED = "one seed: no interval over seeds"


def intervals(
    table: pa.Table, *, resamples: int = RESAMPLES, seed: int = 0, confidence: float = CONFIDENCE
) -> dict[str, Any]:
    """Give the intervals of every metric of a per-clip table, for the JSON of the scores.

    Returns:
        `intervals` (metric -> [low, high]), `confidence`, `resamples`, `resampling_seed` and
        `interval_method`.

    Raises:
        InputError: the table lacks what `write_scores` puts into it.
    """
    resampled = resample(clip_scores_of(table), resamples, seed)
    return {
        "intervals": {
            metric: list(interval(values, confidence)) for metric, values in resampled.items()
        },
        "confidence": confidence,
        "resamples": resamples,
        "resampling_seed": seed,
        "interval_method": METHOD,
    }


def resample(scores: ClipScores, resamples: int, seed: int) -> dict[str, Matrix]:
    """Compute every metric on resampled clips: metric -> (resamples,)."""
    blocks = [
        scores.corpus_values(weights @ scores.statistics)
        for weights in draw_weights(len(scores), resamples, seed)
    ]
    return {metric: np.concatenate([b[metric] for b in blocks]) for metric in scores.metrics}


def draw_weights(n_clips: int, resamples: int, seed: int) -> Iterator[Matrix]:
    """Draw how often each clip is in each resample: blocks (<= resamples, n_clips) of counts.

    The same number of clips, resamples and seed give the same draws, for any system: pairs of
    systems are compared on the same resamples.
    """
    generator = np.random.default_rng(seed)
    for n_rows in blocks_of(n_clips, resamples):
        drawn = generator.integers(n_clips, size=(n_rows, n_clips))
        drawn += np.arange(n_rows)[:, None] * n_clips  # each row counts in bins of its own
        counts = np.bincount(drawn.ravel(), minlength=n_rows * n_clips)
        yield counts.reshape(n_rows, n_clips).astype(np.float64)


def blocks_of(n_clips: int, rows: int) -> Iterator[int]:
    """Cut `rows` rows of `n_clips` into blocks that memory holds, whatever their number."""
    block = max(1, BLOCK_ENTRIES // n_clips)
    for start in range(0, rows, block):
        yield min(block, rows - start)


def interval(values: Matrix, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Give the middle `confidence` of resampled values: the percentile interval."""
    tail = 50 * (1 - confidence)
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)


@dataclass(frozen=True)
class OverSeeds:
    """A score over the seeds of a system; without `interval` and deviation for a single seed."""

    mean: float
    standard_deviation: float | None
    interval: tuple[float, float] | None


def over_seeds(values: Sequence[float], confidence: float = CONFIDENCE) -> OverSeeds:
    """Give mean and t interval (n - 1 degrees of freedom) of one score over seeds.

    It says how far another training would land, where the bootstrap says it of other clips.

    Raises:
        ValueError: there is no value (a defect of the caller).
    """
    if not values:
        raise ValueError("no seed")
    mean = float(np.mean(values))
    n = len(values)
    if n == 1:
        return OverSeeds(mean, None, None)
    from scipy.special import stdtrit

    deviation = float(np.std(values, ddof=1))
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * deviation / n**0.5
    return OverSeeds(mean, deviation, (mean - half, mean + half))


def summarise_seeds(per_seed: Mapping[int, Mapping[str, float]]) -> dict[str, Any]:
    """Summarise corpus scores (seed -> metric -> value) over seeds, for JSON."""
    seeds = sorted(per_seed)
    metrics = {
        metric: asdict(over_seeds([per_seed[seed][metric] for seed in seeds]))
        for metric in per_seed[seeds[0]]
        if all(metric in of_seed for of_seed in per_seed.values())
    }
    note = ONE_SEED if len(seeds) == 1 else "Student's t interval over seeds"
    return {"seeds": seeds, "confidence": CONFIDENCE, "note": note, "metrics": metrics}
