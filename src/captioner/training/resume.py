"""The state of an unfinished training, from which a killed job continues exactly."""

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import torch
from torch import Tensor

from captioner.errors import InputError
from captioner.job import atomic_path

log = logging.getLogger(__name__)


@dataclass
class TrainingState:
    """Where a training stands, beside what has a state of its own (`Stateful`)."""

    epoch: int = 1  # the one under way, from 1
    n_batches: int = 0  # done in this epoch
    n_clips: int = 0  # encoded in this epoch
    loss: float = 0.0  # sum over the batches of this epoch, each by its weight
    loss_weight: float = 0.0
    facts: dict[str, float] = field(default_factory=dict)  # likewise
    gradient_norm: float = 0.0  # sum over the batches of this epoch
    n_norms: int = 0  # batches whose norm that sum holds: those that were finite
    seconds: float = 0.0  # spent on the batches of this epoch
    history: list[dict[str, Any]] = field(default_factory=list)  # a row per finished epoch
    best_epoch: int = 0  # 0: the start, or none yet
    best_score: float | None = None  # of the validation, what the training monitors
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    rate_scale: float = 1.0  # of the learning rate, lowered on plateaus
    n_flat: int = 0  # epochs on this plateau

    def begin_epoch(self) -> None:
        """Go on to the next epoch."""
        self.epoch += 1
        self.n_batches = self.n_clips = self.n_norms = 0
        self.loss = self.loss_weight = self.gradient_norm = self.seconds = 0.0
        self.facts = {}


class Stateful(Protocol):
    """Model, optimizer, and whatever else a training goes on with."""

    def state_dict(self) -> dict[str, Any]:
        """Give the state: numbers, tensors, lists and mappings."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Restore what `state_dict` gave."""


def digest(inputs: Any) -> str:
    """Give a short hex digest of what a training depends on, JSON values."""
    text = json.dumps(inputs, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest_of_file(path: str | Path) -> str:
    """Give the SHA-256 of a file's content."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ResumeFile:
    """The state on disk: one file, named by the digest of the training's inputs."""

    def __init__(self, folder: Path, inputs_digest: str):
        self.folder = folder
        self.path = folder / f"{inputs_digest}.pt"

    def save(self, state: TrainingState, parts: Mapping[str, Stateful]) -> None:
        """Write everything atomically: a kill leaves the earlier state or this one."""
        content = {
            "state": vars(state),
            "parts": {name: part.state_dict() for name, part in parts.items()},
            "generator": torch.get_rng_state(),
            "generators_cuda": torch.cuda.get_rng_state_all(),
        }
        with atomic_path(self.path) as temporary:
            torch.save(content, temporary)

    def load(self, parts: Mapping[str, Stateful]) -> TrainingState:
        """Restore the parts and generators; give a new state if none was saved.

        The state of another training (other settings, other data) is left alone. Raises
        `InputError` for a damaged file.
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
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, UnpicklingError, EOFError) as error:
            raise InputError(
                f"{self.path}: found a file that cannot be read ({type(error).__name__}), "
                "expected the state of this unfinished training. Start it anew: "
                "--config resume=false."
            ) from error
        for name, part in parts.items():
            part.load_state_dict(content["parts"][name])
        torch.set_rng_state(content["generator"])
        gpus = range(torch.cuda.device_count())
        for gpu, generator in zip(gpus, content["generators_cuda"], strict=False):
            torch.cuda.set_rng_state(generator, gpu)
        state = TrainingState(**content["state"])
        log.info("Resumed from %s: epoch %d, batch %d", self.path, state.epoch, state.n_batches)
        return state

    def remove(self) -> None:
        """Remove the folder: the training has finished, or is to start anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
