"""Mean and standard deviation of features over a split, merged exactly from parts."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np

from captioner.errors import InputError
from captioner.job import write_json
from captioner.store.shards import FeatureStore


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
    def of(cls, features: np.ndarray) -> "Statistics":
        """Give the statistics of one clip's features (n_frames, n_features), n_frames > 0."""
        mean = features.mean(axis=0, dtype=np.float64)
        return cls(len(features), mean, np.square(features - mean).sum(axis=0))

    @property
    def std(self) -> np.ndarray:
        """Population standard deviation (n_features,)."""
        return np.sqrt(self.m2 / self.n)

    def merge(self, other: "Statistics") -> "Statistics":
        """Give the statistics of both sets of frames together."""
        n = self.n + other.n
        difference = other.mean - self.mean
        return Statistics(
            n,
            self.mean + difference * (other.n / n),
            self.m2 + other.m2 + np.square(difference) * (self.n * other.n / n),
        )

    def save(self, path: str | Path) -> None:
        """Write as JSON, atomically; float64 values survive exactly."""
        write_json(path, {"n": self.n, "mean": self.mean.tolist(), "m2": self.m2.tolist()})

    @classmethod
    def load(cls, path: str | Path) -> "Statistics":
        """Read what `save` wrote; `InputError` if the file is something else."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            mean, m2 = (np.array(content[key], dtype=np.float64) for key in ("mean", "m2"))
            return cls(int(content["n"]), mean, m2)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}: found no statistics ({error!r}), expected JSON with n, mean and m2. "
                "Compute the statistics again."
            ) from error


def compute_statistics(shard_paths: Sequence[str | Path]) -> Statistics:
    """Stream over shards, one clip in memory at a time.

    Raises `InputError` if the shards hold no clip or a file is no shard.
    """
    store = FeatureStore(shard_paths)
    if not len(store):
        raise InputError(
            f"statistics: found no clip in {', '.join(map(str, shard_paths))}, expected some."
        )
    return merge_all(Statistics.of(features) for features in store.values())


def merge_all(parts: Iterable[Statistics]) -> Statistics:
    """Merge one part or more, such as the splits and corpora that a system trains on."""
    return reduce(Statistics.merge, parts)
