"""What every family keeps to: one set of tests for all of them."""

import pytest
import torch

from captioner.models.interface import Captioner, Memory
from captioner.models.registry import FAMILIES, build_model

N_FEATURES, N_TOKENS, SOS, EOS = 16, 30, 0, 1
SETTINGS = {
    "dcase_baseline": {"n_hidden": 16, "n_steps": 9},
    "conv_transformer": {
        "n_channels": [4, 6],
        "n_hidden": 16,
        "n_heads": 2,
        "n_encoder_layers": 1,
        "n_decoder_layers": 2,
        "n_feedforward": 24,
        "dropout": 0.3,
    },
    "crnn_attention": {"n_channels": [4, 6], "n_hidden": 16, "n_heads": 2, "n_word_values": 10},
    "embedding_transformer": {"n_hidden": 16, "n_heads": 2, "n_layers": 2, "n_feedforward": 24},
    "cnn_transformer": {
        "n_channels": [4, 6],
        "n_hidden": 16,
        "n_heads": 2,
        "n_layers": 2,
        "n_feedforward": 24,
        "n_word_values": 10,
    },
}


def build(family: str, seed: int = 1) -> Captioner:
    torch.manual_seed(seed)
    return build_model(family, SETTINGS[family], {"logmel": N_FEATURES}, N_TOKENS, SOS, EOS)


def random_clips(n_clips: int, n_frames: int = 23) -> tuple[dict, dict]:
    generator = torch.Generator().manual_seed(n_clips)
    features = torch.randn(n_clips, n_frames, N_FEATURES, generator=generator)
    return {"logmel": features}, {"logmel": torch.full((n_clips,), n_frames)}


def random_captions(*shape: int) -> torch.Tensor:
    tokens = torch.randint(2, N_TOKENS, shape, generator=torch.Generator().manual_seed(sum(shape)))
    tokens[:, 0] = SOS
    return tokens


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Captioner:
    return build(request.param).eval()


def memory_rows_equal(memory: Memory, expected: Memory) -> bool:
    return torch.equal(memory.values, expected.values) and torch.equal(memory.mask, expected.mask)


def test_memory_select_and_repeat():
    memory = Memory(torch.randn(3, 5, 4), torch.rand(3, 5) > 0.3)
    selected = memory.select(torch.tensor([2, 0, 2, 1]))
    assert torch.equal(selected.values[2], memory.values[2])
    assert torch.equal(selected.mask[1], memory.mask[0])
    assert memory_rows_equal(memory.repeat(2), memory.select(torch.tensor([0, 0, 1, 1, 2, 2])))


def test_family_is_the_registered_name(model):
    assert FAMILIES[model.family] == type(model).__module__


def test_shapes_and_types(model):
    memory = model.encode(*random_clips(3))
    tokens = random_captions(3, 7)
    assert memory.mask.dtype == torch.bool
    assert memory.mask.shape == memory.values.shape[:2]
    assert memory.mask.any(dim=1).all()
    embedded = model.embed(tokens)
    assert embedded.shape[:2] == (3, 7)
    assert model(memory, embedded).shape == (3, 7, N_TOKENS)


@pytest.mark.parametrize("n_prefix", [1, 3])
def test_step_by_step_equals_forward(model, n_prefix):
    """Teacher forcing at once and decoding from the cache are the same arithmetic."""
    tokens = random_captions(4, 9)
    memory = model.encode(*random_clips(4))
    expected = model(memory, model.embed(tokens))
    state = model.start(memory, tokens[:, :n_prefix], 1)
    for t in range(n_prefix - 1, tokens.shape[1]):
        logits, state = model.step(state, tokens[:, t])
        torch.testing.assert_close(logits, expected[:, t], atol=1e-5, rtol=0)


def test_later_words_change_no_earlier_logits(model):
    tokens = random_captions(2, 8)
    memory = model.encode(*random_clips(2))
    changed = tokens.clone()
    changed[:, 5] = (tokens[:, 5] + 1) % N_TOKENS
    before, after = (model(memory, model.embed(t)) for t in (tokens, changed))
    torch.testing.assert_close(before[:, :5], after[:, :5], atol=1e-6, rtol=0)
    assert model.autoregressive == (not torch.allclose(before[:, 5:], after[:, 5:]))


