"""Scores that others published, shown beside ours where corpus and split are the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from captioner.reporting.loading import METRICS

Interval = tuple[float, float]


@dataclass(frozen=True)
class PublishedSystem:
    """One published system with its scores on one split of Clotho."""

    title: str
    source: str  # where the scores stand
    split: str  # our name of the split
    n_clips: int
    metrics: Mapping[str, float]  # those that were published
    intervals: Mapping[str, Interval] = field(default_factory=dict)


BASELINE = "DCASE 2021 Challenge, task 6: baseline results, development-testing split"
SJTU = (
    'Xu et al., "The SJTU system for DCASE2021 challenge task 6: audio captioning based on encoder '
    'pre-training and reinforcement learning", DCASE 2021'
)
CONETTE = (
    'Labbé et al., "CoNeTTE: an efficient audio captioning system leveraging multiple datasets '
    "with task embedding\", 2023; detailed results in the paper's repository: means of 5 seeds "
    "with 95 % Student's t intervals"
)


def _in_percent(title: str, values: str, half_widths: str) -> PublishedSystem:
    """Take a row of CoNeTTE's detailed results, the nine metrics in our order, in percent."""
    means, halves = (
        dict(zip(METRICS, (float(value) / 100 for value in row.split()), strict=True))
        for row in (values, half_widths)
    )
    intervals = {m: (mean - halves[m], mean + halves[m]) for m, mean in means.items()}
    return PublishedSystem(title, CONETTE, "evaluation", 1045, means, intervals)


CLOTHO = (
    PublishedSystem(
        title="DCASE 2021 baseline",
        source=BASELINE,
        split="evaluation",
        n_clips=1045,
        metrics={
            "bleu_1": 0.378,
            "bleu_2": 0.119,
            "bleu_3": 0.050,
            "bleu_4": 0.017,
            "rouge_l": 0.263,
            "meteor": 0.078,
            "cider": 0.075,
            "spice": 0.028,
            "spider": 0.051,
        },
    ),
    _in_percent(
        "CNN14 + Transformer",
        "55.44 35.51 23.28 15.07 37.40 17.80 40.58 12.38 26.48",
        "0.53 0.31 0.42 0.47 0.16 0.08 0.86 0.22 0.47",
    ),
    PublishedSystem(
        title="CNN10 + attention GRU, reinforced",
        source=SJTU,
        split="evaluation",
        n_clips=1045,
        metrics={"spider": 0.286},
    ),
    PublishedSystem(
        title="CNN10 + attention GRU, reinforced, ensemble",
        source=SJTU,
        split="evaluation",
        n_clips=1045,
        metrics={"cider": 0.468, "spice": 0.123, "spider": 0.295},
    ),
    _in_percent(
        "ConvNeXt + Transformer",
        "58.76 38.36 25.38 16.37 38.81 18.82 46.43 13.31 29.87",
        "0.26 0.39 0.37 0.31 0.28 0.12 1.15 0.15 0.63",
    ),
    _in_percent(
        "CoNeTTE: ConvNeXt + Transformer, four corpora",
        "60.57 39.95 26.58 17.25 39.47 18.95 48.46 13.62 31.04",
        "0.50 0.36 0.25 0.27 0.35 0.19 0.60 0.22 0.36",
    ),
)


def published_systems(clotho: bool, split: str) -> list[PublishedSystem]:
    """Give the published systems that are comparable: on Clotho (`clotho`) and on `split`."""
    return [system for system in CLOTHO if clotho and system.split == split]
