"""Mean and standard deviation of features over a split, merged exactly from parts."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from captioner.errors import InputError
from captioner.job import write_json
from captioner.store.schema import MOMENTS_KEY


@dataclass(frozen=True)
class Statistics:
    """Moments of `n` frames, each array (n_features,) float64.

    `m2` is the sum of squared differences from the mean, so that parts merge without loss
    (Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
    variances", 1979, equation 2.1).
    """

    n: int
    mean: np.ndarray
    m2: np.ndarray

    @classmethod
    def none(cls, n_features: int) -> "Statistics":
        """Give the statistics of no frame."""
        return cls(0, np.zeros(n_features), np.zeros(n_features))

    @classmethod
    def of(cls, features: np.ndarray) -> "Statistics":
        """Give the statistics of one clip's features (n_frames, n_features), n_frames > 0."""
        frames = features.astype(np.float64)
        mean = frames.mean(axis=0)
        frames -= mean
        return cls(len(frames), mean, np.square(frames, out=frames).sum(axis=0))

    @classmethod
    def of_shard(cls, path: str | Path) -> "Statistics":
        """Read the statistics that a shard keeps of its features, and none of these.

        Raises `InputError` where it keeps none.
        """
        try:
            kept = pq.read_metadata(path).metadata or {}
            return cls._from_json(json.loads(kept[MOMENTS_KEY]))
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}: found no statistics in its metadata ({error!r}), expected the key "
                f"{MOMENTS_KEY.decode()!r} with n, mean and m2. Compute the features again."
            ) from error

    @property
    def std(self) -> np.ndarray:
        """Population standard deviation (n_features,)."""
        return np.sqrt(self.m2 / self.n)

    def merge(self, other: "Statistics") -> "Statistics":
        """Give the statistics of both sets of frames together."""
        n = self.n + other.n
        if not n:
            return self
        difference = other.mean - self.mean
        return Statistics(
            n,
            self.mean + difference * (other.n / n),
            self.m2 + other.m2 + np.square(difference) * (self.n * other.n / n),
        )

    def to_json(self) -> dict[str, Any]:
        """Give what JSON holds of them: float64 values survive exactly."""
        return {"n": self.n, "mean": self.mean.tolist(), "m2": self.m2.tolist()}

    @classmethod
    def _from_json(cls, content: Any) -> "Statistics":
        mean, m2 = (np.array(content[key], dtype=np.float64) for key in ("mean", "m2"))
        return cls(int(content["n"]), mean, m2)

    def save(self, path: str | Path) -> None:
        """Write as JSON, atomically."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> "Statistics":
        """Read what `save` wrote; `InputError` if the file is something else."""
        try:
            return cls._from_json(json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}: found no statistics ({error!r}), expected JSON with n, mean and m2. "
                "Compute the statistics again."
            ) from error


def merge_all(parts: Iterable[Statistics]) -> Statistics:
    """Merge one part or more, such as the splits and corpora that a system trains on."""
    return reduce(Statistics.merge, parts)
