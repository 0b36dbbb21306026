"""Frames are where the front-ends hear them."""

import numpy as np
import pytest
import torch
import yaml

from captioner.audio.encoders.convnext import ConvNextTiny
from captioner.audio.encoders.network import HOP, SAMPLE_RATE_HZ
from captioner.audio.encoders.panns import Cnn10, Cnn14
from captioner.audio.frontends import FRONTENDS, build_frontend
from captioner.audio.timing import EMBEDDINGS, LOGMEL_HOP_S, frame_times
from captioner.errors import InputError


def test_every_front_end_has_times():
    assert {"logmel", *EMBEDDINGS} == set(FRONTENDS)
    with pytest.raises(InputError, match=r"found 'mine', expected one whose frames"):
        frame_times({"kind": "mine"})


@pytest.mark.parametrize("name", ["logmel-dcase", "logmel-panns"])
def test_a_click_is_in_its_frame(repository, name):
    settings = yaml.safe_load((repository / f"config/frontends/{name}.yaml").read_text())
    waveform = np.zeros(2 * settings["sample_rate_hz"], np.float32)
    click_s = 0.8
    waveform[round(click_s * settings["sample_rate_hz"])] = 1.0
    loudest = build_frontend(settings)(waveform).sum(axis=1).argmax()
    times = frame_times(settings)
    assert abs(times.middle_s(loudest) - click_s) <= times.hop_s / 2


@pytest.mark.parametrize("network", [Cnn10, Cnn14])
def test_embeddings_of_pools(network):
    """An embedding is in the middle of the frames of its pools."""
    kind = network.__name__.lower()
    assert EMBEDDINGS[kind] == ((network.stride - 1) / 2, network.stride)
    assert HOP / SAMPLE_RATE_HZ == LOGMEL_HOP_S


def test_embeddings_of_convnext():
    """Patches alone, without the blocks that look further: which frames does an embedding see?"""
    torch.manual_seed(1)
    network = ConvNextTiny()
    log_mels = torch.randn(1, 1, 320, network.n_mels, requires_grad=True)
    values = log_mels
    for layers in network.downsample_layers:
        values = layers(values)
    assert values.shape[2] == network.n_embeddings(320)
    position = 4
    (gradient,) = torch.autograd.grad(values[:, :, position].square().sum(), log_mels)
    seen = gradient.abs().sum(dim=(0, 1, 3)).nonzero().flatten()
    first, step = EMBEDDINGS["convnext_tiny"]
    assert (seen[0] + seen[-1]).item() / 2 == first + position * step
    assert len(seen) == step == network.stride
