import math

import numpy as np
import pytest
import torch

from captioner.errors import InputError
from captioner.training import figures
from captioner.training.figures import Figures
from captioner.training.resume import TrainingState
from captioner.training.step import Taken


class Clips:
    names = ("a.wav", "b.wav", "c.wav", "d.wav")


def pairs(*clips):
    return np.array([[clip, 0] for clip in clips])


def taken(loss, weight=1.0, norm=1.0, n_clips=2, **facts):
    return Taken(torch.tensor(loss), weight, torch.tensor(norm), facts, n_clips)


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(figures.time, "monotonic", lambda: now[0])
    return now


def on(device, scaled=False):
    return Figures(Clips, torch.device(device), scaled=scaled), TrainingState(epoch=4)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_means_by_weight(device, clock):
    found, state = on(device)
    found.start()
    for loss, weight, norm, reward in ((2.0, 3.0, 1.0, 0.5), (4.0, 1.0, 2.0, 0.1)):
        clock[0] += 0.25
        found.add(state, pairs(0), taken(loss, weight, norm, reward=reward), 2)
    found.read(state, 2)
    assert found.means(state) == {
        "training_loss": 2.5,
        "reward": pytest.approx(0.4),
        "clips_per_s": 8.0,
        "gradient_norm": 1.5,
    }
    assert (state.n_batches, state.n_clips, state.seconds) == (2, 4, 0.5)


def test_a_gpu_is_not_waited_for_at_every_step(clock, monkeypatch):
    reads = []
    stack = torch.stack
    monkeypatch.setattr(torch, "stack", lambda values: reads.append(len(values)) or stack(values))
    found, state = on("cuda")
    for _ in range(21):
        clock[0] += 0.125
        found.add(state, pairs(0), taken(1.0), 99)
    assert reads == [8, 8, 8, 8]  # of losses and of norms, once a second
    found.read(state, 99)
    assert reads[4:] == [5, 5]
    assert state.loss == 21 and state.seconds == 21 / 8


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("bad", [{"loss": math.nan}, {"loss": 1.0, "norm": math.inf}])
def test_a_divergence_is_named_at_its_own_batch(device, bad, clock):
    found, state = on(device)
    state.n_batches = 3  # done before the training was killed
    with pytest.raises(InputError) as caught:
        found.add(state, pairs(0, 1), taken(1.0), 9)
        found.add(state, pairs(3, 1, 3), taken(**bad), 9)
        found.add(state, pairs(2), taken(math.nan), 9)
        found.read(state, 9)
    message = str(caught.value)
    assert "epoch 4, batch 5 of 9" in message and message.endswith("'b.wav', 'd.wav'.")
    assert "learning_rate" in message


def test_a_scaled_gradient_may_overflow_but_no_loss(clock):
    found, state = on("cpu", scaled=True)
    clock[0] = 1.0
    found.add(state, pairs(0), taken(1.0, norm=math.inf), 9)
    assert found.means(state)["gradient_norm"] is None
    found.add(state, pairs(0), taken(1.0, norm=3.0), 9)
    assert found.means(state)["gradient_norm"] == 3
    with pytest.raises(InputError, match="diverged"):
        found.add(state, pairs(0), taken(math.inf), 9)
