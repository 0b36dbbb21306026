import math

import pytest
import torch
from training_corpus import TRAINING

from captioner.training.optimisation import build_optimizer
from captioner.training.schedules import EarlyStopping, learning_rate


def rates(**changed):
    training = TRAINING | {"learning_rate": 0.1, "epochs": 10} | changed
    return [learning_rate(0.1, training, epoch) for epoch in range(1, training["epochs"] + 1)]


def test_constant():
    assert rates() == [0.1] * 10


def test_warmup_then_constant():
    assert rates(warmup_epochs=4) == pytest.approx([0.025, 0.05, 0.075, *[0.1] * 7])


def test_warmup_then_cosine():
    cosine = [0.05 * (1 + math.cos(math.pi * k / 8)) for k in range(8)]
    assert rates(warmup_epochs=2, schedule="cosine") == pytest.approx([0.05, 0.1, *cosine])
    assert cosine[0] == 0.1 and min(cosine) > 0


def test_warmup_of_part_of_an_epoch_or_longer_than_the_training():
    assert max(rates(warmup_epochs=1.5, schedule="cosine")) == 0.1
    assert rates(warmup_epochs=20, schedule="cosine")[-1] == pytest.approx(0.05)


def test_weight_decay_on_matrices_only():
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
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
    model = torch.nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    model.weight.grad = torch.full((2, 3), 7.0)
    before = model.weight.detach().clone()
    build_optimizer(model, TRAINING | {"learning_rate": 0.01}).step()
    assert torch.allclose(model.weight, before - 0.01, atol=1e-6)


def run(losses, patience, minimum_delta):
    """Give the best epoch and the last one."""
    stopping = EarlyStopping(patience, minimum_delta)
    best_epoch, best_loss = 0, None
    for epoch, loss in enumerate(losses, start=1):
        if stopping.better(loss, best_loss):
            best_epoch, best_loss = epoch, loss
        if stopping.exhausted(epoch, best_epoch):
            break
    return best_epoch, epoch


def test_patience():
    assert run([3, 2, 2.5, 2.4, 2.3, 1.0], 3, 0.0) == (2, 5)
    assert run([3, 2, 2.5, 2.4, 2.3, 1.0], 4, 0.0) == (6, 6)
    assert run([3, 3, 3], 1, 0.0) == (1, 2)  # equal is no improvement


def test_minimum_delta():
    slow = [1 - 0.01 * k for k in range(10)]
    assert run(slow, 3, 0.0) == (10, 10)
    assert run(slow, 3, 0.5) == (1, 4)
    assert run(slow, 3, 0.025) == (10, 10)  # small steps add up: epochs 4, 7 and 10
