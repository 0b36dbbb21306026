"""Two systems on the same clips: how far apart, and whether chance could explain it.

The interval of the difference is a paired bootstrap (Koehn, 2004): both systems on the same
resampled clips. The p-value is approximate randomisation (Noreen, 1989; Riezler and Maxwell, 2005):
how often a difference at least as large comes out when each clip's two captions are swapped
by the toss of a coin. Both keep CIDEr's idf from the full set.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from captioner.errors import InputError
from captioner.evaluation.aggregation import Matrix
from captioner.evaluation.bootstrap import (
    CONFIDENCE,
    blocks_of,
    draw_weights,
    interval,
    summarise_seeds,
)
from captioner.evaluation.clip_scores import ClipScores, pool

LEVEL = 0.05  # a smaller p-value is called unlikely to be chance
RESAMPLES = 10_000
# Differences nearer than this are equal: sums in another order differ in their last digits.
TIE = 1e-12
NAMED_IN_ERRORS = 5
METHOD = (
    "difference A - B; interval: paired percentile bootstrap over clips; p: approximate "
    "randomisation, two-sided; p_bootstrap: two-sided, from the paired bootstrap; CIDEr's idf is "
    "kept from the full set; BLEU and METEOR from summed statistics"
)


@dataclass(frozen=True)
class Difference:
    """One metric of systems A and B; p-values count the observed outcome (+1), so none is 0."""

    a: float
    b: float
    difference: float  # a - b
    interval: tuple[float, float]
    p: float  # approximate randomisation
    p_bootstrap: float


def compare(
    a: ClipScores,
    b: ClipScores,
    *,
    metrics: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Difference]:
    """Compare two systems on the same clips, in every metric that both have, or in `metrics`.

    Raises:
        InputError: the clips differ, or a metric is unknown.
    """
    a, b = pair(a, b)
    shared = [metric for metric in a.metrics if metric in b.metrics]
    if unknown := [metric for metric in metrics or () if metric not in shared]:
        raise InputError(
            f"found the metric {', '.join(unknown)}, expected some of {', '.join(shared)}, "
            "which both systems have scores of. Correct the name."
        )
    a, b = (_only(scores, shared) for scores in (a, b))
    values_a, values_b = a.corpus(), b.corpus()
    by_bootstrap = _bootstrapped(a, b, resamples, seed)
    by_swapping = _swapped(a, b, resamples, seed)
    found = {}
    for metric in metrics or shared:
        observed = values_a[metric] - values_b[metric]
        at_least = int((abs(by_swapping[metric]) >= abs(observed) - TIE).sum())
        found[metric] = Difference(
            a=values_a[metric],
            b=values_b[metric],
            difference=observed,
            interval=interval(by_bootstrap[metric], CONFIDENCE),
            p=(at_least + 1) / (resamples + 1),
            p_bootstrap=_two_sided(by_bootstrap[metric]),
        )
    return found


def pair(
    a: ClipScores, b: ClipScores, names: tuple[str, str] = ("A", "B")
) -> tuple[ClipScores, ClipScores]:
    """Bring the clips of B into the order of A; `names` are for the message.

    Raises:
        InputError: they are not of the same clips.
    """
    names_a, names_b = set(a.file_names), set(b.file_names)
    only_a, only_b = sorted(names_a - names_b), sorted(names_b - names_a)
    if only_a or only_b:
        raise InputError(
            f"{names[0]} has {len(a)} clips and {names[1]} {len(b)}, expected the same; only in "
            f"{names[0]}: {_some(only_a)}; only in {names[1]}: {_some(only_b)}. Score both on the "
            "same clips."
        )
    return a, b.aligned(a.file_names)


def in_words(found: Difference) -> str:
    """Say a difference in one plain sentence."""
    if abs(found.difference) <= TIE:
        return "A and B are equal."
    better, worse = ("A", "B") if found.difference > 0 else ("B", "A")
    low, high = sorted(found.interval if found.difference > 0 else (-x for x in found.interval))
    verdict = "unlikely to be chance" if found.p < LEVEL else "could be chance"
    p = f"{found.p:.2g}".removeprefix("0")
    return (
        f"{better} is better than {worse} by {number_text(abs(found.difference))}, "
        f"{100 * CONFIDENCE:g} % interval {number_text(low)} to {number_text(high)}, "
        f"p = {p}: {verdict}."
    )


def number_text(value: float) -> str:
    """Write a number with four decimals and no leading zero, as scores are written."""
    rounded = round(value, 4) + 0.0  # no -.0000
    return re.sub(r"^(-?)0\.", r"\1.", f"{rounded:.4f}")


@dataclass(frozen=True)
class Move:
    """One clip's scores in one metric."""

    file_name: str
    a: float
    b: float