def test_one_encoding_serves_several_captions(model):
    """N rows on B clips equal the memory repeated, logits and gradients."""
    tokens = random_captions(6, 7)
    weights = torch.randn(6, 7, N_TOKENS)
    results = []
    for n in (1, 3):
        model.zero_grad()
        memory = model.encode(*random_clips(2))
        logits = model(memory.repeat(n), model.embed(tokens))
        (logits * weights).sum().backward()
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        results.append((logits.detach(), gradients))
    torch.testing.assert_close(results[0], results[1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("within_clips", [True, False])
def test_select_equals_recomputation(model, within_clips):
    """Rows reordered, repeated and dropped at random, as a beam search does, at every step."""
    n_clips, n_beams, length = 4, 3, 8
    generator = torch.Generator().manual_seed(3)
    memory = model.encode(*random_clips(n_clips))
    state = model.start(memory, torch.full((n_clips, 1), SOS), n_beams)
    clips = torch.arange(n_clips).repeat_interleave(n_beams)
    histories = torch.full((n_clips * n_beams, 1), SOS)
    for _ in range(length):
        logits, state = model.step(state, histories[:, -1])
        expected = model(memory.select(clips), model.embed(histories))[:, -1]
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)
        if within_clips:  # each clip keeps its place, or all its rows end
            kept = clips.unique()
            if len(kept) > 1:
                kept = kept[torch.randperm(len(kept), generator=generator)[: max(2, len(kept) - 1)]]
            rows = [torch.nonzero(clips == clip).flatten() for clip in kept.sort().values]
            index = torch.cat(
                [r[torch.randint(len(r), (n_beams,), generator=generator)] for r in rows]
            )
        else:
            n_rows = int(torch.randint(1, 14, (1,), generator=generator))
            index = torch.randint(len(clips), (n_rows,), generator=generator)
        state, clips = state.select(index), clips[index]
        words = torch.randint(2, N_TOKENS, (len(index), 1), generator=generator)
        histories = torch.cat([histories[index], words], dim=1)


def test_a_clip_does_not_depend_on_its_batch(model):
    """Batched and alone: equal lengths for the families that need them, padded for the others."""
    features, n_frames = random_clips(5)
    if not model.equal_lengths:
        assert model.padding == "back"
        n_frames["logmel"] = torch.tensor([23, 1, 9, 16, 22])
        for clip, n in enumerate(n_frames["logmel"]):
            features["logmel"][clip, n:] = 1e3  # whatever stands there
    tokens = random_captions(5, 6)
    memory = model.encode(features, n_frames)
    batched = model(memory, model.embed(tokens))
    for clip, n in enumerate(n_frames["logmel"]):
        one = model.encode({"logmel": features["logmel"][clip, None, :n]}, {"logmel": n[None]})
        assert one.mask.all()
        assert one.mask.shape[1] == memory.mask[clip].sum()
        alone = model(one, model.embed(tokens[clip, None]))
        torch.testing.assert_close(alone[0], batched[clip], atol=1e-5, rtol=0)


def test_gradient_flows_to_every_parameter(model):
    model.train()
    logits = model(model.encode(*random_clips(3)), model.embed(random_captions(3, 6)))
    torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), random_captions(3, 6).flatten()
    ).backward()
    without = [
        name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    ]
    # Zero by the architecture: at the last time step, the reverse direction has no past.
    expected = {"dcase_baseline": ["encoder.gru_3.weight_hh_l0_reverse"]}
    assert without == expected.get(model.family, [])


@pytest.mark.parametrize("family", FAMILIES)
def test_same_seed_same_weights(family):
    first, again, other = (build(family, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_batch_is_learnt_by_heart(family):
    """The loss of four clips with a caption each goes to near zero."""
    model = build(family)
    clips = random_clips(4, 8)
    tokens = random_captions(4, 6)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    losses = []
    while len(losses) < 600 and min(losses, default=1.0) > 0.05:
        optimizer.zero_grad()
        logits = model(model.encode(*clips), model.embed(tokens))[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] <= 0.05
