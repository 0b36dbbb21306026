"""The history of a training: one CSV row per epoch."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from captioner.job import atomic_path

COLUMNS = (  # empty where there is no such figure
    "epoch",  # from 1; 0: the trained model that the training started from
    "training_loss",  # nats (not of reinforcement), mean over the batches as they were trained on
    "validation_loss",  # nats, without label smoothing; empty without a validation split
    "validation_cider",  # of greedy captions
    "validation_spider",  # likewise, where the training monitors it
    "reward",  # of reinforcement: mean over the sampled captions
    "learning_rate",  # of the epoch's last step; parts with their own keep its ratio to it
    "seconds",  # training and validation
    "clips_per_s",  # clips encoded in training, by its seconds without validation
    "gradient_norm",  # 2-norm before clipping, mean over the batches
)


def write_history(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write all epochs so far, atomically; figures without a column are left out."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
