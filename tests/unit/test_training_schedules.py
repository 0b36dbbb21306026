import math

import pytest
import torch
from training_corpus import TRAINING

from captioner.training.schedules import EarlyStopping, Plateau, learning_rate


def rates(**changed):
    training = TRAINING | {"epochs": 10} | changed
    return [learning_rate(0.1, training, epoch) for epoch in range(1, training["epochs"] + 1)]


def rates_by_step(n_batches, **changed):
    training = TRAINING | {"schedule_step": "step"} | changed
    return [
        learning_rate(0.1, training, epoch, batch, n_batches)
        for epoch in range(1, training["epochs"] + 1)
        for batch in range(n_batches)
    ]


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
    assert rates(warmup_epochs=10, schedule="cosine")[-1] == 0.1


def test_by_step_an_epoch_of_one_batch_is_a_step():
    course = {"warmup_epochs": 3, "schedule": "cosine"}
    by_epoch = rates(epochs=12, **course)
    assert rates_by_step(1, epochs=12, **course) == by_epoch
    by_step = rates_by_step(3, epochs=4, **course | {"warmup_epochs": 1})
    assert by_step == pytest.approx(by_epoch)
    assert rates_by_step(4, epochs=2, warmup_epochs=1.5)[:6] == pytest.approx(
        [0.1 * k / 6 for k in range(1, 7)]
    )


def test_by_epoch_steps_do_not_count():
    training = TRAINING | {"epochs": 10, "schedule": "cosine", "warmup_epochs": 2}
    assert {learning_rate(0.1, training, 5, batch, 7) for batch in range(7)} == {
        learning_rate(0.1, training, 5)
    }


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("n_warmup", [0, 4])
def test_against_pytorch(schedule, n_warmup):
    """Warm-up and half cosine as PyTorch's own schedulers chain them."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    linear = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda k: min(1, (k + 1) / max(n_warmup, 1))
    )
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20 - n_warmup)
    found = []
    for step in range(20):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step + 1 < n_warmup:
            linear.step()
        elif schedule == "cosine" and step >= n_warmup:
            cosine.step()
    assert rates_by_step(
        5, epochs=4, schedule=schedule, warmup_epochs=n_warmup / 5
    ) == pytest.approx(found)


LOSSES = [3, 2, 2.5, 2.4, 2.3, 2.2, 1.9, 1.95, 1.99, 2.0, 1.91, 1.5, 1.6]


@pytest.mark.parametrize("patience", [1, 2, 3])
@pytest.mark.parametrize("minimum_delta", [0.0, 0.2])
def test_plateau_against_pytorch(patience, minimum_delta):
    """PyTorch lowers after more than its patience of flat epochs, we after ours."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=patience - 1, threshold=minimum_delta, threshold_mode="abs"
    )
    plateau, stopping = Plateau(0.5, patience), EarlyStopping(99, minimum_delta)
    scale, n_flat, best = 1.0, 0, None
    for loss in LOSSES:
        theirs.step(loss)
        better = stopping.better(loss, best)
        best = loss if better else best
        scale, n_flat = plateau.lower(scale, n_flat, better=better)
        assert scale == optimizer.param_groups[0]["lr"]
    assert scale < 1


def run(scores, patience, minimum_delta, monitor="loss"):
    """Give the best epoch and the last one."""
    stopping = EarlyStopping(patience, minimum_delta, monitor)
    best_epoch, best = 0, None
    for epoch, score in enumerate(scores, start=1):
        if stopping.better(score, best):
            best_epoch, best = epoch, score
        if stopping.exhausted(epoch, best_epoch):
            break
    return best_epoch, epoch


@pytest.mark.parametrize("monitor, sign", [("loss", 1), ("cider", -1), ("spider", -1)])
def test_patience_and_minimum_delta(monitor, sign):
    def signed(scores, *given):
        return run([sign * score for score in scores], *given, monitor)

    assert EarlyStopping(1, 0, monitor).column == f"validation_{monitor}"
    assert signed([3, 2, 2.5, 2.4, 2.3, 1.0], 3, 0.0) == (2, 5)
    assert signed([3, 2, 2.5, 2.4, 2.3, 1.0], 4, 0.0) == (6, 6)
    assert signed([3, 3, 3], 1, 0.0) == (1, 2)  # equal is no improvement
    slow = [1 - 0.01 * k for k in range(10)]
    assert signed(slow, 3, 0.0) == (10, 10)
    assert signed(slow, 3, 0.5) == (1, 4)
    assert signed(slow, 3, 0.025) == (10, 10)  # small steps add up: epochs 4, 7 and 10


def test_a_first_score_of_zero_is_the_best_so_far():
    assert run([0.0, 0.0, 0.1], 5, 0.5, "cider") == (1, 3)
