"""Scores that others published, shown beside ours where corpus and split are the same."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedSystem:
    """One published system with its scores on one split of Clotho."""

    title: str
    source: str  # where the scores stand
    split: str  # our name of the split
    n_clips: int
    metrics: Mapping[str, float]


CLOTHO = (
    PublishedSystem(
        title="DCASE 2021 baseline",
        source="DCASE 2021 Challenge, task 6: baseline results, development-testing split",
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
)


def published_systems(clotho: bool, split: str) -> list[PublishedSystem]:
    """Give the published systems that are comparable: on Clotho (`clotho`) and on `split`."""
    return [system for system in CLOTHO if clotho and system.split == split]
