import pytest
import torch
from torch import nn
from training_corpus import TRAINING

from captioner.errors import InputError
from captioner.training.optimisation import build_optimizer, freeze_parts, set_learning_rates


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.ModuleDict(
            {"first": nn.Linear(3, 2), "norm": nn.BatchNorm1d(2), "last": nn.Linear(2, 2)}
        )
        self.decoder = nn.Linear(2, 2)
        self.decoder2 = nn.Linear(2, 2)


def test_weight_decay_on_matrices_only():
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    model[0].weight.grad = torch.zeros(2, 3)
    for parameter in (model[0].bias, *model[1].parameters()):
        parameter.grad = torch.zeros(2)
    before = {name: value.clone() for name, value in model.named_parameters()}
    training = TRAINING | {"optimizer": "adamw", "weight_decay": 0.5, "learning_rate": 0.1}
    build_optimizer(model, training).step()
    for name, value in model.named_parameters():
        expected = before[name] * (0.95 if name == "0.weight" else 1)  # 1 - 0.1 * 0.5
        assert torch.allclose(value, expected), name


def test_adam_takes_steps_of_the_learning_rate_and_leaves_frozen_weights():
    model = nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    model.weight.grad = torch.full((2, 3), 7.0)
    before = model.weight.detach().clone()
    build_optimizer(model, TRAINING | {"learning_rate": 0.01}).step()
    assert torch.allclose(model.weight, before - 0.01, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_betas_and_decay_against_plain_arithmetic(optimizer):
    beta_1, beta_2, decay, rate = 0.7, 0.95, 0.3, 0.01
    model = nn.Linear(2, 1, bias=False)
    weights = model.weight.detach().clone().double()
    mean, square = torch.zeros_like(weights), torch.zeros_like(weights)
    training = {"optimizer": optimizer, "betas": [beta_1, beta_2], "weight_decay": decay}
    built = build_optimizer(model, TRAINING | training | {"learning_rate": rate})
    for step in range(1, 5):
        gradient = torch.tensor([[0.1, -2.0]]) * step
        model.weight.grad = gradient.clone()
        built.step()
        if optimizer == "adam":
            gradient = gradient + decay * weights  # L2
        else:
            weights = weights - rate * decay * weights
        mean = beta_1 * mean + (1 - beta_1) * gradient
        square = beta_2 * square + (1 - beta_2) * gradient**2
        unbiased = (square / (1 - beta_2**step)).sqrt() + 1e-8
        weights = weights - rate * mean / (1 - beta_1**step) / unbiased
    assert torch.allclose(model.weight.double(), weights, atol=1e-6)


def rates_of(model, optimizer):
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        names[parameter]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def test_learning_rates_of_parts():
    model = Model()
    own = {"encoder": 1e-4, "encoder.last": 1e-3, "decoder.bias": 0.2}
    training = TRAINING | {
        "optimizer": "adamw",
        "weight_decay": 0.5,
        "learning_rate": 0.1,
        "learning_rates": own,
        "schedule": "cosine",
        "epochs": 10,
    }
    optimizer = build_optimizer(model, training)
    peaks = {
        "encoder.first.weight": (1e-4, 0.5),
        "encoder.first.bias": (1e-4, 0.0),
        "encoder.norm.weight": (1e-4, 0.0),
        "encoder.norm.bias": (1e-4, 0.0),
        "encoder.last.weight": (1e-3, 0.5),  # the longest name counts
        "encoder.last.bias": (1e-3, 0.0),
        "decoder.weight": (0.1, 0.5),
        "decoder.bias": (0.2, 0.0),
        "decoder2.weight": (0.1, 0.5),  # `decoder` is another part
        "decoder2.bias": (0.1, 0.0),
    }
    assert rates_of(model, optimizer) == peaks
    # Half-way through, and lowered on a plateau.
    assert set_learning_rates(optimizer, training, 0.1, 6, 3, 7) == pytest.approx(0.1 * 0.05)
    for name, (rate, _) in rates_of(model, optimizer).items():
        assert rate == pytest.approx(0.1 * peaks[name][0] / 2), name


def test_a_part_with_a_rate_of_zero_is_frozen():
    model = Model()
    training = TRAINING | {"learning_rates": {"encoder": 0.0, "encoder.last": 1e-3}}
    freeze_parts(model, training)
    trains = {name for name, weights in model.named_parameters() if weights.requires_grad}
    assert not {name for name in trains if name.startswith(("encoder.first", "encoder.norm"))}
    assert {name.split(".")[0] for name in trains} == {"encoder", "decoder", "decoder2"}
    assert rates_of(model, build_optimizer(model, training)).keys() == trains


@pytest.mark.parametrize("name", ["encode", "encoder.", "decoder.weights", ""])
def test_an_unknown_part_is_named(name):
    for function in (build_optimizer, freeze_parts):
        with pytest.raises(InputError, match=rf"found '{name}', .* decoder, decoder2, encoder, or"):
            function(Model(), TRAINING | {"learning_rates": {name: 1e-3}})


def test_names_of_parts_all_of_which_have_longer_names_are_no_error():
    training = TRAINING | {
        "learning_rates": {"decoder": 1.0, "decoder.weight": 2.0, "decoder.bias": 3.0}
    }
    rates = rates_of(model := Model(), build_optimizer(model, training))
    assert rates["decoder.weight"][0] == 2.0 and rates["decoder.bias"][0] == 3.0
