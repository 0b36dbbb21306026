"""The Transformer layers against PyTorch's own."""

import pytest
import torch
from torch import nn

from captioner.models.transformer import Attention, Decoder, DecoderLayer, EncoderLayer, sinusoids

D, HEADS, FEEDFORWARD = 16, 4, 24


def copy_attention(own: Attention, theirs: nn.MultiheadAttention) -> None:
    theirs.in_proj_weight.data = torch.cat([own.query.weight, own.key_value.weight]).detach()
    theirs.in_proj_bias.data = torch.cat([own.query.bias, own.key_value.bias]).detach()
    theirs.out_proj.load_state_dict(own.output.state_dict())


def randomise(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)


def settings() -> dict:
    return {"dropout": 0.0, "activation": "gelu", "batch_first": True, "norm_first": True}


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


def test_decoder_layer_equals_pytorchs():
    torch.manual_seed(2)
    own = DecoderLayer(D, HEADS, FEEDFORWARD, dropout=0.0)
    randomise(own)
    theirs = nn.TransformerDecoderLayer(D, HEADS, FEEDFORWARD, **settings())
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
    found, _ = own(x, None, own.project_memory(memory), mask)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_sinusoids_follow_the_formula_from_any_position():
    table = sinusoids(0, 50, 8, torch.device("cpu"))
    assert torch.equal(table[20:], sinusoids(20, 30, 8, torch.device("cpu")))
    expected = [torch.tensor(float(t)).sin() for t in range(50)]
    torch.testing.assert_close(table[:, 0], torch.stack(expected), atol=1e-6, rtol=0)
    torch.testing.assert_close(table[30, 7], torch.tensor(30 / 10000).cos(), atol=1e-6, rtol=0)


def test_rows_of_a_clip_share_the_memorys_keys():
    """A reordering within clips copies no key of the memory; one across clips does."""
    decoder = Decoder(2, D, HEADS, FEEDFORWARD, 0.0)
    state = decoder.start(torch.randn(2, 7, D), torch.ones(2, 7, dtype=torch.bool), 6)
    _, state = decoder(torch.randn(6, 1, D), state)
    within = state.select(torch.tensor([2, 0, 0, 5, 5, 4]))
    assert within.memory[0][0] is state.memory[0][0]
    second_clip = state.select(torch.tensor([5, 5, 4]))
    assert len(second_clip.memory_mask) == 1
    assert torch.equal(second_clip.memory[1][1][0], state.memory[1][1][1])
    across = state.select(torch.tensor([2, 3, 0, 5, 5, 4]))
    assert len(across.memory_mask) == 6


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_dropout_acts_in_training_only(dropout):
    decoder = Decoder(1, D, HEADS, FEEDFORWARD, dropout)
    memory, mask, x = torch.randn(2, 7, D), torch.ones(2, 7, dtype=torch.bool), torch.randn(2, 5, D)
    first, second = (decoder(x, decoder.start(memory, mask, 2))[0] for _ in range(2))
    assert torch.equal(first, second) == (dropout == 0)
    decoder.eval()
    first, second = (decoder(x, decoder.start(memory, mask, 2))[0] for _ in range(2))
    assert torch.equal(first, second)
