"""What the steps of an epoch found: gathered on the device, read now and then."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from captioner.errors import InputError
from captioner.training.resume import TrainingState
from captioner.training.sources import CaptionedClips, Pairs
from captioner.training.step import Taken

READ_INTERVAL_S = 1.0  # on a GPU, where each reading waits for all that was asked of it

REMEDY = (
    "Lower `training: learning_rate` or `gradient_clip_norm`, and look at the checks of the data "
    "for clips with extreme values."
)


@dataclass(frozen=True)
class Unread:
    """A step whose figures are still on the device."""

    batch: int  # of its epoch, from 1
    pairs: Pairs
    taken: Taken


class Figures:
    """Adds up an epoch's figures in the training's state; finds out where it diverged."""

    def __init__(self, clips: CaptionedClips, device: torch.device, *, scaled: bool):
        """`scaled`: the gradient of a step may overflow, which leaves the step out."""
        self._clips = clips
        self._wait_s = 0.0 if device.type == "cpu" else READ_INTERVAL_S
        self._scaled = scaled
        self._unread: list[Unread] = []
        self._read_at = time.monotonic()

    def start(self) -> None:
        """Begin to measure the time of steps."""
        self._read_at = time.monotonic()

    def add(self, state: TrainingState, pairs: Pairs, taken: Taken, n_batches: int) -> None:
        """Take in a step, the next of an epoch of `n_batches`; `InputError` if it diverged.

        On a GPU it may be found with a later step, and is named all the same.
        """
        state.n_batches += 1
        self._unread.append(Unread(state.n_batches, pairs, taken))
        if time.monotonic() - self._read_at >= self._wait_s:
            self.read(state, n_batches)

    def read(self, state: TrainingState, n_batches: int) -> None:
        """Read what is still on the device; before a state is saved or an epoch is closed."""
        if self._unread:
            losses = torch.stack([each.taken.loss for each in self._unread]).tolist()
            norms = torch.stack([each.taken.gradient_norm for each in self._unread]).tolist()
            for each, loss, norm in zip(self._unread, losses, norms, strict=True):
                self._add(state, each, loss, norm, n_batches)
            self._unread.clear()
        now = time.monotonic()
        state.seconds += now - self._read_at
        self._read_at = now

    def _add(
        self, state: TrainingState, step: Unread, loss: float, norm: float, n_batches: int
    ) -> None:
        if not (math.isfinite(loss) and (self._scaled or math.isfinite(norm))):
            names = sorted({self._clips.names[clip] for clip in step.pairs[:, 0]})
            raise InputError(
                f"training diverged in epoch {state.epoch}, batch {step.batch} of {n_batches}: "
                f"found a loss of {loss} and a gradient norm of {norm}, expected finite numbers. "
                f"{REMEDY} The clips of the batch: {', '.join(map(repr, names))}."
            )
        weight = float(step.taken.weight)
        state.n_clips += int(step.taken.n_clips)
        state.loss += loss * weight
        state.loss_weight += weight
        for name, value in step.taken.facts.items():
            state.facts[name] = state.facts.get(name, 0.0) + float(value) * weight
        if math.isfinite(norm):
            state.gradient_norm += norm
            state.n_norms += 1

    def means(self, state: TrainingState) -> dict[str, Any]:
        """Give an epoch's row of the history, as far as its steps say."""
        return {
            "training_loss": state.loss / state.loss_weight,
            **{name: total / state.loss_weight for name, total in state.facts.items()},
            "clips_per_s": round(state.n_clips / state.seconds, 3),
            "gradient_norm": state.gradient_norm / state.n_norms if state.n_norms else None,
        }


def check_validation(scores: Mapping[str, float], epoch: int) -> None:
    """Raise `InputError` for a validation loss that is no finite number."""
    loss = scores["validation_loss"]
    if not math.isfinite(loss):
        raise InputError(
            f"training diverged: the validation loss of epoch {epoch} is {loss}, expected a "
            f"finite number. {REMEDY}"
        )
