"""Self-critical training against exhaustive sums over all captions of a toy policy."""

import csv
from dataclasses import dataclass, replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_models_contract import EOS, N_TOKENS, SOS, build, random_clips
from torch import nn
from training_corpus import TRAINING, make_corpus, make_settings

from captioner.errors import InputError
from captioner.models.interface import Memory
from captioner.models.registry import FAMILIES
from captioner.training import self_critical
from captioner.training.self_critical import Reinforcement, SelfCritical, without_dropout
from captioner.training.settings import check_training
from captioner.training.train import train_system

UNK, A, B = 2, 3, 4  # with SOS and EOS, the toy's tokens
MAX_LENGTH = 2
CAPTIONS = [words for n in range(MAX_LENGTH + 1) for words in product((A, B), repeat=n)]
VOCABULARY = SimpleNamespace(eos=EOS, unspoken=[SOS, UNK])


class Toy(nn.Module):
    """A policy whose next word depends on the clip and on the last word, by one logit each."""

    def __init__(self, n_clips=2, n_tokens=5):
        super().__init__()
        torch.manual_seed(3)
        self.table = nn.Parameter(torch.randn(n_clips, n_tokens, n_tokens, dtype=torch.float64))

    def encode(self, features, n_frames):
        clips = features["x"]
        return Memory(clips, torch.ones(clips.shape[:2], dtype=torch.bool))

    def embed(self, tokens):
        return nn.functional.one_hot(tokens, self.table.shape[-1]).double()

    def forward(self, memory, embedded):
        clips = memory.values[:, 0, 0].long().repeat_interleave(len(embedded) // len(memory.values))
        return embedded @ self.table[clips]

    def start(self, memory, prefix, n_beams):
        return memory.values[:, 0, 0].long().repeat_interleave(n_beams)

    def step(self, state, tokens):
        return self.table[state, tokens], state


@dataclass
class FakeReward:
    """A number for each caption of each clip; a constant one on demand."""

    constant: float | None = None

    def of(self, clip, words):
        if self.constant is not None:
            return self.constant
        return float(np.random.default_rng((clip, *words, 7)).normal())

    def __call__(self, clips, captions):
        return np.array([self.of(clip, words) for clip, words in zip(clips, captions, strict=True)])


@pytest.fixture
def make(monkeypatch):
    """Give a function that builds the objective, with rewards that need no Java."""

    def build_objective(reward=None, vocabulary=VOCABULARY, n_clips=4, **settings):
        monkeypatch.setattr(
            self_critical, "CaptionReward", lambda *arguments: reward or FakeReward()
        )
        clips = SimpleNamespace(texts=[], starts=[SOS] * n_clips)
        settings = {"max_length": MAX_LENGTH, **settings}
        return SelfCritical(clips, vocabulary, {"self_critical": settings})

    return build_objective


def batch_of(clips):
    values = torch.tensor(clips, dtype=torch.float64).view(-1, 1, 1)
    return SimpleNamespace(clips=list(clips), features={"x": values}, n_frames={})


def log_p(toy, clip, words, temperature):
    """The log probability of a caption, from the definition of the policy."""
    total, last = torch.zeros((), dtype=torch.float64), SOS
    for word in (*words, EOS)[:MAX_LENGTH]:  # the end after MAX_LENGTH words is certain
        logits = toy.table[clip, last] / temperature
        possible = torch.tensor([EOS, A, B])
        total = total + logits[word] - logits[possible].logsumexp(0)
        last = word
    return total


def exact_gradient(toy, clips, reward, temperature=1.0):
    """The gradient of the negated expected reward, a mean over clips, by summing over captions."""
    expected = sum(
        log_p(toy, clip, words, temperature).exp() * reward.of(clip, words)
        for clip in clips
        for words in CAPTIONS
    )
    (gradient,) = torch.autograd.grad(-expected / len(clips), toy.table)
    return gradient


def padded(words):
    return [*words, *[EOS] * (MAX_LENGTH - len(words))]


def greedy(toy, clip):
    words, last = [], SOS
    for _ in range(MAX_LENGTH):
        last = max((EOS, A, B), key=lambda token: toy.table[clip, last, token].item())
        if last == EOS:
            break
        words.append(last)
    return tuple(words)


def gradient_of(objective, toy, clips, said):
    """The gradient of the estimate where these captions are sampled."""
    objective._roll_out = lambda *arguments: torch.tensor(said)
    loss = objective(toy, batch_of(clips), torch.Generator())
    (gradient,) = torch.autograd.grad(loss.value, toy.table)
    return gradient


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_expectation_of_one_sample_against_greedy_is_the_exact_gradient(make, temperature):
    toy, reward, clips = Toy(), FakeReward(), [1, 0]
    objective = make(reward, temperature=temperature)
    mean = torch.zeros_like(toy.table)
    for drawn in product(CAPTIONS, repeat=2):
        p = sum(log_p(toy, *each, temperature) for each in zip(clips, drawn, strict=True)).exp()
        said = [
            [padded(words), padded(greedy(toy, clip))]
            for clip, words in zip(clips, drawn, strict=True)
        ]
        mean += p.detach() * gradient_of(objective, toy, clips, said)
    expected = exact_gradient(toy, clips, reward, temperature)
    torch.testing.assert_close(mean, expected, atol=1e-7, rtol=1e-6)
    assert expected.abs().max() > 0.05


def test_expectation_of_leave_one_out_is_the_exact_gradient(make):
    toy, reward = Toy(), FakeReward()
    objective = make(reward, baseline="leave_one_out", samples=2)
    mean = torch.zeros_like(toy.table)
    for drawn in product(CAPTIONS, repeat=2):
        p = sum(log_p(toy, 0, words, 1.0) for words in drawn).exp().detach()
        mean += p * gradient_of(objective, toy, [0], [[padded(words) for words in drawn]])
    expected = exact_gradient(toy, [0], reward)
    torch.testing.assert_close(mean, expected, atol=1e-7, rtol=1e-6)


def test_leave_one_out_takes_the_mean_of_the_others(make):
    """Worked out by hand for three samples of rewards r."""
    toy, reward = Toy(), FakeReward()
    objective = make(reward, baseline="leave_one_out", samples=3)
    drawn = [(A,), (B, A), ()]
    rewards = [reward.of(0, words) for words in drawn]
    value = sum(
        -(own - (sum(rewards) - own) / 2) * log_p(toy, 0, words, 1.0)
        for own, words in zip(rewards, drawn, strict=True)
    )
    (expected,) = torch.autograd.grad(value / 3, toy.table)
    found = gradient_of(objective, toy, [0], [[padded(words) for words in drawn]])
    torch.testing.assert_close(found, expected, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize(
    "settings", [{"samples": 4000}, {"samples": 4000, "baseline": "leave_one_out"}]
)
def test_mean_of_many_samples_nears_the_exact_gradient(make, settings):
    toy, reward, clips = Toy(), FakeReward(), [0, 1]
    loss = make(reward, **settings)(toy, batch_of(clips), torch.Generator().manual_seed(5))
    (found,) = torch.autograd.grad(loss.value, toy.table)
    expected = exact_gradient(toy, clips, reward)
    # Each logit's term has a standard deviation of .5 at most here: .5 / sqrt(4000) = .008.
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0)
    assert expected.abs().max() > 0.05
    mean_reward = sum(
        log_p(toy, clip, words, 1.0).exp().item() * reward.of(clip, words) / 2
        for clip in clips
        for words in CAPTIONS
    )
    assert loss.facts["reward"] == pytest.approx(mean_reward, abs=0.05)
    assert loss.weight == 2


def test_samples_follow_the_policy_and_the_last_row_is_greedy(make):
    toy, n = Toy(), 8000
    objective = make(samples=n, temperature=0.8)
    memory = toy.encode(batch_of([0, 1]).features, {})
    starts = torch.full((2,), SOS)
    said = objective._roll_out(toy, memory, starts, torch.Generator().manual_seed(1))
    assert said.shape == (2, n + 1, MAX_LENGTH)
    for clip in (0, 1):
        rows = [tuple(row) for row in said[clip].tolist()]
        assert rows[-1] == tuple(padded(greedy(toy, clip)))
        assert set(rows) <= {tuple(padded(words)) for words in CAPTIONS}
        for words in CAPTIONS:
            p = log_p(toy, clip, words, 0.8).exp().item()
            share = rows[:n].count(tuple(padded(words))) / n
            assert abs(share - p) < 4.5 * (p * (1 - p) / n) ** 0.5 + 1e-9


def test_equal_rewards_give_no_gradient(make):
    toy = Toy()
    for settings in ({}, {"baseline": "leave_one_out", "samples": 3}):
        objective = make(FakeReward(constant=0.75), **settings)
        loss = objective(toy, batch_of([0, 1]), torch.Generator().manual_seed(0))
        (gradient,) = torch.autograd.grad(loss.value, toy.table)
        assert not gradient.any()
        assert loss.facts["reward"] == loss.facts["baseline_reward"] == 0.75


def test_facts(make):
    toy, reward = Toy(n_clips=4), FakeReward()
    objective = make(reward)
    objective._roll_out = lambda *arguments: torch.tensor(
        [[padded((A, B)), padded((B,))], [padded(()), padded((A,))]]
    )
    facts = objective(toy, batch_of([3, 1]), torch.Generator()).facts
    assert facts == {
        "reward": pytest.approx((reward.of(3, (A, B)) + reward.of(1, ())) / 2),
        "baseline_reward": pytest.approx((reward.of(3, (B,)) + reward.of(1, (A,))) / 2),
        "length": 1.0,
    }


@pytest.fixture(params=FAMILIES)
def model(request):
    """A small system of each family, as a training holds it: with dropout."""
    system = build(request.param).train()
    for module in system.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
    return system


def real_batch(n_clips):
    features, n_frames = random_clips(n_clips)
    return SimpleNamespace(clips=list(range(n_clips)), features=features, n_frames=n_frames)


SYSTEM_VOCABULARY = SimpleNamespace(eos=EOS, unspoken=[SOS])


@torch.no_grad()
def stepwise_log_p(model, batch, said, max_length):
    """The log probabilities (B, n) of captions (B, n, L), fed word by word."""
    n_clips, n, length = said.shape
    rows = said.view(n_clips * n, length)
    prefix = torch.full((n_clips, 1), SOS)
    state = model.start(model.encode(batch.features, batch.n_frames), prefix, n)
    total, last = torch.zeros(len(rows)), prefix[:, 0].repeat_interleave(n)
    ended = torch.zeros(len(rows), dtype=torch.bool)
    for position in range(min(length, max_length)):
        logits, state = model.step(state, last)
        logits = logits.clone()
        logits[:, SOS] = -torch.inf
        last = rows[:, position]
        own = logits.log_softmax(dim=1).gather(1, last[:, None])[:, 0]
        total += own.masked_fill(ended, 0.0)
        ended |= last == EOS
    return total.view(n_clips, n)


def test_log_probabilities_are_those_of_the_sampled_distribution(make, model):
    """Dropout is off in both: the pass over whole captions says what the steps said."""
    length = 6
    objective = make(
        vocabulary=SYSTEM_VOCABULARY, samples=3, baseline="leave_one_out", max_length=length
    )
    batch, starts = real_batch(2), torch.full((2,), SOS)
    with without_dropout(model):
        memory = model.encode(batch.features, batch.n_frames)
        said = objective._roll_out(model, memory, starts, torch.Generator().manual_seed(2))
        found = -objective._minus_log_p(model, memory, starts, said.flatten(0, 1)).view(2, 3)
    expected = stepwise_log_p(model.eval(), batch, said, length)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert said.max() < N_TOKENS
    assert not (said == SOS).any()


def test_a_loss_depends_on_the_generator_alone_and_modes_stay(make, model):
    frozen = next(module for module in model.modules() if isinstance(module, nn.Dropout))
    frozen.eval()
    objective = make(vocabulary=SYSTEM_VOCABULARY, max_length=5)
    losses = [
        objective(model, real_batch(2), torch.Generator().manual_seed(seed)) for seed in (4, 4, 5)
    ]
    assert losses[0].value == losses[1].value
    assert losses[0].value != losses[2].value
    assert model.training
    assert not frozen.training
    assert [module for module in model.modules() if not module.training] == [frozen]


@pytest.mark.parametrize("family", ["conv_transformer", "dcase_baseline"])
def test_gradients_reach_all_parameters_in_half_precision_too(make, family):
    """What autocast keeps from sampling, without gradients, must not be taken for the pass."""
    model = build(family).train()
    objective = make(vocabulary=SYSTEM_VOCABULARY, max_length=5)
    gradients = []
    for enabled in (False, True):
        model.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss = objective(model, real_batch(2), torch.Generator().manual_seed(0))
        loss.value.backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() == dict(model.named_parameters()).keys()
    assert all(gradient.isfinite().all() for gradient in gradients[1].values())


@pytest.mark.slow
def test_a_compiled_step_has_the_same_loss(make):
    model = build("conv_transformer").train()
    objective = make(vocabulary=SYSTEM_VOCABULARY, max_length=5)
    expected = objective(model, real_batch(2), torch.Generator().manual_seed(0))
    compiled = torch.compile(objective.__call__, backend="eager", dynamic=True)
    found = compiled(model, real_batch(2), torch.Generator().manual_seed(0))
    torch.testing.assert_close(found.value, expected.value)
    assert found.facts == expected.facts


def test_recurrent_layers_can_be_trained_by_cudnn():
    """Their training mode stays, and their own dropout is off and comes back."""
    layer = nn.GRU(3, 4, num_layers=2, dropout=0.5, batch_first=True)
    whole = nn.ModuleDict({"gru": layer, "drop": nn.Dropout(0.5)}).train()
    x = torch.randn(2, 5, 3)
    with without_dropout(whole):
        assert layer.training
        assert not whole["drop"].training
        assert torch.equal(layer(x)[0], layer(x)[0])
    assert layer.dropout == 0.5
    assert whole["drop"].training
    assert not torch.equal(layer(x)[0], layer(x)[0])


def test_a_model_of_few_steps_says_so_at_once(make):
    """Not when a long caption happens to be sampled."""
    model = build("dcase_baseline")
    n_steps = model.dims.n_steps
    objective = make(vocabulary=SYSTEM_VOCABULARY, max_length=n_steps + 1)
    with torch.no_grad():
        model.decoder.classifier.bias[EOS] = 100.0  # captions have no word
    with pytest.raises(InputError, match=rf"max_length: found {n_steps + 1}.*lower it.*n_steps"):
        objective(model, real_batch(1), torch.Generator())
    with torch.no_grad():
        model.decoder.classifier.bias[EOS] = -100.0  # captions do not end
    objective = make(vocabulary=SYSTEM_VOCABULARY, max_length=n_steps)
    loss = objective(model, real_batch(1), torch.Generator())
    assert loss.facts["length"] == n_steps


def test_settings_that_contradict(make):
    with pytest.raises(InputError, match=r"1 sample per clip.*at least 2"):
        Reinforcement(baseline="leave_one_out")
    training = TRAINING | {"loss": "self_critical"}
    check_training(training, validated=True)
    for key, value in (("label_smoothing", 0.1), ("mixup", {"alpha": 0.4}), ("word_dropout", 0.1)):
        with pytest.raises(InputError, match=rf"{key}.*self_critical.*Leave it out"):
            check_training(training | {key: value}, validated=True)


def test_reinforcement_improves_cider_over_its_start(tmp_path):
    """A system trained by cross entropy goes on by reward; both are kept at their best CIDEr."""
    job = make_corpus(tmp_path)
    source = replace(job["sources"][0], weight=8.0)  # steps per epoch
    job |= {"sources": [source], "validation": source}
    common = {"batching": "clips", "batch_size": 6, "patience": 100, "monitor": "cider"}
    rows = []
    for stage, training in (
        ("first", {"captions_per_clip": "all", "learning_rate": 5e-3, "epochs": 14}),
        (
            "second",
            {
                "learning_rate": 3e-3,
                "epochs": 6,
                "loss": "self_critical",
                "self_critical": {
                    "reward": {"cider": 1, "bleu_4": 0.5},
                    "baseline": "leave_one_out",
                    "samples": 5,
                    "max_length": 11,
                },
            },
        ),
    ):
        folder = tmp_path / stage
        job |= {"model_folder": folder / "model", "history": folder / "history.csv"}
        train_system(**job, settings=make_settings(**common, **training))
        with job["history"].open(encoding="utf-8", newline="") as file:
            rows.append(list(csv.DictReader(file)))
        job["start"] = folder / "model"
    before, after = (max(float(row["validation_cider"]) for row in stage) for stage in rows)
    assert after > before + 0.3
    rewards = [float(row["reward"]) for row in rows[1][1:]]  # the first row is the start
    assert rewards[-1] > rewards[0]
    assert not any(row["reward"] for row in rows[0])
