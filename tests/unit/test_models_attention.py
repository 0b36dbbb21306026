"""Where each word of a caption looked: the very weights of the forward pass."""

import math

import pytest
import torch
from test_models_contract import N_FEATURES, SETTINGS, SOS, build, random_captions, random_clips

from captioner.models.attention import Attention, watched
from captioner.models.interface import Attentive, Axis
from captioner.models.registry import ATTENTIVE, FAMILIES, build_model

LENGTHS = [23, 3, 9, 16, 22]


@pytest.fixture(params=ATTENTIVE)
def model(request: pytest.FixtureRequest) -> Attentive:
    return build(request.param).eval()


def padded_clips() -> tuple[dict, dict]:
    features, n_frames = random_clips(5)
    n_frames["logmel"] = torch.tensor(LENGTHS)
    return features, n_frames


def looking(model: Attentive) -> list[Attention]:
    """The modules that look at the memory: all attention of the decoder but that among words."""
    named = {n: m for n, m in model.named_modules() if isinstance(m, Attention)}
    if model.family == "crnn_attention":
        return list(named.values())
    return [module for name, module in named.items() if name.endswith(".memory_attention")]


def by_hand(model: Attentive, memory, tokens: torch.Tensor) -> torch.Tensor:
    """softmax(Q K' / sqrt(d)) from what the linear layers are seen to give, head by head."""
    queries, keys = [], []
    hooks = []
    for module in looking(model):
        hooks.append(module.query.register_forward_hook(lambda *each: queries.append(each[2])))
        hooks.append(module.key_value.register_forward_hook(lambda *each: keys.append(each[2])))
    model(memory, model.embed(tokens))
    for hook in hooks:
        hook.remove()
    n_heads = looking(model)[0].n_heads
    layers = []
    for query, key in zip(queries, keys, strict=True):
        width = query.shape[-1]
        d = width // n_heads
        heads = []
        for head in range(n_heads):
            part = slice(head * d, (head + 1) * d)
            products = query[..., part] @ key[..., :width][..., part].transpose(1, 2)
            products = products / math.sqrt(d)
            products[~memory.mask[:, None].expand_as(products)] = -math.inf
            heads.append(products.softmax(dim=-1))
        layers.append(torch.stack(heads).mean(dim=0))
    return torch.stack(layers).mean(dim=0)


def test_registry_names_the_attentive_families():
    assert set(ATTENTIVE) == {f for f in FAMILIES if isinstance(build(f), Attentive)}
    assert not hasattr(build("dcase_baseline"), "attended")


def test_weights_are_those_of_the_projections(model):
    memory, tokens = model.encode(*padded_clips()), random_captions(5, 7)
    found = model.attended(memory, model.embed(tokens))
    assert found.shape == (5, 7, memory.mask.shape[1])
    torch.testing.assert_close(found, by_hand(model, memory, tokens), atol=1e-6, rtol=1e-5)


def test_weights_give_the_output_of_fused_attention():
    torch.manual_seed(4)
    layer = Attention(8, 1)  # with one head, the mean over heads is that head
    x, memory = torch.randn(6, 4, 8), torch.randn(3, 5, 8)
    mask = torch.arange(5) < torch.tensor([5, 1, 3])[:, None]
    attended = layer.keys_values(memory)
    with watched([layer]) as weights:
        output = layer(x, attended, mask)
    values = attended[1][:, 0].repeat_interleave(2, dim=0)
    torch.testing.assert_close(layer.output(weights[0] @ values), output, atol=1e-6, rtol=1e-5)


def test_rows_sum_to_one_and_padding_is_never_looked_at(model):
    memory = model.encode(*padded_clips())
    found = model.attended(memory, model.embed(random_captions(5, 7)))
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(5, 7))
    assert not found[~memory.mask[:, None].expand_as(found)].any()


