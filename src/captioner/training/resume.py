"""The state of an unfinished training, from which a killed job continues exactly."""

import hashlib
import json
import logging
import math
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from captioner.job import atomic_path

log = logging.getLogger(__name__)


@dataclass
class TrainingState:
    """Where a training stands, beside its weights, optimizer and generators."""

    epoch: int = 1  # the one under way, from 1
    n_batches: int = 0  # done in this epoch
    n_clips: int = 0  # encoded in this epoch
    loss: float = 0.0  # sum over the batches of this epoch, each by its weight
    loss_weight: float = 0.0
    gradient_norm: float = 0.0  # sum over the batches of this epoch
    seconds: float = 0.0  # spent on the batches of this epoch
    history: list[dict[str, Any]] = field(default_factory=list)  # a row per finished epoch
    best_epoch: int = 0  # 0: none yet
    best_loss: float = math.inf  # validation
    best_weights: dict[str, Tensor] = field(default_factory=dict)


def digest(inputs: Any) -> str:
    """Give a short hex digest of what a training depends on, JSON values."""
    text = json.dumps(inputs, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class ResumeFile:
    """The state on disk: one file, named by the digest of the training's inputs."""

    def __init__(self, folder: Path, inputs_digest: str):
        self.folder = folder
        self.path = folder / f"{inputs_digest}.pt"

    def save(
        self, state: TrainingState, model: nn.Module, optimizer: torch.optim.Optimizer
    ) -> None:
        """Write everything atomically: a kill leaves the earlier state or this one."""
        content = {
            "state": vars(state),
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "generator": torch.get_rng_state(),
            "generators_cuda": torch.cuda.get_rng_state_all(),
        }
        with atomic_path(self.path) as temporary:
            torch.save(content, temporary)

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> TrainingState:
        """Restore model, optimizer and generators; give a new state if none was saved.

        The state of another training (other settings, other data) is left alone.
        """
        for other in sorted(self.folder.glob("*.pt")):
            if other != self.path:
                log.info(
                    "Ignored %s: the state of a training with other inputs (this one's: %s)",
                    other,
                    self.path.name,
                )
        if not self.path.is_file():
            return TrainingState()
        content = torch.load(self.path, map_location="cpu", weights_only=True)
        model.load_state_dict(content["model"])
        optimizer.load_state_dict(content["optimizer"])
        torch.set_rng_state(content["generator"])
        if content["generators_cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(content["generators_cuda"])
        state = TrainingState(**content["state"])
        log.info("Resumed from %s: epoch %d, batch %d", self.path, state.epoch, state.n_batches)
        return state

    def remove(self) -> None:
        """Remove the folder: the training has finished."""
        shutil.rmtree(self.folder, ignore_errors=True)
