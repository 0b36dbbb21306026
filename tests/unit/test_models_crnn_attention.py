"""The recurrent system with attention: what reaches a word, its state, its settings."""

import pytest
import torch

from captioner.errors import InputError
from captioner.models.registry import build_model


def build(**settings):
    torch.manual_seed(0)
    small = {"n_channels": [4, 4], "n_hidden": 8, "n_heads": 2}
    return build_model("crnn_attention", small | settings, {"logmel": 16}, 20, 0, 1)


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
