"""Every system of config/systems that has a model, shrunk: it learns, and padding never leaks."""

import re
from pathlib import Path

import pytest
import torch
import yaml

from captioner.models.registry import build_model
from captioner.plan import Plan
from captioner.settings import merge, read_yaml
from captioner.training.losses import caption_loss
from captioner.training.optimisation import build_optimizer, freeze_parts

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = {"convnext_transformer_multi": "multi"}  # systems that need more than config.yaml
SMALL = {
    "dcase_baseline": {"n_hidden": 24, "n_steps": 9},
    "conv_transformer": {"n_channels": [4, 8], "n_hidden": 16, "n_heads": 2, "n_feedforward": 24},
    "crnn_attention": {"n_channels": [4, 8], "n_hidden": 16, "n_heads": 2},
    "embedding_transformer": {"n_hidden": 16, "n_heads": 2, "n_layers": 2, "n_feedforward": 24},
    "cnn_transformer": {
        "n_channels": [4, 8],
        "n_hidden": 16,
        "n_heads": 2,
        "n_layers": 2,
        "n_feedforward": 24,
    },
}
N_FEATURES, N_TOKENS, SOS, EOS = 16, 30, 0, 1
LENGTHS = torch.tensor([23, 9, 1, 17])


def resolve() -> dict:
    """Resolve all of config/systems as the workflow does, with defaults."""
    config = read_yaml(ROOT / "config/config.yaml")
    names = [path.stem for path in sorted((ROOT / "config/systems").glob("*.yaml"))]
    everything = dict(
        Plan({**config, "systems": [n for n in names if n not in OVERLAYS]}, ROOT).systems
    )
    for name, overlay in OVERLAYS.items():
        merged = merge(config, read_yaml(ROOT / f"config/{overlay}.yaml"))
        everything[name] = Plan(merged, ROOT).systems[name]
    return {name: system for name, system in everything.items() if "family" in system}


SYSTEMS = resolve()


def build(name: str, dropout: bool = True):
    system = SYSTEMS[name]
    settings = system["model"] | SMALL[system["family"]]
    if not dropout:
        settings |= {key: 0.0 for key in settings if "dropout" in key}
    torch.manual_seed(1)
    n_features = dict.fromkeys(system["frontends"], N_FEATURES)
    model = build_model(system["family"], settings, n_features, N_TOKENS, SOS, EOS)
    model.set_normalisation({f: (torch.zeros(n), torch.ones(n)) for f, n in n_features.items()})
    return model


def clips(model, lengths=LENGTHS):
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(len(lengths), int(lengths.max()), N_FEATURES, generator=generator)
    for clip, n in enumerate(lengths):
        padding = slice(0, len(features[clip]) - n) if model.padding == "front" else slice(n, None)
        features[clip, padding] = 0
    frontends = model.dims.n_features
    return dict.fromkeys(frontends, features), dict.fromkeys(frontends, lengths)


def captions(n_words=6):
    """Rows of <sos> and words, what follows them, and how many of those count."""
    n_rows, generator = len(LENGTHS), torch.Generator().manual_seed(3)
    words = torch.randint(2, N_TOKENS, (n_rows, n_words), generator=generator)
    tokens = torch.cat([torch.full((n_rows, 1), SOS), words], dim=1)
    targets = torch.cat([words, torch.full((n_rows, 1), EOS)], dim=1)
    return tokens, targets, torch.full((n_rows,), n_words + 1)


def loss_of(model, training):
    tokens, targets, n_targets = captions()
    logits = model(model.encode(*clips(model)), model.embed(tokens))
    return caption_loss(logits, targets, n_targets, padding_in_loss=training["padding_in_loss"])


@pytest.mark.parametrize("name", SYSTEMS)
def test_full_size_can_be_built_and_is_trained_as_it_says(name):
    system = SYSTEMS[name]
    n_features = {"convnext_tiny": 768, "cnn14": 2048, "cnn10": 512}
    sizes = {frontend: n_features.get(frontend, 64) for frontend in system["frontends"]}
    with torch.device("meta"):
        model = build_model(system["family"], system["model"], sizes, 4371, SOS, EOS)
        freeze_parts(model, system["training"])
        optimizer = build_optimizer(model, system["training"])
    trained = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    frozen = sum(p.numel() for p in model.encoder.parameters()) if name.endswith("d_scst") else 0
    assert trained == model.n_parameters() - frozen > 0


@pytest.mark.parametrize(
    ("name", "n_features", "n_parameters"),
    [("baseline_released", 64, 4_574_739), ("convnext_transformer", 768, 11_911_699)],
)
def test_as_many_parameters_as_published(name, n_features, n_parameters):
    """4,574,739 of the DCASE 2021 baseline; 11.9 M trained ones of the .30 recipe."""
    system = SYSTEMS[name]
    with torch.device("meta"):
        sizes = {system["frontends"][0]: n_features}
        model = build_model(system["family"], system["model"], sizes, 4371, SOS, EOS)
    assert model.n_parameters() == n_parameters


