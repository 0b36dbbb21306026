import copy

import pytest
import torch
from torch import nn

from captioner.training.averaging import build_averaging


def model_of():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))


def wander(model, generator):
    """Change weights and buffers as a step would."""
    with torch.no_grad():
        for weights in model.parameters():
            weights += torch.randn(weights.shape, generator=generator)
    model[1].running_mean += 1
    model[1].num_batches_tracked += 1


def train(model, averaging, n_epochs, n_steps, seed=0):
    """Give the weights after every step, by epoch."""
    generator = torch.Generator().manual_seed(seed)
    weights = []
    for _ in range(n_epochs):
        weights.append([])
        for _ in range(n_steps):
            wander(model, generator)
            averaging.after_step(model)
            weights[-1].append([value.detach().clone() for value in model.parameters()])
        averaging.after_epoch(model)
    return weights


def test_none():
    assert build_averaging(model_of(), None) is None


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_ema_against_plain_arithmetic(decay):
    model = model_of()
    first = [value.detach().clone() for value in model.parameters()]
    averaging = build_averaging(model, {"kind": "ema", "decay": decay})
    steps = [values for epoch in train(model, averaging, 2, 6) for values in epoch]
    for place, mean in enumerate(averaging.model.parameters()):
        expected = first[place].double()
        for n, values in enumerate(steps, start=1):
            kept = min(decay, (1 + n) / (10 + n))
            expected = kept * expected + (1 - kept) * values[place].double()
        assert torch.allclose(mean.double(), expected, atol=1e-5)
        assert not torch.allclose(mean, list(model.parameters())[place], atol=1e-2)


@pytest.mark.parametrize("n", [1, 3])
def test_mean_of_the_last_epochs(n):
    for n_epochs in (1, 2, 5):
        model = model_of()
        averaging = build_averaging(model, {"kind": "last_epochs", "n": n})
        ends = [epoch[-1] for epoch in train(model, averaging, n_epochs, 2)][-n:]
        for mean, *values in zip(averaging.model.parameters(), *ends, strict=True):
            assert torch.allclose(mean, sum(values) / len(ends), atol=1e-6)
        if n == 1:
            assert all(map(torch.equal, averaging.model.parameters(), model.parameters()))


SETTINGS = [{"kind": "ema", "decay": 0.9}, {"kind": "last_epochs", "n": 2}]


@pytest.mark.parametrize("settings", SETTINGS)
def test_buffers_are_the_newest_and_the_trained_model_is_left_alone(settings):
    model, alone = model_of(), model_of()
    averaging = build_averaging(model, settings)
    train(model, averaging, 3, 2)
    train(alone, build_averaging(alone, {"kind": "ema", "decay": 0.1}), 3, 2)
    assert_equal(model, alone)
    for mean, newest in zip(averaging.model.buffers(), model.buffers(), strict=True):
        assert torch.equal(mean, newest)
    assert averaging.model[1].num_batches_tracked == 6
    assert not any(weights.requires_grad for weights in averaging.model.parameters())
    assert not averaging.model.training and model.training


def assert_equal(these, those):
    assert all(map(torch.equal, these.state_dict().values(), those.state_dict().values()))


@pytest.mark.parametrize("settings", SETTINGS)
def test_goes_on_exactly(settings, tmp_path):
    model = model_of()
    whole = build_averaging(model, settings)
    train(model, whole, 2, 3)
    torch.save(whole.state_dict(), tmp_path / "state.pt")
    continued = build_averaging(model_of(), settings)
    continued.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert_equal(whole.model, continued.model)
    other = copy.deepcopy(model)
    train(model, whole, 2, 3, seed=1)
    train(other, continued, 2, 3, seed=1)
    assert_equal(whole.model, continued.model)
