"""The training loop: epochs of steps, validation, early stopping, exact continuation."""

import logging
import time
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from captioner.job import Progress
from captioner.models.interface import Captioner
from captioner.text.vocabulary import Vocabulary
from captioner.training.augmentation import Augment, Augmentation
from captioner.training.averaging import build_averaging
from captioner.training.batches import (
    Batch,
    make_batch,
    plan_training,
    split_pairs,
)
from captioner.training.distributed import Processes
from captioner.training.events import write_events
from captioner.training.figures import Figures, check_validation
from captioner.training.held_out import HeldOut, try_longest_caption
from captioner.training.history import write_history
from captioner.training.loading import load_batches
from captioner.training.losses import CrossEntropy, Objective
from captioner.training.optimisation import build_optimizer, freeze_parts, set_learning_rates
from captioner.training.precision import Precision
from captioner.training.randomness import Purpose, numpy_generator, torch_generator, torch_seed
from captioner.training.resume import ResumeFile, Stateful, TrainingState
from captioner.training.schedules import EarlyStopping, Plateau
from captioner.training.self_critical import SelfCritical
from captioner.training.settings import check_training
from captioner.training.sources import CaptionedClips, Pairs
from captioner.training.step import Step, Stepper
from captioner.training.validation import CaptionScorer

SAVE_INTERVAL_S = 300  # within an epoch; what a kill can cost
SAVE_SHARE = 0.05  # of the time, at most, goes into states at the ends of short epochs

log = logging.getLogger(__name__)


