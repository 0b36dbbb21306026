"""The recurrent system: its encoder against PyTorch's packed sequences, its state, its settings."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from captioner.errors import InputError
from captioner.models.crnn_attention import BidirectionalGRU, reversal
from captioner.models.registry import build_model

LENGTHS = torch.tensor([7, 1, 5, 7, 2])


def build(**settings):
    torch.manual_seed(0)
    small = {"n_channels": [4, 4], "n_hidden": 8, "n_heads": 2}
    return build_model("crnn_attention", small | settings, {"logmel": 16}, 20, 0, 1)


def test_reversal_turns_each_clip_within_its_own_length():
    places = reversal(torch.tensor([4, 1, 3]), 4)
    assert places.tolist() == [[3, 2, 1, 0], [0, 1, 2, 3], [2, 1, 0, 3]]
    assert torch.equal(places.gather(1, places), torch.arange(4).expand(3, 4))


def test_both_directions_equal_a_packed_sequences():
    """Outputs of the clips' own positions and all gradients, whatever stands behind a clip."""
    torch.manual_seed(1)
    own = BidirectionalGRU(6, 4)
    theirs = nn.GRU(6, 4, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for name, value in own.forwards.named_parameters():
            theirs.get_parameter(name).copy_(value)
        for name, value in own.backwards.named_parameters():
            theirs.get_parameter(f"{name}_reverse").copy_(value)
    x = torch.randn(5, 7, 6)
    behind = torch.arange(7) >= LENGTHS[:, None]
    x[behind] = 100.0
    weights = torch.randn(5, 7, 8).masked_fill(behind[..., None], 0)
    found = own(x, reversal(LENGTHS, 7))
    packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(theirs(packed)[0], batch_first=True)
    torch.testing.assert_close(found[~behind], expected[~behind], atol=1e-6, rtol=0)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    for name, value in own.forwards.named_parameters():
        torch.testing.assert_close(value.grad, theirs.get_parameter(name).grad)
    for name, value in own.backwards.named_parameters():
        torch.testing.assert_close(value.grad, theirs.get_parameter(f"{name}_reverse").grad)


def test_every_word_reaches_the_next_and_so_does_what_was_heard():
    """A change of one word changes all later logits; a change of the memory, all of them."""
    model = build().eval()
    memory = model.encode({"logmel": torch.randn(1, 30, 16)}, {"logmel": torch.tensor([30])})
    tokens = torch.tensor([[0, 5, 6, 7, 8]])
    other = torch.tensor([[0, 5, 9, 7, 8]])
    before, after = (model(memory, model.embed(each))[0] for each in (tokens, other))
    assert [torch.equal(*pair) for pair in zip(before, after, strict=True)] == [True] * 2 + [
        False
    ] * 3
    changed = type(memory)(memory.values + 0.1 * torch.randn_like(memory.values), memory.mask)
    heard = model(changed, model.embed(tokens))[0]
    assert not any(torch.equal(*pair) for pair in zip(before, heard, strict=True))


@torch.no_grad()
def test_a_reordering_within_clips_copies_no_key():
    model = build().eval()
    clips = {"logmel": torch.randn(2, 30, 16)}, {"logmel": torch.tensor([30, 17])}
    state = model.start(model.encode(*clips), torch.zeros(2, 1, dtype=torch.int64), 3)
    within = state.select(torch.tensor([2, 0, 0, 5, 5, 4]))
    assert within.memory[0] is state.memory[0]
    left = state.select(torch.tensor([4, 3, 5]))
    assert torch.equal(left.memory[1], state.memory[1][1:])
    assert torch.equal(left.mask, state.mask[1:])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_heads": 3}, r"n_hidden is 8; expected a multiple of n_heads \(3\)"),
        ({"n_channels": []}, r"n_channels is \[\]; expected positive numbers"),
        ({"n_encoder_layers": 0}, r"n_encoder_layers is 0; expected 1 or more"),
        ({"dropout": 1.0}, r"dropout is 1.0; expected 0 <= dropout < 1"),
        ({"n_word_values": -3}, r"n_word_values is -3; expected 0 or more"),
    ],
)
def test_impossible_values_are_named(settings, message):
    with pytest.raises(InputError, match=message):
        build(**settings)
