"""The GRU layers against PyTorch's own."""

import pytest
import torch
from torch import Tensor, nn

from captioner.models import gru
from captioner.models.gru import GRU, LastStepGRU, reverse


def pair(n_in: int, n_hidden: int, own: type[GRU] = GRU, **options) -> tuple[nn.GRU, GRU]:
    torch.manual_seed(1)
    theirs, ours = nn.GRU(n_in, n_hidden, **options), own(n_in, n_hidden, **options)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return theirs, ours


def results(layer, parameters, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Run forwards and backwards: the output, and the gradients of input and parameters."""
    x = x.clone().requires_grad_()
    output = layer(x)
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(2))
    gradients = torch.autograd.grad((output * weights.to(x.dtype)).sum(), [x, *parameters])
    return output.detach(), list(gradients)


def assert_equal(ours: tuple[Tensor, list[Tensor]], theirs: tuple[Tensor, list[Tensor]]) -> None:
    """Outputs to 1e-6, gradients to 1e-6 of the greatest."""
    torch.testing.assert_close(ours[0], theirs[0], atol=1e-6, rtol=0)
    for own, other in zip(ours[1], theirs[1], strict=True):
        scale = other.abs().max().clamp_min(1e-3)
        torch.testing.assert_close(own / scale, other / scale, atol=1e-6, rtol=0)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(("n_rows", "n_steps"), [(3, gru.BLOCK + 9), (1, 1), (2, 2 * gru.BLOCK)])
def test_equals_pytorchs(bidirectional, batch_first, n_rows, n_steps):
    theirs, ours = pair(12, 16, batch_first=batch_first, bidirectional=bidirectional)
    x = torch.randn(n_rows, n_steps, 12) if batch_first else torch.randn(n_steps, n_rows, 12)
    found = results(ours, ours.parameters(), x)
    assert_equal(found, results(lambda x: theirs(x)[0], theirs.parameters(), x))
    with torch.no_grad():
        assert torch.equal(ours(x), found[0])


def test_a_view_of_the_input_and_of_the_gradient():
    """Inputs need not lie in memory in their order, as those of dropout and of a slice do not."""
    theirs, ours = pair(12, 16, bidirectional=True)
    x = torch.randn(5, 40, 24)[..., ::2].transpose(0, 1)
    assert_equal(
        results(lambda x: ours(x.flip(0)[3:])[:, 1:], ours.parameters(), x),
        results(lambda x: theirs(x.flip(0)[3:])[0][:, 1:], theirs.parameters(), x),
    )


@pytest.mark.parametrize("batch_first", [True, False])
def test_last_step_is_the_last_step(batch_first):
    theirs, ours = pair(12, 16, LastStepGRU, batch_first=batch_first, bidirectional=True)
    x = torch.randn(3, 50, 12)
    last = (lambda x: theirs(x)[0][:, -1]) if batch_first else (lambda x: theirs(x)[0][-1])
    found, expected = results(ours, ours.parameters(), x), results(last, theirs.parameters(), x)
    assert_equal(found, expected)


def test_every_derivative_in_double_precision(monkeypatch):
    monkeypatch.setattr(gru, "BLOCK", 2)
    layer = GRU(3, 2, bidirectional=True).double()
    names = list(dict(layer.named_parameters()))
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([5, 3])

    def run(x: Tensor, *parameters: Tensor) -> Tensor:
        given = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(layer, given, (x, lengths))

    assert torch.autograd.gradcheck(run, (x, *layer.parameters()))


def test_padding_reaches_no_frame_of_a_clip():
    theirs, ours = pair(12, 16, batch_first=True, bidirectional=True)
    x, lengths = torch.randn(3, 40, 12), torch.tensor([40, 1, 23])
    found = ours(x, lengths)
    for clip, output, length in zip(x, found, lengths, strict=True):
        alone, _ = theirs(clip[None, :length])
        torch.testing.assert_close(output[:length], alone[0], atol=1e-6, rtol=0)


def test_reversing_twice_gives_back_what_was():
    x, lengths = torch.randn(9, 3, 2), torch.tensor([9, 4, 1])
    assert torch.equal(reverse(x, lengths)[:4, 1], x[:4, 1].flip(0))
    assert torch.equal(reverse(reverse(x, lengths), lengths), x)
    assert torch.equal(reverse(x), reverse(x, torch.full((3,), 9)))


def test_bfloat16_around_the_layer_is_float32_within():
    _, ours = pair(12, 16, bidirectional=True)
    x = torch.randn(30, 2, 12)
    expected = results(ours, ours.parameters(), x.bfloat16().float())

    def under_autocast(x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return ours(x.bfloat16())

    found = results(under_autocast, ours.parameters(), x)
    assert torch.equal(found[0], expected[0])
    assert all(map(torch.equal, found[1][1:], expected[1][1:]))


def test_frozen_input_and_repeated_runs_give_the_same_bits():
    _, ours = pair(12, 16, bidirectional=True)
    x = torch.randn(70, 2, 12)
    first, second = (results(ours, ours.parameters(), x) for _ in range(2))
    assert torch.equal(first[0], second[0]) and all(map(torch.equal, first[1], second[1]))
    gradients = torch.autograd.grad(ours(x).sum(), ours.parameters())
    assert all(gradient.isfinite().all() for gradient in gradients)
