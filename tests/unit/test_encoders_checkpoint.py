"""Published checkpoints: read whatever a training left beside the weights, run nothing."""

import builtins
import hashlib

import numpy as np
import pytest
import torch
from encoder_reference import published_state
from torch.optim.lr_scheduler import OneCycleLR

from captioner.audio.encoders.checkpoint import file_md5, load_weights
from captioner.audio.encoders.convnext import ConvNextTiny
from captioner.audio.encoders.panns import Cnn10, Cnn14
from captioner.errors import InputError


@pytest.fixture(scope="module")
def state():
    return published_state("cnn10")


def save(path, content, **options):
    torch.save(content, path, **options)
    return path


def load(path, kind=Cnn10):
    with torch.device("meta"):
        network = kind()
    load_weights(network, path)
    return network


@pytest.mark.parametrize("zipped", [True, False])  # False: as PyTorch before 1.6 saved
def test_the_published_form_loads(state, tmp_path, zipped):
    content = {"iteration": 600000, "model": state}
    path = save(tmp_path / "a.pth", content, _use_new_zipfile_serialization=zipped)
    loaded = load(path).state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_half_precision_becomes_float32(state, tmp_path):
    half = {name: v.half() if v.is_floating_point() else v for name, v in state.items()}
    loaded = load(save(tmp_path / "a.pth", {"model": half})).state_dict()
    assert {value.dtype for value in loaded.values()} == {torch.float32, torch.int64}
    assert torch.equal(loaded["bn0.bias"], state["bn0.bias"].half().float())


def test_what_a_training_keeps_beside_the_weights(state, tmp_path):
    """Scores and orders by numpy, an optimiser, a schedule that holds its cosine, a method."""
    parameter = torch.nn.Parameter(torch.zeros(3))
    optimiser = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    optimiser.step()
    rest = {
        "test_mAP": np.float64(0.471),
        "iteration": np.int64(75000),
        "optimizer": optimiser.state_dict(),
        "scheduler": {"anneal_func": OneCycleLR._annealing_cos, "total_steps": 75000},
        "sampler": {
            "indexes_per_class": [np.arange(5), np.array([2, 1], np.int32)],
            "queue": [1, 2],
        },
    }
    content = {**rest, "model": state}
    loaded = load(save(tmp_path / "a.pth", content)).state_dict()
    assert torch.equal(loaded["fc1.weight"], state["fc1.weight"])
    # numpy 1 wrote `numpy.core`, without underscore.
    content = save(tmp_path / "b.pth", content, _use_new_zipfile_serialization=False).read_bytes()
    assert b"numpy._core" in content
    (tmp_path / "b.pth").write_bytes(content.replace(b"numpy._core", b"numpy.core"))
    load(tmp_path / "b.pth")


