"""The history of a training: one CSV row per epoch."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from captioner.job import atomic_path

COLUMNS = (
    "epoch",  # from 1
    "training_loss",  # nats, mean over the batches as they were trained on
    "validation_loss",  # nats, without label smoothing; empty without a validation split
    "learning_rate",
    "seconds",  # training and validation
    "clips_per_s",  # clips encoded in training, by its seconds without validation
    "gradient_norm",  # 2-norm before clipping, mean over the batches
)


def write_history(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write all epochs so far, atomically."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
