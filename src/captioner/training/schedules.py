"""The learning rate's course, and which epoch is the best so far."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


def learning_rate(
    peak: float, training: Mapping[str, Any], epoch: int, batch: int = 0, n_batches: int = 1
) -> float:
    """Give the learning rate of a step: `epoch` counted from 1, `batch` of `n_batches` from 0.

    Linear warm-up, reached in full by the last of its epochs (or steps, by `schedule_step`); then
    constant, or a half cosine peak / 2 * (1 + cos(pi * t)), where t goes from 0 in the first epoch
    (step) after the warm-up towards 1, which one more than there are would reach (Loshchilov and
    Hutter, "SGDR", ICLR 2017, without restarts).
    """
    by_step = training["schedule_step"] == "step"
    per_epoch = n_batches if by_step else 1
    done = (epoch - 1) * per_epoch + (batch if by_step else 0)
    warmup = training["warmup_epochs"] * per_epoch
    if done + 1 <= warmup:
        return peak * (done + 1) / warmup
    if training["schedule"] != "cosine":
        return peak
    place = max(done - warmup, 0) / (training["epochs"] * per_epoch - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * place))


@dataclass(frozen=True)
class EarlyStopping:
    """Which epoch is better than the best so far, and when to stop waiting for one.

    The same criterion selects the weights and counts the patience, as in the released baseline.
    """

    patience: int  # epochs without a better one after which training stops
    minimum_delta: float  # a score must be better than the best by more than this
    monitor: str = "loss"  # loss: the lower the better; any other score: the higher

    @property
    def column(self) -> str:
        """The column of the history that is looked at."""
        return f"validation_{self.monitor}"

    def better(self, score: float, best: float | None) -> bool:
        """Say whether an epoch's score improves on the best one so far; None: there is none."""
        if best is None:
            return True
        gain = best - score if self.monitor == "loss" else score - best
        return gain > self.minimum_delta

    def exhausted(self, epoch: int, best_epoch: int) -> bool:
        """Say whether `patience` epochs, up to this one, have passed since the best."""
        return epoch - best_epoch >= self.patience


@dataclass(frozen=True)
class Plateau:
    """Lowers the learning rate when epochs no longer improve."""

    factor: float
    patience: int  # epochs without a better one, since the best or the last lowering

    def lower(self, scale: float, n_flat: int, *, better: bool) -> tuple[float, int]:
        """Give the factor of the learning rate and the count of flat epochs after an epoch.

        `scale` and `n_flat` are those before it; `better`: whether it improved on the best.
        """
        n_flat = 0 if better else n_flat + 1
        return (scale * self.factor, 0) if n_flat == self.patience else (scale, n_flat)