class Attack:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("call", ["system", "open", "eval", "exec"])
def test_code_is_refused_and_not_run(state, tmp_path, call, zipped):
    marker = tmp_path / "ran"
    command = f"open({str(marker)!r}, 'w')"
    attack = {
        "system": Attack(__import__("os").system, f"touch {marker}"),
        "open": Attack(builtins.open, str(marker), "w"),
        "eval": Attack(builtins.eval, command),
        "exec": Attack(builtins.exec, command),
    }[call]
    path = save(
        tmp_path / "a.pth",
        {"model": state, "note": attack},
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(InputError, match=rf"a\.pth: found .* needs code to be read \(.*{call}\)"):
        load(path)
    assert not marker.exists()


def test_a_method_that_is_let_in_is_not_called(state, tmp_path):
    """`getattr` stands in a schedule's state; what it would fetch is neither fetched nor called."""
    marker = tmp_path / "ran"
    fetched = Attack(getattr, OneCycleLR, "__init__")
    save(tmp_path / "a.pth", {"model": state, "note": fetched})
    load(tmp_path / "a.pth")
    save(tmp_path / "b.pth", {"model": state, "note": Attack(getattr, marker, "touch")})
    with pytest.raises(InputError, match="needs code to be read"):  # pathlib's path
        load(tmp_path / "b.pth")
    assert not marker.exists()


def test_every_name_that_does_not_match_is_listed(state, tmp_path):
    changed = dict(state)
    del changed["fc1.bias"], changed["conv_block2.bn1.running_var"]
    changed["fc2.weight"] = torch.zeros(2)
    changed["logmel_extractor.melW"] = state["logmel_extractor.melW"].T
    with pytest.raises(InputError) as error:
        load(save(tmp_path / "x.y.pth", {"model": changed}))
    for part in (
        f"{tmp_path / 'x.y.pth'}: found a checkpoint that is not of Cnn10: ",
        "conv_block2.bn1.running_var is missing; fc1.bias is missing; fc2.weight is unknown; "
        "logmel_extractor.melW is (64, 513) instead of (513, 64)",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        (Cnn14, "conv_block6.conv2.weight is missing"),
        (ConvNextTiny, "stages.2.8.gamma is missing"),
    ],
)
def test_another_networks_checkpoint(state, tmp_path, kind, part):
    with pytest.raises(InputError, match=f"not of {kind.__name__}") as error:
        load(save(tmp_path / "a.pth", {"model": state}), kind)
    assert part in str(error.value)


def test_files_that_are_no_checkpoint(state, tmp_path):
    whole = save(tmp_path / "whole.pth", {"model": state}).read_bytes()
    old = save(tmp_path / "old.pth", {"model": state}, _use_new_zipfile_serialization=False)
    bad = {
        "empty": b"",
        "half": whole[: len(whole) // 2],
        "half_of_an_old_one": old.read_bytes()[:100000],
        "page": b"<!DOCTYPE html><title>404 Not Found</title>" * 20,
        "text": b"no checkpoint",
        "zip": b"PK\x03\x04" + bytes(300),
        # What the unpickler meets in other files: an empty stack, mark or memo, wrong operands.
        "words": b"a 0.1 0.2\nbell 0.3 0.4\n",
        "mark": b"(t.",
        "memo": b"h\x05.",
        "build": b"}]b.",
        "short": b"J\x01",
    }
    for name, content in bad.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}: found a file that cannot be read as"):
            load(path)
    with pytest.raises(InputError, match="nowhere: found no such file"):
        load(tmp_path / "nowhere")
    with pytest.raises(InputError, match="found no such file"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"state_dict": {}}, "found 'state_dict', expected a dict with the weights under 'model'"),
        ({"model": {"a": 1}}, "found 'model', expected"),
        ({"model": torch.zeros(2)}, "found 'model', expected"),
        (torch.zeros(2), "found <class 'torch.Tensor'>, expected"),
    ],
)
def test_checkpoints_of_another_form(tmp_path, content, found):
    with pytest.raises(InputError) as error:
        load(save(tmp_path / "a.pth", content))
    assert found in str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        "logmel_extractor.melW",
        "spectrogram_extractor.stft.conv_real.weight",
        "spectrogram_extractor.stft.conv_imag.weight",
    ],
)
def test_a_network_of_other_log_mels_is_refused(state, tmp_path, name):
    other = {**state, name: state[name].flip(0)}
    network = load(save(tmp_path / "a.pth", {"model": other}))
    with pytest.raises(InputError, match=rf"a\.pth: found {name} .* off the transform of 32000 Hz"):
        network.prepare(tmp_path / "a.pth")
    not_finite = {**state, name: state[name] * float("nan")}
    network = load(save(tmp_path / "a.pth", {"model": not_finite}))
    with pytest.raises(InputError, match="off the transform"):
        network.prepare(tmp_path / "a.pth")


def test_md5(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(256)) * 1000)
    assert file_md5(tmp_path / "a") == hashlib.md5(bytes(range(256)) * 1000).hexdigest()
