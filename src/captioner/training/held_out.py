"""The validation split of a training: its batches, and the scores of a model on them."""

import logging
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import torch
from torch import Tensor

from captioner.job import Progress
from captioner.models.interface import Captioner
from captioner.text.vocabulary import Vocabulary
from captioner.training.batches import Batch, make_batch, plan_validation
from captioner.training.loading import load_batches
from captioner.training.losses import CrossEntropy, Loss, batch_logits
from captioner.training.precision import Precision
from captioner.training.randomness import Purpose, numpy_generator
from captioner.training.sources import CaptionedClips, Pairs
from captioner.training.validation import CaptionScorer

log = logging.getLogger(__name__)


class HeldOut:
    """Scores models by the cross entropy of all captions, without smoothing, and by their own."""

    def __init__(
        self,
        clips: CaptionedClips,
        vocabulary: Vocabulary,
        training: Mapping[str, Any],
        seed: int,
        precision: Precision,
        scorer: CaptionScorer | None,
    ):
        """`training`: the settings; `scorer`: of the captions that a model says, if they count."""
        self.clips = clips
        self._vocabulary = vocabulary
        self._batch_size = training["batch_size"]
        self._ahead = training["batches_ahead"]
        self._seed = seed
        self._precision = precision
        self._scorer = scorer
        self._loss = CrossEntropy(training["padding_in_loss"])
        n_captions = len(clips.pairs())
        self._drop_last = training["validation_drop_last"] and n_captions >= self._batch_size
        if training["validation_drop_last"] and not self._drop_last:
            log.warning(
                "The validation split has %d captions, fewer than a batch (%d): all are used, "
                "though `validation_drop_last` asks to drop the last batch",
                n_captions,
                self._batch_size,
            )

    def plan(self, epoch: int) -> list[Pairs]:
        """Give the batches of an epoch's validation."""
        generator = numpy_generator(self._seed, Purpose.VALIDATION, epoch)
        shuffle_and_drop = generator if self._drop_last else None
        return plan_validation(self.clips, self._batch_size, shuffle_and_drop)

    @torch.no_grad()
    def scores(self, model: Captioner, epoch: int, progress: Progress) -> dict[str, float]:
        """Give the scores of a model after an epoch, by the history's columns."""
        model.eval()
        losses: list[Tensor] = []
        weights: list[float] = []
        batches = load_batches(
            self.plan(epoch),
            lambda _, pairs: make_batch(
                self.clips, pairs, self._vocabulary, model.padding, encode_once=True
            ),
            self._ahead,
        )
        with closing(batches):
            for batch in batches:
                found = self.loss(model, batch)
                losses.append(found.value)
                weights.append(found.weight)
                progress.advance()
        values = torch.stack(losses).tolist()
        total = sum(value * weight for value, weight in zip(values, weights, strict=True))
        scores = {"validation_loss": total / sum(weights)}
        if self._scorer is not None:
            with self._precision.autocast():  # it encodes the clips that no batch had
                said = self._scorer.result()
            scores |= {f"validation_{name}": value for name, value in said.items()}
        return scores

    def loss(self, model: Captioner, batch: Batch) -> Loss:
        """Give the loss of a batch; let its clips, encoded once, be captioned too."""
        batch = batch.to(next(model.parameters()).device)
        with self._precision.autocast():
            memory = model.encode(batch.features, batch.n_frames)
            if self._scorer is not None:
                self._scorer.add(model, memory, batch.clips)
            return self._loss.of_memory(model, memory, batch)


@torch.no_grad()
def try_longest_caption(
    model: Captioner, clips: CaptionedClips, vocabulary: Vocabulary, precision: Precision
) -> None:
    """Let a model that cannot predict captions of this length say so before hours of work."""
    model.eval()
    pairs = clips.pairs()
    longest = max(pairs, key=lambda pair: len(clips.captions[pair[0]][pair[1]]))
    batch = make_batch(clips, longest[None], vocabulary, model.padding, encode_once=True)
    with precision.autocast():
        batch_logits(model, batch.to(next(model.parameters()).device))
