"""A model folder: saved, loaded with nothing else, refused where it is none."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from captioner.errors import InputError
from captioner.models.checkpoint import load_model, save_model
from captioner.models.registry import FAMILIES, build_model
from captioner.text.vocabulary import Vocabulary

SETTINGS = {
    "dcase_baseline": {"n_hidden": 8},
    "conv_transformer": {"n_channels": [4], "n_hidden": 16},
    "crnn_attention": {"n_channels": [4], "n_hidden": 16},
    "embedding_transformer": {"n_hidden": 16, "n_layers": 1, "n_feedforward": 32},
    "cnn_transformer": {"n_channels": [4], "n_hidden": 16, "n_layers": 1, "n_feedforward": 32},
}


def vocabulary(n_words: int = 10) -> Vocabulary:
    tokens = ["<sos>", "<eos>", *(f"wörd{i}" for i in range(n_words))]
    settings = {
        "text_rule": "task",
        "order": "frequency",
        "specials": "first",
        "minimum_count": 1,
        "unknown": False,
    }
    return Vocabulary(tokens, [1] * len(tokens), settings, [])


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture
def saved(tmp_path, family):
    torch.manual_seed(4)
    model = build_model(family, SETTINGS[family], {"logmel": 6}, 12, 0, 1)
    folder = tmp_path / "a b.c [1] 'ü'" / "model"
    save_model(folder, model, vocabulary(), {"title": "A title", "seed": 7})
    return model, folder


def output(model):
    x = torch.arange(60.0).reshape(1, 10, 6).sin()
    memory = model.eval().encode({"logmel": x}, {"logmel": torch.tensor([10])})
    return model(memory, model.embed(torch.tensor([[0, 3, 4]])))


def test_round_trip(saved, family):
    model, folder = saved
    model.set_normalisation({"logmel": (torch.arange(6.0), torch.arange(1.0, 7.0))})
    save_model(folder, model, vocabulary(), {"title": "A title", "seed": 7})  # replaces the folder
    loaded = load_model(folder)
    assert torch.equal(output(loaded.model), output(model))
    assert not loaded.model.training
    assert loaded.vocabulary == vocabulary()
    assert loaded.description["family"] == family
    assert loaded.description["seed"] == 7
    assert loaded.description["n_parameters"] == model.n_parameters()
    assert loaded.description["versions"]["torch"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "model.json",
        "vocabulary.json",
        "weights.safetensors",
    ]
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_training_mode_is_not_changed(saved):
    model, folder = saved
    model.train()
    save_model(folder, model, vocabulary(), {})
    assert model.training


@pytest.mark.parametrize("name", ["weights.safetensors", "model.json", "vocabulary.json"])
def test_a_folder_without_one_of_its_files(saved, name):
    _, folder = saved
    (folder / name).unlink()
    with pytest.raises(InputError, match=rf"is no model: found no {name}; expected") as error:
        load_model(folder)
    assert str(folder) in str(error.value)


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match="nowhere is no model"):
        load_model(tmp_path / "nowhere")


def test_weights_that_do_not_match_are_named(saved):
    model, folder = saved
    names = list(model.state_dict())
    weights = load_file(folder / "weights.safetensors")
    weights["extra"] = weights.pop(names[0])
    weights[names[1]] = torch.zeros(3)
    save_file(weights, folder / "weights.safetensors")
    with pytest.raises(InputError) as error:
        load_model(folder)
    for part in (f"{names[0]} is missing", "extra is unknown", f"{names[1]} is (3,) instead of ("):
        assert part in str(error.value)


@pytest.mark.parametrize("name", ["weights.safetensors", "model.json"])
def test_truncated_files(saved, name):
    _, folder = saved
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        load_model(folder)


def test_json_of_something_else(saved):
    _, folder = saved
    (folder / "model.json").write_text('{"title": "no model"}')
    with pytest.raises(InputError, match=r"cannot be read \(KeyError: 'family'\)"):
        load_model(folder)


def test_another_models_vocabulary(saved):
    _, folder = saved
    vocabulary(11).save(folder / "vocabulary.json")
    with pytest.raises(InputError, match=r"vocabulary.json has 13 tokens; model.json says 12"):
        load_model(folder)


def test_a_family_of_another_version(saved):
    _, folder = saved
    description = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(description | {"family": "hal9000"}))
    with pytest.raises(InputError, match="unknown system family 'hal9000'"):
        load_model(folder)