def test_a_clip_looks_alike_alone_and_in_a_batch(model):
    features, n_frames = padded_clips()
    tokens = random_captions(5, 6)
    memory = model.encode(features, n_frames)
    batched = model.attended(memory, model.embed(tokens))
    for clip, n in enumerate(LENGTHS):
        one = model.encode(
            {"logmel": features["logmel"][clip, None, :n]}, {"logmel": torch.tensor([n])}
        )
        alone = model.attended(one, model.embed(tokens[clip, None]))
        expected = batched[clip, :, : alone.shape[2]]
        torch.testing.assert_close(alone[0], expected, atol=1e-5, rtol=0)


def test_several_captions_of_a_clip(model):
    tokens = random_captions(6, 7)
    memory = model.encode(*random_clips(2))
    together = model.attended(memory, model.embed(tokens))
    apart = model.attended(memory.repeat(3), model.embed(tokens))
    torch.testing.assert_close(together, apart, atol=1e-6, rtol=0)


def test_later_words_change_nothing_of_earlier_looks(model):
    tokens = random_captions(2, 8)
    memory = model.encode(*random_clips(2))
    changed = tokens.clone()
    changed[:, 5] += 1 - 2 * (tokens[:, 5] > 10).long()
    before, after = (model.attended(memory, model.embed(t)) for t in (tokens, changed))
    torch.testing.assert_close(before[:, :5], after[:, :5], atol=1e-6, rtol=0)
    assert not torch.allclose(before[:, 5:], after[:, 5:])


def test_looking_leaves_the_forward_pass_as_it_is(model):
    tokens = random_captions(3, 5)
    memory = model.encode(*random_clips(3))
    before = model(memory, model.embed(tokens))
    model.attended(memory, model.embed(tokens))
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.equal(before, model(memory, model.embed(tokens)))


def test_axes_place_every_valid_position(model):
    memory = model.encode(*padded_clips())
    for mask, n in zip(memory.mask, LENGTHS, strict=True):
        (axis,) = model.axes({"logmel": n})
        assert (axis.frontend, axis.n_positions) == ("logmel", int(mask.sum()))


EXPECTED = {  # two halvings each, or none; a convolution of stride 2 stays centred on frame 0
    "conv_transformer": (0.0, 4),
    "crnn_attention": (0.0, 4),
    "embedding_transformer": (0.0, 1),
    "cnn_transformer": (1.5, 4),
}


@pytest.mark.parametrize("family", ATTENTIVE)
def test_axes_are_where_positions_hear(family):
    """The frames that change what the convolutions give at a position lie around its own."""
    model = build(family).eval()
    (axis,) = model.axes({"logmel": 64})
    assert (axis.first, axis.step) == EXPECTED[family]
    part = getattr(model, "convolutions", None) or getattr(model, "encoder", None)
    if part is None:
        return
    features = torch.randn(1, 64, N_FEATURES, requires_grad=True)
    output, _ = part(features, torch.tensor([64]))
    position = 8
    (gradient,) = torch.autograd.grad(output[0, position].sum(), features)
    heard = gradient[0].abs().sum(dim=1).nonzero().flatten()
    middle = (heard.min() + heard.max()).item() / 2
    assert middle == axis.first + position * axis.step


def test_front_ends_follow_each_other_in_the_memory():
    torch.manual_seed(1)
    settings = SETTINGS["embedding_transformer"]
    features = {"b": 5, "a": 3}
    model = build_model("embedding_transformer", settings, features, 30, SOS, 1).eval()
    assert model.axes({"b": 7, "a": 2}) == [Axis("a", 2, 0.0, 1), Axis("b", 7, 0.0, 1)]
    clips = {"a": torch.randn(1, 4, 3), "b": torch.randn(1, 7, 5)}
    memory = model.encode(clips, {"a": torch.tensor([2]), "b": torch.tensor([7])})
    assert memory.mask.tolist() == [[True] * 2 + [False] * 2 + [True] * 7]
