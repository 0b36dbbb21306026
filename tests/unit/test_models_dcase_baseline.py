"""The baseline against a plain reimplementation, and the published names and numbers."""

import copy

import pytest
import torch
from torch import nn

from captioner.errors import InputError
from captioner.models.registry import build_model

EOS = 3
PUBLISHED_NAMES = {
    f"encoder.gru_{layer}.{kind}_l0{direction}"
    for layer in (1, 2, 3)
    for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    for direction in ("", "_reverse")
} | {
    "decoder.rnn.weight_ih_l0",
    "decoder.rnn.weight_hh_l0",
    "decoder.rnn.bias_ih_l0",
    "decoder.rnn.bias_hh_l0",
    "decoder.classifier.weight",
    "decoder.classifier.bias",
}


class PlainBaseline(nn.Module):
    """The architecture in plain PyTorch: all steps of all GRUs."""

    def __init__(self, n_features: int, n_hidden: int, n_tokens: int, n_steps: int):
        super().__init__()
        both = {"batch_first": True, "bidirectional": True}
        self.encoder = nn.Module()
        self.encoder.gru_1 = nn.GRU(n_features, n_hidden, **both)
        self.encoder.gru_2 = nn.GRU(2 * n_hidden, n_hidden, **both)
        self.encoder.gru_3 = nn.GRU(2 * n_hidden, n_hidden, **both)
        self.encoder.dropout = nn.Identity()
        self.decoder = nn.Module()
        self.decoder.rnn = nn.GRU(2 * n_hidden, n_hidden, batch_first=True)
        self.decoder.classifier = nn.Linear(n_hidden, n_tokens)
        self.decoder.dropout = nn.Identity()
        self.n_steps = n_steps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.encoder.dropout(self.encoder.gru_1(x)[0])
        h = h + self.encoder.dropout(self.encoder.gru_2(h)[0])
        h = h + self.encoder.dropout(self.encoder.gru_3(h)[0])
        repeated = h[:, -1:].repeat(1, self.n_steps, 1)
        return self.decoder.classifier(self.decoder.rnn(self.decoder.dropout(repeated))[0])


class Halve(nn.Module):
    """Stands in for dropout: shows where it acts."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / 2


def build(dropout: float = 0.0, n_features: int = 12, n_hidden: int = 16, n_tokens: int = 40):
    settings = {"n_hidden": n_hidden, "n_steps": 22, "dropout": dropout}
    return build_model("dcase_baseline", settings, {"logmel": n_features}, n_tokens, 2, EOS)


def run(model, x: torch.Tensor, n_steps: int = 22) -> torch.Tensor:
    memory = model.encode({"logmel": x}, {"logmel": torch.full((len(x),), x.shape[1])})
    tokens = torch.zeros(len(x), n_steps, dtype=torch.int64)
    return model(memory, model.embed(tokens))


def test_published_names_shapes_and_count():
    model = build(n_features=64, n_hidden=256, n_tokens=4371)
    assert set(model.state_dict()) == PUBLISHED_NAMES
    assert model.n_parameters() == 4_574_739
    published = PlainBaseline(64, 256, 4371, 22).state_dict()
    model.load_state_dict(published, strict=True)
    assert model.state_dict()["encoder.gru_3.weight_ih_l0_reverse"].shape == (768, 512)


@pytest.mark.parametrize("dropout", [nn.Identity, Halve])
def test_equals_the_plain_computation(dropout):
    """Logits and gradients to 1e-6, and every dropout in its place."""
    torch.manual_seed(5)
    plain = PlainBaseline(12, 16, 40, 22)
    model = build(dropout=0.25)
    model.load_state_dict(plain.state_dict())
    for network in (plain, model):
        network.encoder.dropout = network.decoder.dropout = dropout()
    x = torch.randn(3, 50, 12)
    weights = torch.randn(3, 22, 40) / 100
    results = []
    for network in (plain, lambda x: run(model, x)):
        inputs = x.clone().requires_grad_()
        logits = network(inputs)
        (logits * weights).sum().backward()
        results.append((logits.detach(), inputs.grad))
    torch.testing.assert_close(results[0], results[1], atol=1e-6, rtol=0)
    gradients = [{n: p.grad for n, p in m.named_parameters()} for m in (plain, model)]
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-6, rtol=0)


def test_dropout_acts_in_training_only_and_step_by_step():
    model = build(dropout=0.25)
    x = torch.randn(2, 20, 12)
    model.eval()
    assert torch.equal(run(model, x), run(model, x))
    model.train()
    assert not torch.equal(run(model, x), run(model, x))
    seen = []
    model.decoder.rnn.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    run(model, x)
    dropped = seen[0] == 0
    assert 0.1 < dropped.float().mean() < 0.4
    assert not torch.equal(dropped[:, 0], dropped[:, 1])


def test_padding_is_part_of_the_input():
    """Zeros in front change the output, hence `equal_lengths`."""
    model = build().eval()
    x = torch.randn(1, 20, 12)
    padded = torch.cat([torch.zeros(1, 30, 12), x], dim=1)
    assert model.equal_lengths and model.padding == "front"
    assert not torch.allclose(run(model, x), run(model, padded), atol=1e-6)


def test_tokens_are_ignored_and_fewer_steps_are_the_first_ones():
    model = build().eval()
    x = torch.randn(2, 20, 12)
    memory = model.encode({"logmel": x}, {"logmel": torch.tensor([20, 20])})
    assert memory.values.shape == (2, 1, 32)
    torch.testing.assert_close(run(model, x, 7), run(model, x)[:, :7], atol=1e-6, rtol=0)
    start = model.start(memory, torch.full((2, 1), 2), 1)
    some, other = (model.step(start, torch.full((2,), token))[0] for token in (5, 6))
    assert torch.equal(some, other)


def test_only_eos_after_the_last_step():
    model = build().eval()
    x = torch.randn(2, 20, 12)
    memory = model.encode({"logmel": x}, {"logmel": torch.tensor([20, 20])})
    state = model.start(memory, torch.full((2, 1), 2), 3)
    for _ in range(22):
        logits, state = model.step(state, torch.zeros(6, dtype=torch.int64))
        assert logits.isfinite().all()
    for _ in range(2):
        logits, state = model.step(state, torch.zeros(6, dtype=torch.int64))
        expected = torch.zeros(6, 40)
        expected[:, EOS] = 1
        assert torch.equal(logits.softmax(dim=-1), expected)


def test_captions_beyond_the_steps_are_refused():
    with pytest.raises(InputError, match=r"23 tokens.*22 steps.*n_steps"):
        run(build(), torch.randn(1, 5, 12), n_steps=23)


def test_two_frontends_are_refused():
    with pytest.raises(InputError, match=r"dcase_baseline.*front-ends a, b; expected one"):
        build_model("dcase_baseline", {}, {"a": 64, "b": 64}, 9, 0, 1)


def test_normalisation_leaves_no_trace():
    model = build()
    before = copy.deepcopy(model.state_dict())
    model.set_normalisation({"logmel": (torch.ones(12), torch.full((12,), 2.0))})
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
