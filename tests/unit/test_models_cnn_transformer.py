"""The fine-tuned CNN: the front-end's embeddings at first, frozen statistics, its checkpoint."""

import numpy as np
import pytest
import torch
from encoder_reference import decibels, hear, noise, save_checkpoint

from captioner.errors import InputError
from captioner.models.cnn_transformer import ENCODED_AT_ONCE
from captioner.models.registry import build_model

FRONTEND = "logmel-panns"


def build(n_features: int = 64, **settings):
    torch.manual_seed(0)
    small = {"n_hidden": 16, "n_heads": 2, "n_layers": 1, "n_feedforward": 16}
    return build_model("cnn_transformer", small | settings, {FRONTEND: n_features}, 20, 0, 1)


def test_a_pretrained_encoder_gives_the_front_ends_embeddings(tmp_path):
    """In one padded batch, with statistics of another corpus set before."""
    state = save_checkpoint(tmp_path / "Cnn10.pth", "cnn10")
    model = build().eval()
    model.set_normalisation({FRONTEND: (np.full(64, -40.0), np.full(64, 9.0))})
    model.load_pretrained({"encoder": tmp_path / "Cnn10.pth"})
    waveforms = [noise(duration_s, seed) for seed, duration_s in enumerate((0.7, 0.3, 0.17))]
    log_mels = [decibels(waveform, 64) for waveform in waveforms]
    lengths = torch.tensor([len(values) for values in log_mels])
    batch = torch.zeros(3, int(lengths.max()), 64)
    for row, values in zip(batch, log_mels, strict=True):
        row[: len(values)] = torch.tensor(values)
    with torch.no_grad():
        found, n_frames = model.encoder(batch, lengths)
    for clip, waveform in enumerate(waveforms):
        expected, _ = hear("cnn10", state, waveform)
        assert n_frames[clip] == len(expected) == lengths[clip] // 16
        np.testing.assert_allclose(
            found[clip, : len(expected)], expected, atol=1e-4 * abs(expected).max()
        )


def test_training_leaves_the_statistics_as_published(tmp_path):
    state = save_checkpoint(tmp_path / "Cnn10.pth", "cnn10")
    model = build().train()
    model.load_pretrained({"encoder": tmp_path / "Cnn10.pth"})
    features, n_frames = {FRONTEND: torch.randn(2, 40, 64)}, {FRONTEND: torch.tensor([40, 21])}
    model.encode(features, n_frames).values.sum().backward()
    for name, value in model.encoder.named_buffers():
        assert torch.equal(value, state[name]), name
    gains = {name for name, _ in model.encoder.named_parameters() if ".bn" in name}
    assert len(gains) == 16 and {"conv_block4.bn2.weight", "conv_block4.bn2.bias"} < gains


@pytest.mark.parametrize("n_frames", [1, 15, 16, 31, 32, 33])
def test_sixteen_frames_to_a_position_one_at_least(n_frames):
    memory = build().encode(
        {FRONTEND: torch.randn(1, n_frames, 64)}, {FRONTEND: torch.tensor([n_frames])}
    )
    assert memory.values.shape[1] == memory.mask.sum() == max(1, n_frames // 16)


def test_many_clips_are_encoded_a_few_at_a_time():
    model = build(n_channels=[4, 8]).eval()
    n_clips = 2 * ENCODED_AT_ONCE + 3
    features = {FRONTEND: torch.randn(n_clips, 40, 64)}
    n_frames = {FRONTEND: torch.arange(n_clips) % 40 + 1}
    at_once = model.encode(features, n_frames)
    seen = []
    model.encoder.register_forward_hook(lambda module, given, output: seen.append(len(given[0])))
    with torch.no_grad():
        in_parts = model.encode(features, n_frames)
    assert seen == [ENCODED_AT_ONCE, ENCODED_AT_ONCE, 3]
    torch.testing.assert_close(in_parts.values, at_once.values.detach())
    assert torch.equal(in_parts.mask, at_once.mask)


def test_without_pretrained_weights_features_are_normalised():
    model = build(n_channels=[4]).eval()
    mean, std = np.linspace(-60, -20, 64), np.full(64, 12.0)
    std[3] = 0  # constant: centred, not scaled
    features = torch.randn(1, 8, 64) * 12 - 40
    expected = model.encode(
        {FRONTEND: ((features - torch.tensor(mean)) / torch.tensor(np.where(std, std, 1))).float()},
        {FRONTEND: torch.tensor([8])},
    )
    model.set_normalisation({FRONTEND: (mean, std)})
    found = model.encode({FRONTEND: features}, {FRONTEND: torch.tensor([8])})
    torch.testing.assert_close(found.values, expected.values, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"n_channels": [64, 128, 256]}, r"conv_block4\.bn1\.bias is unknown"),
        ({"n_channels": [64, 128, 256, 48]}, r"conv_block4\.bn1\.bias is \(512,\) instead of \(48"),
        ({"n_channels": [64, 128, 256, 512, 8]}, r"conv_block5\.bn1\.bias is missing"),
        ({"n_features": 40}, r"bn0\.bias is \(64,\) instead of \(40,\).*logmel-panns"),
    ],
)
def test_another_networks_checkpoint_is_refused(tmp_path, changes, told):
    save_checkpoint(tmp_path / "x.pth", "cnn10")
    with pytest.raises(InputError, match=told):
        build(**changes).load_pretrained({"encoder": tmp_path / "x.pth"})


def test_other_parts_are_refused(tmp_path):
    with pytest.raises(InputError, match="found 'decoder'; the family cnn_transformer has the pre"):
        build().load_pretrained({"decoder": tmp_path / "x.pth"})


@pytest.mark.parametrize(
    ("n_features", "settings", "message"),
    [
        (15, {}, r"found 15 features a frame; expected 16 or more, which the 4 pools"),
        (64, {"n_channels": []}, r"n_channels is \[\]; expected positive numbers"),
        (64, {"encoder_dropout": 1.0}, r"encoder_dropout is 1.0; expected 0 <= encoder_dropout"),
        (64, {"input_dropout": -1.0}, r"input_dropout is -1.0"),
        (64, {"n_heads": 3}, r"n_hidden is 16; expected a multiple of 2 \* n_heads \(3\)"),
        (64, {"n_word_values": -1}, r"n_word_values is -1; expected 0 or more"),
    ],
)
def test_impossible_values_are_named(n_features, settings, message):
    with pytest.raises(InputError, match=message):
        build(n_features, **settings)
