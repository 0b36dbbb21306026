"""An encoder is added as one file plus one YAML: nothing else knows of it."""

import numpy as np
import pytest
import soundfile
import torch
from encoder_reference import noise, published_transform
from spectrogram_transformer import SpectrogramTransformer

from captioner.audio.encoders import frontend as encoder_frontend
from captioner.audio.frontends import FRONTENDS, build_frontend, hear_files
from captioner.errors import InputError
from captioner.settings import read_yaml, resolve
from captioner.store.schema import ShardMetadata

YAML = """\
kind: spectrogram_transformer
sample_rate_hz: 32000
checkpoint: untrained.pth
precision: float32
storage: float16
"""


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(5)
    state = SpectrogramTransformer().state_dict()
    torch.save({"model": {**state, **published_transform(64)}}, tmp_path / "untrained.pth")
    return tmp_path / "untrained.pth"


@pytest.fixture
def third(weights, tmp_path, monkeypatch, repository):
    """Give the front-end from its YAML, through the schema and the registry."""
    monkeypatch.setitem(FRONTENDS, "spectrogram_transformer", "spectrogram_transformer")
    (tmp_path / "ast.yaml").write_text(YAML)
    schema = read_yaml(repository / "workflow" / "schemas" / "frontend.schema.yaml")
    named = resolve(str(tmp_path / "ast.yaml"), "front-end", tmp_path, schema)
    return build_frontend(named.settings, weights)


def test_it_hears_files_as_the_others_do(third, tmp_path):
    paths = []
    for index, duration_s in enumerate((1.0, 2.5, 0.05)):
        paths.append(tmp_path / f"{index}.wav")
        soundfile.write(paths[-1], noise(duration_s, index), 32000)
    heard = hear_files(third, paths)
    assert [clip.features.shape for clip in heard] == [(6, 48), (15, 48), (1, 48)]
    for path, clip in zip(paths, heard, strict=True):
        alone = hear_files(third, [path])[0]
        assert abs(clip.features - alone.features).max() < 1e-5
        assert abs(clip.tags - alone.tags).max() < 1e-5
        assert clip.tags.shape == (527,)
    assert ShardMetadata.from_frontend(third).weights_md5 == third.weights_md5 != ""


def test_a_network_that_sees_the_whole_clip_is_given_it(third, monkeypatch):
    waveform = noise(3.0)
    whole = third(waveform)
    monkeypatch.setattr(encoder_frontend, "LONGEST_PIECE_S", 0.5)
    assert np.array_equal(third(waveform), whole)


def test_its_checkpoint_is_checked_like_the_others(weights, third, tmp_path):
    content = torch.load(weights, weights_only=True)
    del content["model"]["head.bias"]
    torch.save(content, weights)
    with pytest.raises(InputError, match=r"not of SpectrogramTransformer: head\.bias is missing"):
        build_frontend(third.settings, weights)
