"""The decoder on stored embeddings against PyTorch's, several front-ends, words from elsewhere."""

import math

import pytest
import torch
from torch import nn

from captioner.errors import InputError
from captioner.models.registry import FAMILIES, build_model
from captioner.models.transformer import sinusoids

SETTINGS = {"n_hidden": 16, "n_heads": 4, "n_layers": 3, "n_feedforward": 24}


def build(n_features=None, **settings):
    torch.manual_seed(0)
    features = n_features or {"convnext": 10}
    return build_model("embedding_transformer", SETTINGS | settings, features, 20, 0, 1)


def pytorch_decoder(model) -> nn.TransformerDecoder:
    """Build the published decoder from PyTorch's modules, with the model's weights."""
    layer = nn.TransformerDecoderLayer(16, 4, 24, 0.0, "gelu", batch_first=True, norm_first=False)
    decoder = nn.TransformerDecoder(layer, 3)
    for own, theirs in zip(model.decoder.layers, decoder.layers, strict=True):
        pairs = [
            (own.attention, theirs.self_attn),
            (own.memory_attention, theirs.multihead_attn),
        ]
        for mine, other in pairs:
            weights = torch.cat([mine.query.weight, mine.key_value.weight])
            other.in_proj_weight.data = weights.detach()
            biases = torch.cat([mine.query.bias, mine.key_value.bias])
            other.in_proj_bias.data = biases.detach()
            other.out_proj.load_state_dict(mine.output.state_dict())
        theirs.norm1.load_state_dict(own.attention_norm.state_dict())
        theirs.norm2.load_state_dict(own.memory_norm.state_dict())
        theirs.norm3.load_state_dict(own.feedforward_norm.state_dict())
        theirs.linear1.load_state_dict(own.feedforward[0].state_dict())
        theirs.linear2.load_state_dict(own.feedforward[3].state_dict())
    return decoder.eval()


def test_equals_the_recipe_in_pytorchs_modules():
    model = build().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    frames, n_frames = torch.randn(3, 9, 10), torch.tensor([9, 2, 5])
    tokens = torch.randint(2, 20, (3, 7))
    words = math.sqrt(16) * model.embedding.weight[tokens]
    projected = model.projections[0][1](frames).relu()
    expected = model.classifier(
        pytorch_decoder(model)(
            words + sinusoids(0, 7, 16, torch.device("cpu")),
            projected,
            tgt_mask=nn.Transformer.generate_square_subsequent_mask(7),
            memory_key_padding_mask=torch.arange(9) >= n_frames[:, None],
            tgt_is_causal=True,
        )
    )
    memory = model.encode({"convnext": frames}, {"convnext": n_frames})
    found = model(memory, model.embed(tokens))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_dropout_stands_where_the_recipe_has_it():
    model = build(dropout=0.2, input_dropout=0.5)
    kinds = [type(layer).__name__ for layer in model.projections[0]]
    assert kinds == ["Dropout", "Linear", "ReLU", "Dropout"]
    assert [layer.p for layer in model.projections[0] if isinstance(layer, nn.Dropout)] == [0.5] * 2
    in_decoder = {layer.p for layer in model.decoder.modules() if isinstance(layer, nn.Dropout)}
    assert in_decoder == {0.2}
    assert {layer.attention.dropout for layer in model.decoder.layers} == {0.2}


def test_frames_of_several_front_ends_stand_one_after_the_other():
    model = build({"b": 6, "a.1": 10}).eval()
    features = {"b": torch.randn(2, 4, 6), "a.1": torch.randn(2, 7, 10)}
    n_frames = {"b": torch.tensor([1, 4]), "a.1": torch.tensor([7, 3])}
    memory = model.encode(features, n_frames)
    assert memory.values.shape == (2, 11, 16)
    assert memory.mask.sum(dim=1).tolist() == [8, 7]
    torch.testing.assert_close(memory.values[:, 7:], model.projections[1](features["b"]))
    restored = build({"a.1": 10, "b": 6}).eval()  # the order of a file does not matter
    restored.load_state_dict(model.state_dict())
    assert torch.equal(restored.encode(features, n_frames).values, memory.values)


def test_no_front_end_is_an_error():
    with pytest.raises(InputError, match="found no front-end; expected one or more"):
        build_model("embedding_transformer", SETTINGS, {}, 20, 0, 1)


WITH_WORDS = {
    "conv_transformer": {"n_channels": [4], "n_hidden": 16},
    "crnn_attention": {"n_channels": [4], "n_hidden": 16, "n_word_values": 6},
    "embedding_transformer": SETTINGS | {"n_word_values": 6},
    "cnn_transformer": SETTINGS | {"n_channels": [4], "n_word_values": 6},
}


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("family", WITH_WORDS)
def test_words_from_elsewhere(family, frozen):
    model = build_model(family, WITH_WORDS[family], {"logmel": 16}, 20, 0, 1)
    n_values = 16 if family == "conv_transformer" else 6
    assert model.embedding.weight.shape == (20, n_values)
    before = model.embedding.weight.detach().clone()
    values, known = torch.randn(20, n_values), torch.arange(20) >= 2
    model.set_word_embeddings(values, known, frozen)
    assert torch.equal(model.embedding.weight[:2], before[:2])
    cosines = torch.cosine_similarity(model.embedding.weight[2:], values[2:])
    torch.testing.assert_close(cosines, torch.ones(18))
    clips = {"logmel": torch.randn(2, 9, 16)}, {"logmel": torch.tensor([9, 4])}
    tokens = torch.tensor([[0, 2, 3], [0, 4, 5]])
    model(model.encode(*clips), model.embed(tokens)).square().sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == (["embedding.weight"] if frozen else [])
    with pytest.raises(InputError, match=rf"expected \(20, {n_values}\)"):
        model.set_word_embeddings(torch.randn(20, 9), known, frozen)


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - WITH_WORDS.keys()))
def test_families_without_words_refuse_them(family):
    model = build_model(family, {"n_hidden": 8}, {"logmel": 16}, 20, 0, 1)
    with pytest.raises(InputError, match=f"word_embeddings: the family {family} takes none"):
        model.set_word_embeddings(torch.randn(20, 8), torch.ones(20, dtype=torch.bool), True)


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - {"cnn_transformer"}))
def test_families_without_pretrained_parts_refuse_them(family, tmp_path):
    model = build_model(family, {}, {"logmel": 16}, 20, 0, 1)
    model.load_pretrained({})
    with pytest.raises(InputError, match=f"found 'encoder' .*x.pth.*; the family {family} takes n"):
        model.load_pretrained({"encoder": tmp_path / "x.pth"})
