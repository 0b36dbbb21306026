"""Dropout on a CPU: how much is dropped, what the rest becomes, when nothing is."""

import pytest
import torch
from torch import nn

from captioner.models.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.9])
def test_drops_a_fraction_and_keeps_the_mean(p):
    torch.manual_seed(1)
    kept = Dropout(p)(torch.ones(1003, 301))
    share = (kept != 0).double().mean().item()
    spread = (p * (1 - p) / kept.numel()) ** 0.5
    assert abs(share - (1 - p)) < 5 * spread
    torch.testing.assert_close(
        kept[kept != 0].unique(), torch.tensor([1 / (1 - p)]), rtol=1e-4, atol=0
    )
    neighbours = (kept[:, 1:] != 0) & (kept[:, :-1] != 0)
    assert abs(neighbours.double().mean().item() - (1 - p) ** 2) < 10 * spread


def test_gradients_are_dropped_alike():
    x = torch.randn(7, 5, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad * x, y)


def test_the_generator_decides():
    x, dropout = torch.ones(9, 11), Dropout(0.3)
    state = torch.get_rng_state()
    first, second = dropout(x), dropout(x)
    torch.set_rng_state(state)
    assert torch.equal(dropout(x), first) and not torch.equal(first, second)


def test_nothing_or_everything():
    x = torch.randn(5, 3)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert not Dropout(1.0)(x).any()
    assert Dropout(0.5)(torch.empty(0, 3)).shape == (0, 3)


def test_keeps_the_type():
    for dtype in (torch.bfloat16, torch.float64):
        assert Dropout(0.5)(torch.ones(4, 4, dtype=dtype)).dtype == dtype


def test_compiled():
    network = nn.Sequential(nn.Linear(4, 4), Dropout(0.5))
    network.compile(backend="aot_eager")
    assert (network(torch.ones(50, 4)) == 0).any()
