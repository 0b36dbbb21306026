"""The training loop: epochs of steps, validation, early stopping, exact continuation."""

import logging
import math
import time
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import torch

from captioner.errors import InputError
from captioner.job import Progress
from captioner.models.interface import Captioner
from captioner.text.vocabulary import Vocabulary
from captioner.training.augmentation import SpecAugment
from captioner.training.batches import (
    Augment,
    Batch,
    make_batch,
    plan_training,
    plan_validation,
)
from captioner.training.history import write_history
from captioner.training.losses import batch_logits, caption_loss, loss_weight
from captioner.training.optimisation import EarlyStopping, build_optimizer, learning_rate
from captioner.training.resume import ResumeFile, TrainingState
from captioner.training.sources import CaptionedClips, Pairs

SAVE_INTERVAL_S = 300  # within an epoch; what a kill can cost

log = logging.getLogger(__name__)


class Purpose(IntEnum):
    """What a random generator is for: each has its own, made anew from the seed and the place."""

    ORDER = 0
    AUGMENTATION = 1
    VALIDATION = 2


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
    ):
        """Set up a training on the device where the model is.

        Without `validation` there is no early stopping, and the last epoch's weights are kept.
        `means`: front-end -> (F,), the values that SpecAugment leaves where it hides something.
        """
        self.model = model
        self.clips = clips
        self.validation = validation
        self.vocabulary = vocabulary
        self.training = dict(training)
        self.means = means
        self.seed = seed
        self.device = next(model.parameters()).device
        self.optimizer = build_optimizer(model, self.training)
        self.stopping = EarlyStopping(training["patience"], training["minimum_delta"])
        given = training["specaugment"]
        self.specaugment = None if given is None else SpecAugment(**given)
        self.drop_last = training["validation_drop_last"]
        if validation is None:
            log.warning(
                "There is no validation split: no early stopping, all %d epochs run and the last "
                "one's weights are kept",
                training["epochs"],
            )
        elif self.drop_last and len(validation.pairs()) < training["batch_size"]:
            self.drop_last = False
            log.warning(
                "The validation split has %d captions, fewer than a batch (%d): all are used, "
                "though `validation_drop_last` asks to drop the last batch",
                len(validation.pairs()),
                training["batch_size"],
            )

    def run(self, resume: ResumeFile, history: Path) -> TrainingState:
        """Train to the end, from where `resume` stands; leave the best weights in the model.

        `history` is written after every epoch. Raises `InputError` if the training diverges or a
        caption is too long for the model.
        """
        self._try_longest_caption()
        state = resume.load(self.model, self.optimizer)
        write_history(history, state.history)
        with Progress(self._n_batches_left(state), "Training", "batch") as progress:
            while not self._finished(state):
                self._train_epoch(state, resume, progress)
                started = time.monotonic()
                validation_loss = self._validate(state.epoch, progress)
                self._close_epoch(state, validation_loss, time.monotonic() - started)
                resume.save(state, self.model, self.optimizer)
                write_history(history, state.history)
        if state.best_weights:
            self.model.load_state_dict(state.best_weights)
        return state

    def _finished(self, state: TrainingState) -> bool:
        done = state.epoch - 1
        return done == self.training["epochs"] or self.stopping.exhausted(done, state.best_epoch)

    def _generator(self, purpose: Purpose, *place: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, purpose, *place))

    def _plan_training(self, epoch: int) -> list[Pairs]:
        generator = self._generator(Purpose.ORDER, epoch)
        return plan_training(self.clips, self.training, generator)

    def _plan_validation(self, epoch: int) -> list[Pairs]:
        if self.validation is None:
            return []
        generator = self._generator(Purpose.VALIDATION, epoch) if self.drop_last else None
        return plan_validation(self.validation, self.training["batch_size"], generator)

    def _n_batches_left(self, state: TrainingState) -> int:
        per_epoch = len(self._plan_training(1)) + len(self._plan_validation(1))
        return per_epoch * (self.training["epochs"] - state.epoch + 1) - state.n_batches

    def _train_epoch(self, state: TrainingState, resume: ResumeFile, progress: Progress) -> None:
        """Take the steps of an epoch that are yet to be taken."""
        rate = learning_rate(state.epoch, self.training)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        plan = self._plan_training(state.epoch)
        saved = time.monotonic()
        for pairs in plan[state.n_batches :]:
            started = time.monotonic()
            batch = make_batch(
                self.clips,
                pairs,
                self.vocabulary,
                self.model.padding,
                encode_once=self.training["batching"] == "clips",
                augment=self._augment(state.epoch, state.n_batches),
            ).to(self.device)
            loss, norm = self._step(batch)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise self._divergence(state, pairs, len(plan), loss, norm)
            weight = loss_weight(batch, padding_in_loss=self.training["padding_in_loss"])
            state.loss += loss * weight
            state.loss_weight += weight
            state.gradient_norm += norm
            state.n_clips += batch.n_clips
            state.n_batches += 1
            state.seconds += time.monotonic() - started
            progress.advance(epoch=state.epoch, loss=f"{state.loss / state.loss_weight:.4f}")
            if time.monotonic() - saved >= SAVE_INTERVAL_S:
                resume.save(state, self.model, self.optimizer)
                saved = time.monotonic()

    def _step(self, batch: Batch) -> tuple[float, float]:
        """Take one step; give the loss and the gradient's 2-norm before clipping."""
        loss = caption_loss(
            batch_logits(self.model, batch),
            batch.targets,
            batch.n_targets,
            padding_in_loss=self.training["padding_in_loss"],
            label_smoothing=self.training["label_smoothing"],
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(
            self.model.parameters(), self.training["gradient_clip_norm"]
        )
        self.optimizer.step()
        return loss.item(), norm.item()

    def _augment(self, epoch: int, batch: int) -> Augment | None:
        specaugment = self.specaugment
        if specaugment is None:
            return None
        generator = self._generator(Purpose.AUGMENTATION, epoch, batch)
        return lambda frontend, features: specaugment(features, self.means[frontend], generator)

    @torch.no_grad()
    def _validate(self, epoch: int, progress: Progress) -> float | None:
        """Give the cross entropy of the validation split, all captions, without smoothing."""
        if self.validation is None:
            return None
        self.model.eval()
        total, weights = 0.0, 0.0
        for pairs in self._plan_validation(epoch):
            loss, batch = self._loss_of(self.validation, pairs)
            weight = loss_weight(batch, padding_in_loss=self.training["padding_in_loss"])
            total += loss * weight
            weights += weight
            progress.advance()
        return total / weights

    def _loss_of(self, clips: CaptionedClips, pairs: Pairs) -> tuple[float, Batch]:
        batch = make_batch(clips, pairs, self.vocabulary, self.model.padding, encode_once=True)
        batch = batch.to(self.device)
        loss = caption_loss(
            batch_logits(self.model, batch),
            batch.targets,
            batch.n_targets,
            padding_in_loss=self.training["padding_in_loss"],
        )
        return loss.item(), batch

    @torch.no_grad()
    def _try_longest_caption(self) -> None:
        """Let a model that cannot predict captions of this length say so before hours of work."""
        self.model.eval()
        for clips in filter(None, (self.clips, self.validation)):
            pairs = clips.pairs()
            longest = max(pairs, key=lambda pair: len(clips.captions[pair[0]][pair[1]]))
            self._loss_of(clips, longest[None])

    def _close_epoch(
        self, state: TrainingState, validation_loss: float | None, seconds: float
    ) -> None:
        """Record an epoch, keep its weights if they are the best, and go on to the next."""
        epoch = state.epoch
        if validation_loss is None:
            state.best_epoch = epoch
        elif not math.isfinite(validation_loss):
            raise InputError(
                f"training diverged: the validation loss of epoch {epoch} is {validation_loss}, "
                f"expected a finite number. {_REMEDY}"
            )
        elif self.stopping.better(validation_loss, state.best_loss):
            state.best_epoch, state.best_loss = epoch, validation_loss
            state.best_weights = {
                name: value.detach().cpu().clone()
                for name, value in self.model.state_dict().items()
            }
        row = {
            "epoch": epoch,
            "training_loss": state.loss / state.loss_weight,
            "validation_loss": validation_loss,
            "learning_rate": learning_rate(epoch, self.training),
            "seconds": round(state.seconds + seconds, 3),
            "clips_per_s": round(state.n_clips / state.seconds, 3),
            "gradient_norm": state.gradient_norm / state.n_batches,
        }
        log.info(
            "Epoch %d of %d: training loss %.4f, validation loss %s (best: epoch %d), "
            "learning rate %.3g, %.1f s, %.1f clips/s",
            epoch,
            self.training["epochs"],
            row["training_loss"],
            "-" if validation_loss is None else f"{validation_loss:.4f}",
            state.best_epoch,
            row["learning_rate"],
            row["seconds"],
            row["clips_per_s"],
        )
        state.history.append(row)
        state.epoch += 1
        state.n_batches = state.n_clips = 0
        state.loss = state.loss_weight = state.gradient_norm = state.seconds = 0.0

    def _divergence(
        self, state: TrainingState, pairs: Pairs, n_batches: int, loss: float, norm: float
    ) -> InputError:
        names = sorted({self.clips.names[clip] for clip in pairs[:, 0]})
        return InputError(
            f"training diverged in epoch {state.epoch}, batch {state.n_batches + 1} of "
            f"{n_batches}: found a loss of {loss} and a gradient norm of {norm}, expected finite "
            f"numbers. {_REMEDY} The clips of the batch: {', '.join(map(repr, names))}."
        )


_REMEDY = (
    "Lower `training: learning_rate` or `gradient_clip_norm`, and look at the checks of the data "
    "for clips with extreme values."
)
