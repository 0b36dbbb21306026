"""The Transformer layers against PyTorch's own."""

import pytest
import torch
from torch import nn

from captioner.models.transformer import (
    Attention,
    Decoder,
    DecoderLayer,
    DecoderState,
    EncoderLayer,
    sinusoids,
)

D, HEADS, FEEDFORWARD = 16, 4, 24


def copy_attention(own: Attention, theirs: nn.MultiheadAttention) -> None:
    theirs.in_proj_weight.data = torch.cat([own.query.weight, own.key_value.weight]).detach()
    theirs.in_proj_bias.data = torch.cat([own.query.bias, own.key_value.bias]).detach()
    theirs.out_proj.load_state_dict(own.output.state_dict())


def randomise(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)


def settings(norm_first: bool = True) -> dict:
    return {"dropout": 0.0, "activation": "gelu", "batch_first": True, "norm_first": norm_first}


def test_encoder_layer_equals_pytorchs():
    torch.manual_seed(1)
    own = EncoderLayer(D, HEADS, FEEDFORWARD, dropout=0.0)
    randomise(own)
    theirs = nn.TransformerEncoderLayer(D, HEADS, FEEDFORWARD, **settings())
    copy_attention(own.attention, theirs.self_attn)
    theirs.norm1.load_state_dict(own.attention_norm.state_dict())
    theirs.norm2.load_state_dict(own.feedforward_norm.state_dict())
    theirs.linear1.load_state_dict(own.feedforward[0].state_dict())
    theirs.linear2.load_state_dict(own.feedforward[3].state_dict())
    x = torch.randn(3, 7, D)
    mask = torch.arange(7) < torch.tensor([7, 1, 4])[:, None]
    expected = theirs(x, src_key_padding_mask=~mask)
    torch.testing.assert_close(own(x, mask)[mask], expected[mask], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("post_norm", [False, True])
def test_decoder_layer_equals_pytorchs(post_norm):
    torch.manual_seed(2)
    own = DecoderLayer(D, HEADS, FEEDFORWARD, dropout=0.0, post_norm=post_norm)
    randomise(own)
    theirs = nn.TransformerDecoderLayer(D, HEADS, FEEDFORWARD, **settings(not post_norm))
    copy_attention(own.attention, theirs.self_attn)
    copy_attention(own.memory_attention, theirs.multihead_attn)
    theirs.norm1.load_state_dict(own.attention_norm.state_dict())
    theirs.norm2.load_state_dict(own.memory_norm.state_dict())
    theirs.norm3.load_state_dict(own.feedforward_norm.state_dict())
    theirs.linear1.load_state_dict(own.feedforward[0].state_dict())
    theirs.linear2.load_state_dict(own.feedforward[3].state_dict())
    x, memory = torch.randn(3, 5, D), torch.randn(3, 7, D)
    mask = torch.arange(7) < torch.tensor([7, 1, 4])[:, None]
    expected = theirs(
        x,
        memory,
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(5),
        memory_key_padding_mask=~mask,
        tgt_is_causal=True,
    )
    found, _ = own(x, own.project_memory(memory), mask)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_sinusoids_follow_the_formula_from_any_position():
    table = sinusoids(0, 50, 8, torch.device("cpu"))
    assert torch.equal(table[20:], sinusoids(20, 30, 8, torch.device("cpu")))
    expected = [torch.tensor(float(t)).sin() for t in range(50)]
    torch.testing.assert_close(table[:, 0], torch.stack(expected), atol=1e-6, rtol=0)
    torch.testing.assert_close(table[30, 7], torch.tensor(30 / 10000).cos(), atol=1e-6, rtol=0)


def started(n_rows: int, n_words: int, n_clips: int = 2) -> tuple[Decoder, DecoderState]:
    torch.manual_seed(3)
    decoder = Decoder(2, D, HEADS, FEEDFORWARD, 0.0)
    mask = torch.ones(n_clips, 7, dtype=torch.bool)
    state = decoder.start(torch.randn(n_clips, 7, D), mask, n_rows)
    for _ in range(n_words):
        _, state = decoder(torch.randn(n_rows, 1, D), state)
    return decoder, state


def storage(tensors) -> list[int]:
    return [tensor.data_ptr() for pair in tensors for tensor in pair]


@torch.no_grad()
def test_a_reordering_within_clips_copies_no_key():
    _, state = started(n_rows=6, n_words=3)
    before = storage(state.memory), storage(state.past)
    within = state.select(torch.tensor([2, 0, 0, 5, 5, 4]))
    assert (storage(within.memory), storage(within.past)) == before
    assert within.n_rows_per_group == 3


@torch.no_grad()
def test_a_clip_that_leaves_costs_the_copy_of_the_one_that_takes_its_place():
    _, state = started(n_rows=8, n_words=3, n_clips=4)
    before = storage(state.memory), storage(state.past)
    first, last = (state.memory[1][0][clip].clone() for clip in (0, 3))
    left = state.select(torch.tensor([1, 0, 6, 6, 5, 4]))  # the last clip in place of the second
    assert (storage(left.memory), storage(left.past)) == before
    assert torch.equal(left.memory[1][0], torch.stack([first, last, state.memory[1][0][2]]))


@torch.no_grad()
def test_rows_of_one_clip_that_do_not_stand_together_have_keys_of_their_own():
    _, state = started(n_rows=6, n_words=3)
    assert len(state.select(torch.tensor([2, 3, 0, 5, 5, 4])).memory_mask) == 6
    _, state = started(n_rows=6, n_words=3)
    assert len(state.select(torch.tensor([2, 0, 3, 3, 0, 1, 4, 4])).memory_mask) == 4  # two each


@torch.no_grad()
def test_a_word_is_stored_once_and_room_is_doubled():
    decoder, state = started(n_rows=6, n_words=1)
    sizes = set()
    for _ in range(40):
        _, state = decoder(torch.randn(6, 1, D), state.select(torch.tensor([2, 0, 0, 5, 5, 4])))
        sizes.add(state.past[0][0].shape[2])
    assert state.n_stored == 3 * 41
    assert len(sizes) <= 4


def test_post_norm_has_no_norm_after_the_last_layer():
    decoder = Decoder(2, D, HEADS, FEEDFORWARD, 0.0, post_norm=True)
    memory, mask = torch.randn(2, 7, D), torch.ones(2, 7, dtype=torch.bool)
    found, _ = decoder(torch.randn(2, 3, D), decoder.start(memory, mask, 2))
    torch.testing.assert_close(found.mean(-1), torch.zeros(2, 3), atol=1e-6, rtol=0)
    assert not any(name.startswith("norm") for name in decoder.state_dict())


@torch.no_grad()
def test_dropout_of_attention_acts_in_training_only_and_keeps_the_mean():
    torch.manual_seed(5)
    attention = Attention(D, HEADS, dropout=0.3)
    randomise(attention)
    x, attended = torch.randn(40, 3, D), attention.keys_values(torch.randn(40, 7, D))
    drawn = torch.stack([attention(x, attended) for _ in range(400)])
    expected = attention.eval()(x, attended)
    assert torch.equal(expected, attention(x, attended))
    assert not torch.equal(drawn[0], drawn[1])
    assert (drawn.mean(0) - expected).abs().mean() < 0.1 * (drawn[0] - expected).abs().mean()


@torch.no_grad()
@pytest.mark.parametrize("n_first", [1, 4])
def test_several_first_words_at_once_equal_one_by_one(n_first):
    decoder, state = started(n_rows=6, n_words=0)
    words = torch.randn(6, 9, D)
    expected, _ = decoder(words, state)
    first, state = decoder(words[:, :n_first], started(n_rows=6, n_words=0)[1])
    torch.testing.assert_close(first, expected[:, :n_first], atol=1e-5, rtol=0)
    order = torch.tensor([2, 1, 0, 5, 5, 3])
    words, expected, state = words[order], expected[order], state.select(order)
    for t in range(n_first, 9):
        found, state = decoder(words[:, t, None], state)
        torch.testing.assert_close(found, expected[:, t, None], atol=1e-5, rtol=0)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_dropout_acts_in_training_only(dropout):
    decoder = Decoder(1, D, HEADS, FEEDFORWARD, dropout)
    memory, mask, x = torch.randn(2, 7, D), torch.ones(2, 7, dtype=torch.bool), torch.randn(2, 5, D)
    first, second = (decoder(x, decoder.start(memory, mask, 2))[0] for _ in range(2))
    assert torch.equal(first, second) == (dropout == 0)
    decoder.eval()
    first, second = (decoder(x, decoder.start(memory, mask, 2))[0] for _ in range(2))
    assert torch.equal(first, second)
