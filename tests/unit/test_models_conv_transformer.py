"""The convolutional Transformer's encoder: lengths, padding, normalisation, settings."""

import numpy as np
import pytest
import torch

from captioner.errors import InputError
from captioner.models.registry import build_model


def build(n_features: int = 64, **settings):
    small = {"n_channels": [4, 4, 4], "n_hidden": 16, "n_heads": 2, "n_feedforward": 16}
    return build_model("conv_transformer", small | settings, {"logmel": n_features}, 20, 0, 1)


def encode(model, x: torch.Tensor, *n_frames: int):
    return model.encode({"logmel": x}, {"logmel": torch.tensor(n_frames)})


@pytest.mark.parametrize("n_frames", [1, 2, 7, 8, 9, 16, 17, 259, 260])
def test_eight_frames_to_a_position_rounded_up(n_frames):
    memory = encode(build().eval(), torch.randn(1, n_frames, 64), n_frames)
    assert memory.values.shape == (1, -(-n_frames // 8), 16)
    assert memory.mask.all()


def test_mask_counts_a_clips_own_positions():
    memory = encode(build().eval(), torch.randn(4, 40, 64), 40, 1, 9, 16)
    assert memory.mask.sum(dim=1).tolist() == [5, 1, 2, 2]
    assert memory.mask[:, 0].all()


def test_padding_leaks_in_training_neither():
    """Without dropout, training gives what evaluation gives: no statistics of the batch."""
    model = build(dropout=0.0).train()
    x = torch.randn(2, 30, 64)
    batched = encode(model, x, 30, 11).values[1, :2]
    alone = encode(model, x[1:, :11], 11).values[0]
    torch.testing.assert_close(alone, batched, atol=1e-5, rtol=0)


@pytest.mark.parametrize("n_features", [1, 40, 65])
def test_any_number_of_features(n_features):
    memory = encode(build(n_features).eval(), torch.randn(2, 20, n_features), 20, 20)
    assert memory.values.isfinite().all()


def test_normalisation_equals_normalised_features():
    torch.manual_seed(2)
    model, plain = build().eval(), build(normalise=False).eval()
    plain.load_state_dict(
        {n: v for n, v in model.state_dict().items() if not n.startswith("normalisation")}
    )
    x = torch.randn(2, 30, 64) * 4 - 7
    mean, std = np.linspace(-9, -5, 64), np.linspace(1, 5, 64)
    model.set_normalisation({"logmel": (mean, std)})
    normalised = (x - torch.tensor(mean)) / torch.tensor(std)
    expected = encode(plain, normalised.float(), 30, 17)
    found = encode(model, x, 30, 17)
    torch.testing.assert_close(found.values[0], expected.values[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(found.values[1, :3], expected.values[1, :3], atol=1e-5, rtol=0)
    assert {"normalisation.mean", "normalisation.std"} <= set(model.state_dict())
    assert not any(name.startswith("normalisation") for name in plain.state_dict())


def test_a_constant_feature_is_centred_not_scaled():
    model = build().eval()
    model.set_normalisation({"logmel": (np.zeros(64), np.zeros(64))})
    assert encode(model, torch.randn(1, 20, 64), 20).values.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_heads": 3}, r"n_hidden is 16; expected a multiple of 2 \* n_heads \(3\)"),
        ({"n_channels": []}, r"n_channels is \[\]; expected positive numbers"),
        ({"n_channels": [8, 0]}, r"n_channels is \[8, 0\]"),
        ({"dropout": 1.0}, r"dropout is 1.0; expected 0 <= dropout < 1"),
        ({"n_encoder_layers": -1}, r"n_encoder_layers is -1; expected 0 or more"),
    ],
)
def test_impossible_values_are_named(settings, message):
    with pytest.raises(InputError, match=message):
        build(**settings)