@pytest.mark.parametrize("name", SYSTEMS)
def test_one_batch_overfits(name):
    """Four clips with a caption each, by the loss that the system is trained with first."""
    model, training = build(name, dropout=False), SYSTEMS[name]["training"]
    optimizer = torch.optim.Adam(model.parameters(), lr=8e-3)
    losses = [1.0]
    while len(losses) < 400 and losses[-1] > 0.02:
        optimizer.zero_grad()
        loss = loss_of(model, training)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] <= 0.02


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", SYSTEMS)
def test_padding_does_not_leak(name, training):
    """Each clip of a batch gives what it gives alone; in training too, without dropout."""
    model = build(name, dropout=False).train(training)
    lengths = torch.full_like(LENGTHS, 17) if model.equal_lengths else LENGTHS
    (features, n_frames), (tokens, _, _) = clips(model, lengths), captions()
    batched = model(model.encode(features, n_frames), model.embed(tokens))
    for clip, n in enumerate(lengths):
        own = {name: values[clip : clip + 1, :n] for name, values in features.items()}
        memory = model.encode(own, dict.fromkeys(own, n[None]))
        alone = model(memory, model.embed(tokens[clip : clip + 1]))
        torch.testing.assert_close(alone[0], batched[clip], atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", SYSTEMS)
def test_gradient_flows_where_the_system_trains_and_nowhere_else(name):
    model, training = build(name).train(), SYSTEMS[name]["training"]
    freeze_parts(model, training)
    optimizer = build_optimizer(model, training)
    in_optimizer = {id(p) for group in optimizer.param_groups for p in group["params"]}
    buffers = {key: value.clone() for key, value in model.named_buffers()}
    loss_of(model, training).backward()
    frozen = {part for part, rate in training["learning_rates"].items() if rate == 0}
    for key, parameter in model.named_parameters():
        trains = key.split(".")[0] not in frozen
        assert (id(parameter) in in_optimizer) == trains, key
        # Zero by the architecture: at the last time step, the reverse direction has no past.
        flows = trains and key != "encoder.gru_3.weight_hh_l0_reverse"
        assert (parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)) == flows, key
    for key, value in model.named_buffers():
        assert torch.equal(value, buffers[key]), key


FIRST_OF_FAMILY = {SYSTEMS[name]["family"]: name for name in reversed(SYSTEMS)}


@pytest.mark.parametrize("name", FIRST_OF_FAMILY.values())
def test_autocast_gives_nearly_the_same_gradient(name):
    """bfloat16 keeps 8 bits: a relative error of 0.4 % in each product."""
    model, training = build(name, dropout=False).train(), SYSTEMS[name]["training"]
    gradients = []
    for enabled in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss = loss_of(model, training)
        loss.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    exact, found = gradients
    assert 0 < (found - exact).norm() < 0.03 * exact.norm()


@pytest.mark.parametrize("name", SYSTEMS)
def test_word_by_word_equals_all_at_once(name):
    model = build(name).eval()
    tokens, _, _ = captions()
    lengths = torch.full_like(LENGTHS, 17) if model.equal_lengths else LENGTHS
    memory = model.encode(*clips(model, lengths))
    expected = model(memory, model.embed(tokens))
    state = model.start(memory, tokens[:, :1], 1)
    for t in range(tokens.shape[1]):
        logits, state = model.step(state, tokens[:, t])
        torch.testing.assert_close(logits, expected[:, t], atol=1e-5, rtol=0)


def test_the_documented_variants_resolve_and_can_be_built():
    text = (ROOT / "docs/systems.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    config = {**read_yaml(ROOT / "config/config.yaml"), **yaml.safe_load(block)}
    found = Plan(config, ROOT).systems
    assert len(found) == 5
    for system in found.values():
        with torch.device("meta"):
            sizes = dict.fromkeys(system["frontends"], 64)
            model = build_model(system["family"], system["model"], sizes, 100, SOS, EOS)
            build_optimizer(model, system["training"])
    assert found["no_mixup"]["training"]["mixup"] is None
    assert found["cnn10_slower"]["training"]["learning_rates"] == {"encoder": 1e-5}


@pytest.mark.parametrize("name", [n for n in SYSTEMS if SYSTEMS[n]["start"]])
def test_reinforced_systems_fit_the_weights_they_start_from(name):
    other = SYSTEMS[SYSTEMS[name]["start"]]
    for key in ("family", "model", "frontends", "vocabulary"):
        assert SYSTEMS[name][key] == other[key], key