def most_moved(a: ClipScores, b: ClipScores, metric: str, n: int) -> tuple[list[Move], list[Move]]:
    """Give the clips that A won by most and those that B did, `n` of each at most."""
    a, b = pair(a, b)
    moves = [
        Move(name, float(of_a), float(of_b))
        for name, of_a, of_b in zip(a.file_names, a.values[metric], b.values[metric], strict=True)
    ]
    ranked = sorted(moves, key=lambda move: (move.b - move.a, move.file_name))
    won = [move for move in ranked[:n] if move.a > move.b]
    lost = [move for move in ranked[::-1][:n] if move.b > move.a]
    return won, lost


def compare_all(
    systems: Mapping[str, Mapping[int, ClipScores]],
    *,
    metric: str = "spider",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare systems, each with one scoring a seed, with the best of them, for JSON.

    Seeds of a system are pooled clip by clip before systems are compared: what is tested is
    whether other clips could turn the ranking. `over_seeds` says what other seeds could do.

    Args:
        systems: label -> seed -> scores, all of the same clips.
        metric: that ranks.
        resamples: of clips.
        seed: of the resampling.

    Raises:
        InputError: the clips differ.
    """
    pooled: dict[str, ClipScores] = {}
    first = None
    for label, by_seed in systems.items():
        parts = []
        for seed_of_part, part in by_seed.items():
            name = f"{label}, seed {seed_of_part}"
            first = first or (name, part)
            parts.append(pair(first[1], part, (first[0], name))[1])
        pooled[label] = pool(parts)
    best = max(pooled, key=lambda label: pooled[label].corpus()[metric])
    return {
        "best": best,
        "ranked_by": metric,
        "n_clips": len(pooled[best]),
        "resamples": resamples,
        "seed": seed,
        "method": METHOD,
        "systems": {
            label: summarise_seeds({s: scores.corpus() for s, scores in by_seed.items()})
            for label, by_seed in systems.items()
        },
        "against_best": {
            label: {
                name: asdict(found)
                for name, found in compare(
                    pooled[best], scores, resamples=resamples, seed=seed
                ).items()
            }
            for label, scores in pooled.items()
            if label != best
        },
    }


def _bootstrapped(a: ClipScores, b: ClipScores, resamples: int, seed: int) -> dict[str, Matrix]:
    """Differences of the systems on the same resampled clips: metric -> (resamples,)."""
    blocks = [
        _differences(a, weights @ a.statistics, weights @ b.statistics)
        for weights in draw_weights(len(a), resamples, seed)
    ]
    return {metric: np.concatenate([block[metric] for block in blocks]) for metric in a.metrics}


def _swapped(a: ClipScores, b: ClipScores, resamples: int, seed: int) -> dict[str, Matrix]:
    """Differences of the systems with their captions swapped in half the clips, at random."""
    generator = np.random.default_rng((seed, 1))  # not the bootstrap's draws
    apart = b.statistics - a.statistics
    sums_a, sums_b = a.statistics.sum(axis=0), b.statistics.sum(axis=0)
    blocks = []
    for n_rows in blocks_of(len(a), resamples):
        swaps = generator.integers(2, size=(n_rows, len(a)), dtype=np.uint8).astype(np.float64)
        moved = swaps @ apart
        blocks.append(_differences(a, sums_a + moved, sums_b - moved))
    return {metric: np.concatenate([block[metric] for block in blocks]) for metric in a.metrics}


def _differences(scores: ClipScores, sums_a: Matrix, sums_b: Matrix) -> dict[str, Matrix]:
    of_a, of_b = scores.corpus_values(sums_a), scores.corpus_values(sums_b)
    return {metric: of_a[metric] - of_b[metric] for metric in scores.metrics}


def _two_sided(differences: Matrix) -> float:
    """Twice the smaller share of resamples on one side of 0, each with the +1."""
    below = int((differences <= TIE).sum())
    above = int((differences >= -TIE).sum())
    return min(1.0, 2 * (min(below, above) + 1) / (len(differences) + 1))


def _only(scores: ClipScores, metrics: Sequence[str]) -> ClipScores:
    values = {metric: scores.values[metric] for metric in metrics}
    return ClipScores(scores.file_names, values, scores.bleu, scores.meteor)


def _some(names: Sequence[str]) -> str:
    if not names:
        return "none"
    shown = ", ".join(map(repr, names[:NAMED_IN_ERRORS]))
    more = len(names) - NAMED_IN_ERRORS
    return f"{shown} and {more} more" if more > 0 else shown