class Trainer:
    """Trains one model; `training` is the resolved `training:` part of a system's settings."""

    def __init__(
        self,
        model: Captioner,
        clips: CaptionedClips,
        validation: CaptionedClips | None,
        vocabulary: Vocabulary,
        training: Mapping[str, Any],
        means: Mapping[str, np.ndarray],
        seed: int,
        scorer: CaptionScorer | None = None,
        processes: Processes | None = None,
        *,
        from_trained: bool = False,
    ):
        """Set up a training on the device where the model is.

        Without `validation` there is no early stopping, and the last epoch's weights are kept.
        `means`: front-end -> (F,), the values that SpecAugment leaves where it hides something.
        `scorer`: of the captions of `validation`. `processes`: that train together; the first one
        alone validates and writes. `from_trained`: the model has been trained before, and is kept
        as it came (epoch 0) where no epoch makes it better.
        """
        check_training(training, validated=validation is not None)
        self.model = model
        self.clips = clips
        self.vocabulary = vocabulary
        self.training = dict(training)
        self.seed = seed
        self.processes = processes
        self.from_trained = from_trained
        self.rank, self.n_processes = (processes.rank, processes.n) if processes else (0, 1)
        self.device = next(model.parameters()).device
        freeze_parts(model, training)
        self.optimizer = build_optimizer(model, training)
        self.precision = Precision(training["precision"], self.device)
        self.averaging = build_averaging(model, training["averaging"])
        step = Step(model, self._objective(), self.precision)
        if training["compile"]:
            step.compile(dynamic=True)
        self.stepper = Stepper(
            step,
            self.optimizer,
            self.precision,
            training["gradient_clip_norm"],
            self.device,
            processes,
        )
        self.figures = Figures(clips, self.device, scaled=self.precision.scales)
        self.stopping = EarlyStopping(
            training["patience"], training["minimum_delta"], training["monitor"]
        )
        self.plateau = Plateau(**training["plateau"]) if training["schedule"] == "plateau" else None
        self._saved_at, self._save_s = time.monotonic(), 0.0  # the last state: when, how long
        self.augmentation = Augmentation.from_settings(training, means)
        self.held_out = (
            HeldOut(validation, vocabulary, training, seed, self.precision, scorer)
            if validation
            else None
        )
        if validation is None:
            log.warning(
                "There is no validation split: no early stopping, all %d epochs run and the last "
                "one's weights are kept",
                training["epochs"],
            )

    def _objective(self) -> Objective:
        if self.training["loss"] == "self_critical":
            return SelfCritical(self.clips, self.vocabulary, self.training)
        return CrossEntropy.from_settings(self.training)

    @property
    def judged(self) -> Captioner:
        """The model that is validated, kept and saved: with averaged weights where asked for."""
        return self.model if self.averaging is None else self.averaging.model

    @property
    def _parts(self) -> dict[str, Stateful]:
        """All that has a state of its own."""
        parts: dict[str, Stateful] = {
            "model": self.model,
            "optimizer": self.optimizer,
            "scaler": self.precision.scaler,
        }
        return parts if self.averaging is None else {**parts, "averaging": self.averaging}

    def run(
        self, resume: ResumeFile, history: Path, tensorboard: str | Path | None = None
    ) -> TrainingState:
        """Train to the end, from where `resume` stands; leave the best weights in the model.

        `history`, and event files in `tensorboard`, are written after every epoch. Raises
        `InputError` if the training diverges or a caption is too long for the model.
        """
        for clips in [self.clips, *([self.held_out.clips] if self.held_out else [])]:
            try_longest_caption(self.judged, clips, self.vocabulary, self.precision)
        state = resume.load(self._parts)
        self._write(state, history, tensorboard)
        with Progress(self._n_batches_left(state), "Training", "batch") as progress:
            if self._begins(state):
                self._judge_start(state, progress)
                self._save(state, resume)
                self._write(state, history, tensorboard)
            while not self._finished(state):
                rate = self._train_epoch(state, resume, progress)
                started = time.monotonic()
                scores = self._scores(state.epoch, progress)
                self._close_epoch(state, scores, rate, time.monotonic() - started)
                if SAVE_SHARE * (time.monotonic() - self._saved_at) >= self._save_s:
                    self._save(state, resume)
                self._write(state, history, tensorboard)
        self.model.load_state_dict(state.best_weights or self.judged.state_dict())
        return state

    def _save(self, state: TrainingState, resume: ResumeFile) -> None:
        started = time.monotonic()
        if self.rank == 0:
            resume.save(state, self._parts)
        self._saved_at = time.monotonic()
        self._save_s = self._saved_at - started

    def _write(self, state: TrainingState, history: Path, tensorboard: str | Path | None) -> None:
        if self.rank:
            return
        write_history(history, state.history)
        if tensorboard is not None:
            write_events(tensorboard, state.history)

    def _begins(self, state: TrainingState) -> bool:
        """Say whether a trained model is still to be judged as it came."""
        return self.from_trained and self.held_out is not None and not state.history

    def _judge_start(self, state: TrainingState, progress: Progress) -> None:
        """Score the model that the training starts from: the best until an epoch is better."""
        started = time.monotonic()
        scores = self._scores(0, progress)
        self._judge(state, 0, scores)
        self._record(state, {"epoch": 0, **scores, "seconds": time.monotonic() - started})

    def _finished(self, state: TrainingState) -> bool:
        done = state.epoch - 1
        return done == self.training["epochs"] or self.stopping.exhausted(done, state.best_epoch)

    def _plan_training(self, epoch: int) -> list[Pairs]:
        generator = numpy_generator(self.seed, Purpose.ORDER, epoch)
        return plan_training(self.clips, self.training, generator)

    def _n_batches_left(self, state: TrainingState) -> int:
        per_epoch = len(self._plan_training(1))
        if self.held_out is not None:
            per_epoch += len(self.held_out.plan(1))
        left = per_epoch * (self.training["epochs"] - state.epoch + 1) - state.n_batches
        return left + (len(self.held_out.plan(0)) if self.held_out and self._begins(state) else 0)

    def _train_epoch(self, state: TrainingState, resume: ResumeFile, progress: Progress) -> float:
        """Take the steps of an epoch that are yet to be taken; give the last learning rate."""
        self.model.train()
        epoch, first = state.epoch, state.n_batches
        plan = self._plan_training(epoch)
        rate = self._set_learning_rates(state, max(first - 1, 0), len(plan))
        batches = load_batches(
            plan[first:],
            lambda index, pairs: self._make_parts(epoch, first + index, pairs),
            self.training["batches_ahead"],
        )
        self.figures.start()
        with closing(batches):
            for parts in batches:
                batch, pairs = state.n_batches, plan[state.n_batches]
                rate = self._set_learning_rates(state, batch, len(plan))
                self._seed_dropout(epoch, batch)
                taken = self.stepper.take(parts, self._generators(epoch, batch, len(parts)))
                if self.averaging is not None:
                    self.averaging.after_step(self.model)
                self.figures.add(state, pairs, taken, len(plan))
                progress.advance(epoch=epoch, loss=f"{state.loss / (state.loss_weight or 1):.4f}")
                if time.monotonic() - self._saved_at >= SAVE_INTERVAL_S:
                    self.figures.read(state, len(plan))
                    self._save(state, resume)
                    self.figures.start()
        self.figures.read(state, len(plan))
        if self.averaging is not None:
            self.averaging.after_epoch(self.model)
        return rate

    def _set_learning_rates(self, state: TrainingState, batch: int, n_batches: int) -> float:
        place = state.epoch, batch, n_batches
        return set_learning_rates(self.optimizer, self.training, state.rate_scale, *place)

    def _seed_dropout(self, epoch: int, batch: int) -> None:
        """Let processes that train together drop out differently, whatever came before."""
        if self.processes is not None:
            place = epoch, batch, self.rank
            torch.manual_seed(torch_seed(self.seed, Purpose.DROPOUT, *place))

    def _make_parts(self, epoch: int, batch: int, pairs: Pairs) -> list[Batch]:
        """Make a training batch, in as many parts as are accumulated.

        Several processes: in that many times their number; of these, this one's share.
        """
        parts = split_pairs(pairs, self.training["accumulate"] * self.n_processes)
        made = [
            make_batch(
                self.clips,
                pairs,
                self.vocabulary,
                self.model.padding,
                encode_once=self.training["batching"] == "clips",
                augment=self._augment(epoch, batch),
                part=part,
            )
            for part in parts[self.rank :: self.n_processes]
        ]
        if self.device.type == "cuda":
            with torch.cuda.device(self.device):  # the thread that makes batches knows no other
                return [part.pin_memory() for part in made]
        return made

    def _augment(self, epoch: int, batch: int) -> Augment | None:
        if self.augmentation is None:
            return None
        generator = numpy_generator(self.seed, Purpose.AUGMENTATION, epoch, batch)
        return partial(self.augmentation.draw, generator)

    def _generators(self, epoch: int, batch: int, n_parts: int) -> list[torch.Generator]:
        return [
            torch_generator(
                self.device,
                self.seed,
                Purpose.SAMPLING,
                epoch,
                batch,
                self.rank + k * self.n_processes,
            )
            for k in range(n_parts)
        ]

    def _scores(self, epoch: int, progress: Progress) -> dict[str, float]:
        """Give the first process's scores of the validation split to all; none without one."""
        if self.held_out is None:
            return {}
        mine = self.held_out.scores(self.judged, epoch, progress) if self.rank == 0 else {}
        return mine if self.processes is None else self.processes.agree(mine)

    def _close_epoch(
        self, state: TrainingState, scores: dict[str, float], rate: float, seconds: float
    ) -> None:
        """Record an epoch, keep its weights if they are the best, and go on to the next."""
        epoch = state.epoch
        self.precision.check(epoch)
        if scores:
            better = self._judge(state, epoch, scores)
            if self.plateau is not None:
                state.rate_scale, state.n_flat = self.plateau.lower(
                    state.rate_scale, state.n_flat, better=better
                )
        else:
            state.best_epoch = epoch
        means = self.figures.means(state)
        seconds += state.seconds
        row = {"epoch": epoch, **means, **scores, "learning_rate": rate, "seconds": seconds}
        self._record(state, row)
        state.begin_epoch()

    def _judge(self, state: TrainingState, epoch: int, scores: dict[str, float]) -> bool:
        """Keep the weights if they are the best so far; say whether they are."""
        check_validation(scores, epoch)
        score = scores[self.stopping.column]
        better = self.stopping.better(score, state.best_score)
        if better:
            state.best_epoch, state.best_score = epoch, score
            state.best_weights = {
                name: value.detach().to("cpu", copy=True)
                for name, value in self.judged.state_dict().items()
            }
        return better

    def _record(self, state: TrainingState, row: dict[str, Any]) -> None:
        """Put an epoch into the history and the log."""
        row["seconds"] = round(row["seconds"], 3)
        state.history.append(row)
        log.info(
            "Epoch %d of %d: %s (best: epoch %d)",
            row["epoch"],
            self.training["epochs"],
            ", ".join(
                f"{name} {value:.4g}"
                for name, value in row.items()
                if name != "epoch" and value is not None
            ),
            state.best_epoch,
        )
