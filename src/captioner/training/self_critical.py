"""Self-critical sequence training: captions that the model samples, weighed by their scores.

Rennie et al., "Self-critical sequence training for image captioning" (CVPR 2017): the gradient of
the expected reward is the mean of (reward - baseline) * gradient of log p(caption), the baseline
being the reward of the greedy caption; or of a clip's other samples (leave-one-out: Kool et al.,
"Buy 4 REINFORCE samples, get a baseline for free!", 2019; Luo, "A better variant of self-critical
sequence training", 2020).

The policy is the model as it decodes: without dropout, in sampling and in the log-probabilities
alike, so that both are of the same distribution; without special tokens; and after `max_length`
words only the end remains, which then has probability 1.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from captioner.errors import InputError
from captioner.models.interface import Captioner, Memory
from captioner.text.vocabulary import Vocabulary
from captioner.training.batches import Batch
from captioner.training.losses import IGNORED, Loss
from captioner.training.rewards import CaptionReward
from captioner.training.sources import CaptionedClips


@dataclass(frozen=True, kw_only=True)
class Reinforcement:
    """The settings `training: self_critical`; `InputError` for values that contradict."""

    reward: Mapping[str, float] = field(default_factory=lambda: {"cider": 1.0})  # name -> weight
    baseline: Literal["greedy", "leave_one_out"] = "greedy"
    samples: int = 1  # captions per clip
    temperature: float = 1.0  # of the policy: logits are divided by it
    max_length: int = 30  # words

    def __post_init__(self) -> None:
        if self.baseline == "leave_one_out" and self.samples < 2:
            raise InputError(
                f"training: self_critical: found {self.samples} sample per clip with the baseline "
                "leave_one_out, expected at least 2. Sample more, or take the greedy baseline."
            )


class SelfCritical:
    """The expected reward of sampled captions, negated (an `Objective`).

    The captions of a batch are not looked at: each clip that it encodes has its samples. A value is
    a mean over clips and samples; its gradient is the estimate of that of the negated expected
    reward, and itself it says little. Facts: `reward` of the samples, `baseline_reward`, and
    `length`, the samples' mean number of words.
    """

    def __init__(self, clips: CaptionedClips, vocabulary: Vocabulary, training: Mapping[str, Any]):
        """Tokenise the references of all `clips`; `InputError` for settings that contradict."""
        self.settings = Reinforcement(**training["self_critical"])
        self._starts = clips.starts
        self._eos = vocabulary.eos
        self._forbidden = torch.tensor(vocabulary.unspoken, dtype=torch.int64)
        self._reward = CaptionReward(clips.texts, vocabulary, self.settings.reward)
        self._tried = False  # whether the model can say captions of `max_length`

    def __call__(self, model: Captioner, batch: Batch, generator: torch.Generator) -> Loss:
        """Sample captions of each clip, and give the loss with its graph."""
        k = self.settings.samples
        with without_dropout(model):
            memory = model.encode(batch.features, batch.n_frames)
            starts = torch.tensor([self._starts[clip] for clip in batch.clips])
            starts = starts.to(memory.values.device)
            self._forbidden = self._forbidden.to(starts.device)
            if not self._tried:
                self._try_longest_caption(model, memory, starts)
            said = self._roll_out(model, memory, starts, generator)  # (B, k or k + 1, L)
            rewards, lengths = self._judge(batch.clips, said)
            samples = said[:, :k]
            minus_log_p = self._minus_log_p(model, memory, starts, samples.flatten(0, 1))
        if self.settings.baseline == "greedy":
            baseline = rewards[:, k:].expand(-1, k)
        else:
            others = rewards.sum(dim=1, keepdim=True) - rewards
            baseline = others / (k - 1)
        advantage = (rewards[:, :k] - baseline).to(minus_log_p)
        facts = {
            "reward": rewards[:, :k].mean().item(),
            "baseline_reward": baseline.mean().item(),
            "length": lengths[:, :k].mean().item(),
        }
        return Loss((advantage.flatten() * minus_log_p).mean(), len(batch.clips), facts)

    @torch.compiler.disable
    @torch.no_grad()
    def _try_longest_caption(self, model: Captioner, memory: Memory, starts: Tensor) -> None:
        """Let a model that cannot say captions of this length say so at the first step."""
        tokens = starts[:, None].expand(-1, self.settings.max_length)
        try:
            model(memory, model.embed(tokens))
        except InputError as error:
            raise InputError(
                f"training: self_critical: max_length: found {self.settings.max_length}, more than "
                f"the model can say; lower it ({error})."
            ) from error
        self._tried = True

    def _policy_logits(self, logits: Tensor) -> Tensor:
        """Give the policy's logits (..., V) in float32 from the model's."""
        logits = logits.float() / self.settings.temperature
        return logits.index_fill(-1, self._forbidden, -torch.inf)

    @torch.compiler.disable
    @torch.no_grad()
    def _roll_out(
        self, model: Captioner, memory: Memory, starts: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Sample (B, k, L) int64; with a greedy baseline (B, k + 1, L), the greedy caption last.

        What follows a caption is `<eos>`.
        """
        settings = self.settings
        greedy = settings.baseline == "greedy"
        n_clips, n_rows = len(starts), settings.samples + greedy
        state = model.start(memory, starts[:, None], n_rows)
        last = starts.repeat_interleave(n_rows)
        ended = torch.zeros_like(last, dtype=torch.bool)
        # All random numbers at once: one transfer if the generator is of another device.
        size = (settings.max_length, len(last), 1)
        uniform = torch.rand(size, generator=generator, device=generator.device).to(last.device)
        said = []
        for numbers in uniform:
            logits, state = model.step(state, last)
            logits = self._policy_logits(logits)
            last = _draw(logits, numbers)
            if greedy:
                best = logits.view(n_clips, n_rows, -1)[:, -1].argmax(dim=1)
                last.view(n_clips, n_rows)[:, -1] = best
            last = last.masked_fill(ended, self._eos)
            said.append(last)
            ended = ended | (last == self._eos)
            if ended.all():
                break
        # Weights that autocast has cast here have no gradient: older versions of PyTorch would take
        # them for the pass that needs one (its issue 112583).
        torch.clear_autocast_cache()
        return torch.stack(said, dim=1).view(n_clips, n_rows, -1)

    @torch.compiler.disable
    def _judge(self, clips: list[int], said: Tensor) -> tuple[Tensor, Tensor]:
        """Give the rewards and the numbers of words of captions (B, n, L), each (B, n)."""
        n_clips, n_rows, _ = said.shape
        lengths = (said != self._eos).sum(dim=2).cpu()
        captions = [
            words[:length]
            for words, length in zip(
                said.flatten(0, 1).tolist(), lengths.flatten().tolist(), strict=True
            )
        ]
        rewards = self._reward([clip for clip in clips for _ in range(n_rows)], captions)
        return torch.from_numpy(rewards).view(n_clips, n_rows), lengths.double()

    def _minus_log_p(
        self, model: Captioner, memory: Memory, starts: Tensor, samples: Tensor
    ) -> Tensor:
        """Give -log p (N,) of captions (N, L), their end included unless it was forced."""
        n_per_clip = len(samples) // len(starts)
        first = starts.repeat_interleave(n_per_clip)[:, None]
        tokens = torch.cat([first, samples[:, :-1]], dim=1)
        ended = (samples == self._eos).cumsum(dim=1) > 1  # behind the first <eos>
        logits = self._policy_logits(model(memory, model.embed(tokens)))
        targets = samples.masked_fill(ended, IGNORED)
        each = functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
        )
        return each.view(samples.shape).sum(dim=1)


@contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """Switch dropout off, and all else that training mode changes, and restore it.

    Recurrent layers stay in training mode, without their own dropout: cuDNN has no backward pass
    outside of it.
    """
    modes = {module: module.training for module in model.modules()}
    recurrent = {module: module.dropout for module in modes if isinstance(module, nn.RNNBase)}
    model.eval()
    for layer in recurrent:
        layer.training, layer.dropout = True, 0.0
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for layer, dropout in recurrent.items():
            layer.dropout = dropout


def _draw(logits: Tensor, numbers: Tensor) -> Tensor:
    """Draw a token (N,) from each row of logits (N, V) by a uniform number (N, 1) in [0, 1)."""
    cumulative = logits.softmax(dim=1).cumsum(dim=1)
    total = cumulative[:, -1:].contiguous()
    passed = torch.searchsorted(cumulative, numbers * total, right=True)
    last_possible = torch.searchsorted(cumulative, total)  # should rounding reach the total
    return torch.minimum(passed, last_possible)[:, 0]
