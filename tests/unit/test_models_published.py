"""Published weights of a system: imported, they say what the published network says."""

import csv
import json

import numpy as np
import pytest
import torch
import yaml
from test_models_dcase_baseline import PlainBaseline
from training_corpus import FRONTEND, VOCABULARY, features_of, write_shard

from captioner.decoding.decode import decode_clips
from captioner.decoding.options import DecodingOptions
from captioner.errors import InputError
from captioner.models.checkpoint import load_model
from captioner.models.published import import_weights
from captioner.models.registry import build_model
from captioner.text.vocabulary import build_vocabulary

SETTINGS = {
    "family": "dcase_baseline",
    "model": {"n_hidden": 8, "n_steps": 7, "dropout": 0.25},
    "weights": "published.pt",
}
WORDS = build_vocabulary(
    ["rain falls on a tin roof", "wind howls"],
    {**VOCABULARY, "order": "appearance", "specials": "last"},
    [{"corpus": "tiny", "splits": ["development"]}],
)
NAMES = [f"clip {n}.wav" for n in range(12)]
FEATURES = {name: values.astype(np.float32) for name, values in features_of(NAMES, 0).items()}


def published(n_more_tokens=0, n_hidden=8):
    """The released network, written plainly, with weights that tell clips apart."""
    torch.manual_seed(2)
    network = PlainBaseline(6, n_hidden, len(WORDS) + n_more_tokens, 7)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3)
    return network


@pytest.fixture
def job(tmp_path):
    WORDS.save(tmp_path / "vocabulary.json")
    torch.save(published().state_dict(), tmp_path / "published.pt")
    return {
        "system": "released",
        "settings": SETTINGS,
        "weights": tmp_path / "published.pt",
        "vocabulary": tmp_path / "vocabulary.json",
        "shards": {"logmel": write_shard(tmp_path / "0.parquet", FEATURES)},
        "task_token": None,
        "encoders": {},
        "model_folder": tmp_path / "a model",
    }


def refusal(job, content):
    torch.save(content, job["weights"])
    with pytest.raises(InputError) as error:
        import_weights(**job)
    assert not job["model_folder"].exists()
    message = str(error.value)
    assert message.startswith(f"{job['weights']}: found ")
    return message


@torch.inference_mode()
def said_by(network):
    """Greedy, as the released code decodes: the most likely word of each of the steps."""
    best = {
        name: network(torch.from_numpy(features)[None])[0].argmax(-1).tolist()
        for name, features in FEATURES.items()
    }
    return {name: WORDS.decode(indices) for name, indices in best.items()}


def test_the_model_says_what_the_published_network_says(job):
    import_weights(**job)
    loaded = load_model(job["model_folder"])
    options = DecodingOptions(max_length=7)
    found = decode_clips(loaded, {"logmel": FEATURES}, NAMES, options)
    expected = said_by(published())
    assert len(set(expected.values())) > 3
    assert {name: WORDS.decode(best[0].tokens) for name, best in found.items()} == expected


@pytest.mark.parametrize("zipped", [True, False])  # False: as PyTorch before 1.6 saved
def test_the_weights_are_the_published_ones(job, zipped):
    state = published().state_dict()
    torch.save(state, job["weights"], _use_new_zipfile_serialization=zipped)
    import_weights(**job)
    found = load_model(job["model_folder"]).model.state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_what_the_folder_says(job):
    import_weights(**job)
    said = json.loads((job["model_folder"] / "model.json").read_text(encoding="utf-8"))
    assert said["weights"] == "published.pt" and said["frontends"] == {"logmel": FRONTEND}
    assert said["trained_on"] == [] and said["seed"] is None and said["best"] is None
    assert said["settings"] == SETTINGS and said["dims"]["n_tokens"] == len(WORDS)


def test_another_number_of_classes_says_both_and_what_to_do(job):
    message = refusal(job, published(n_more_tokens=2).state_dict())
    for part in (
        f"found weights for {len(WORDS) + 2} classes (decoder.classifier.weight)",
        f"expected {len(WORDS)}, the tokens of the vocabulary, which was counted on tiny (develop",
        "set `corpus` and the system's `vocabulary`",
        "`weights: null`",
    ):
        assert part in message


def test_a_whole_network_needs_code_and_is_refused(job):
    message = refusal(job, published())
    assert "needs code to be read" in message and "Nothing was executed" in message
    assert "`state_dict()`, not the network" in message


@pytest.mark.parametrize(
    ("wrap", "found"),
    [
        (lambda state: {"model": state, "epoch": 3}, "found a dict of 'model', 'epoch', expected"),
        (lambda state: {**state, "epoch": 3}, ", 'epoch', expected a state dict"),
        (lambda state: list(state.values()), "found list, expected a state dict"),
        (lambda state: state["decoder.classifier.bias"], "found Tensor, expected a state dict"),
    ],
)
def test_other_forms_are_refused(job, wrap, found):
    assert found in refusal(job, wrap(published().state_dict()))


def test_another_network_is_refused_by_the_names_that_differ(job):
    state = published(n_hidden=4).state_dict()
    with pytest.raises(InputError, match=r"does not fit a dcase_baseline.*gru_1\.bias_hh_l0 is"):
        torch.save(state, job["weights"])
        import_weights(**job)
    state = {f"module.{name}": value for name, value in published().state_dict().items()}
    with pytest.raises(InputError, match=r"decoder\.rnn\.bias_hh_l0 is missing; .* is unknown"):
        torch.save(state, job["weights"])
        import_weights(**job)


def test_clotho_has_the_classes_of_the_published_weights(shared_data, repository):
    """The released rule counts 4371 classes; the released model then has 4,574,739 parameters."""
    config = yaml.safe_load((repository / "config/config.yaml").read_text())
    system = yaml.safe_load((repository / "config/systems/baseline_released.yaml").read_text())
    with (shared_data / "clotho_captions_development.csv").open(encoding="utf-8") as file:
        captions = [row[f"caption_{n}"] for row in csv.DictReader(file) for n in range(1, 6)]
    settings = {
        "minimum_count": 1,
        "unknown": False,
        **config["vocabularies"][system["vocabulary"]],
    }
    words = build_vocabulary(captions, settings, [])
    assert len(words) == 4371
    model = build_model(
        system["family"], system["model"], {"logmel-released": 64}, 4371, words.sos, words.eos
    )
    assert model.n_parameters() == 4_574_739
