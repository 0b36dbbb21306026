"""Trainings that start from something: another model's weights, word vectors, checkpoints."""

import csv
import json
from dataclasses import replace

import pytest
import torch
from plain_tokens import use_plain_tokens
from safetensors.torch import load_file, save_file
from training_corpus import make_corpus, make_settings

from captioner.errors import InputError
from captioner.store.shards import FeatureStore
from captioner.text.vocabulary import Vocabulary
from captioner.training.train import train_system


@pytest.fixture(autouse=True)
def plain_tokens(monkeypatch):
    use_plain_tokens(monkeypatch.setattr)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model folder to start from; its corpus; another corpus with the same words."""
    folder = tmp_path_factory.mktemp("trained")
    corpus = make_corpus(folder / "first")
    with pytest.MonkeyPatch.context() as patch:
        use_plain_tokens(patch.setattr)
        train_system(settings=make_settings(epochs=2, learning_rate=0.01), **corpus)
    return corpus["model_folder"]


@pytest.fixture
def corpus(tmp_path):
    return make_corpus(tmp_path)


STILL = {"epochs": 1, "learning_rate": 1e-30}


def weights(folder):
    return load_file(folder / "weights.safetensors")


def test_a_training_that_only_harms_gives_back_its_start(corpus, trained):
    """Epoch 0 is the start: it is scored, and kept where no epoch is better."""
    settings = make_settings(epochs=3, learning_rate=3.0, patience=2)
    train_system(settings=settings, **corpus, start=trained)
    described = json.loads((corpus["model_folder"] / "model.json").read_text(encoding="utf-8"))
    before = json.loads((trained / "model.json").read_text(encoding="utf-8"))
    assert described["best"]["epoch"] == 0
    losses = [before["best"]["validation_loss"], described["best"]["validation_loss"]]
    assert losses[1] == pytest.approx(losses[0])
    mine, theirs = weights(corpus["model_folder"]), weights(trained)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    with corpus["history"].open(encoding="utf-8", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2"]  # patience


def test_starts_from_the_weights_and_normalisation_of_another_model(corpus, trained, tmp_path):
    """A training that moves nothing has them at its end, though its own features differ."""
    statistics = tmp_path / "others.json"
    FeatureStore(corpus["validation"].shards["logmel"]).statistics().save(statistics)
    changed = {"statistics": {"logmel": [statistics]}, "seed": 7}
    settings = make_settings(**STILL)
    settings["model"] = settings["model"] | {"dropout": 0.4}  # no weights depend on it
    train_system(settings=settings, **corpus | changed, start=trained)
    mine, theirs = weights(corpus["model_folder"]), weights(trained)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    described = json.loads((corpus["model_folder"] / "model.json").read_text(encoding="utf-8"))
    assert described["dims"]["dropout"] == 0.4
    train_system(settings=settings, **corpus | changed)
    assert not torch.equal(
        weights(corpus["model_folder"])["embedding.weight"], theirs["embedding.weight"]
    )


def refused(corpus, start, settings=None):
    with pytest.raises(InputError) as caught:
        train_system(settings=settings or make_settings(**STILL), **corpus, start=start)
    message = str(caught.value)
    assert f"another model in {start}" in message and "same family" in message
    return message


def test_another_family_is_refused(corpus, trained):
    message = refused(corpus, trained, make_settings("dcase_baseline", **STILL))
    assert "family 'conv_transformer' there, 'dcase_baseline' here" in message


@pytest.mark.parametrize("name, value", [("n_heads", 8), ("n_hidden", 32), ("n_channels", [4, 6])])
def test_other_dims_are_refused_those_without_a_shape_too(corpus, trained, name, value):
    settings = make_settings(**STILL)
    settings["model"] = settings["model"] | {name: value}
    message = refused(corpus, trained, settings)
    there = json.loads((trained / "model.json").read_text(encoding="utf-8"))["dims"][name]
    assert f"{name} {there} there, {value} here" in message


def test_another_vocabulary_is_refused(corpus, trained):
    path = corpus["vocabulary"]
    content = json.loads(path.read_text(encoding="utf-8"))
    words = Vocabulary.load(path).tokens
    path.write_text(
        json.dumps(content).replace('"wind"', '"breeze"').replace('"howls"', '"wind"'),
        encoding="utf-8",
    )
    corpus["sources"] = [replace(corpus["sources"][0], corpus="other")]
    place = min(words.index("wind"), words.index("howls"))
    message = refused(corpus, trained)
    assert f"the vocabulary's token {place} is {words[place]!r} there" in message


def test_other_features_are_refused(corpus, trained, tmp_path):
    description = trained / "model.json"
    folder = tmp_path / "model"
    folder.mkdir()
    for file in trained.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    content = json.loads(description.read_text(encoding="utf-8"))
    content["frontends"]["logmel"]["n_mels"] = 5
    (folder / "model.json").write_text(json.dumps(content), encoding="utf-8")
    assert "front-ends {'logmel': {'kind': 'logmel', 'n_mels': 5}} there" in refused(corpus, folder)


def test_no_model_to_start_from(corpus, tmp_path):
    with pytest.raises(InputError, match="is no model"):
        train_system(settings=make_settings(**STILL), **corpus, start=tmp_path)


def word_vectors(corpus, path, n_values=5):
    words = Vocabulary.load(corpus["vocabulary"])
    values = torch.randn(len(words), n_values, generator=torch.Generator().manual_seed(3))
    known = torch.arange(len(words)) % 3 != 0
    save_file({"values": values, "known": known}, path)
    return values, known


@pytest.mark.parametrize("frozen", [True, False])
def test_word_embeddings_start_from_a_file(corpus, tmp_path, frozen):
    path = tmp_path / "vectors.safetensors"
    values, known = word_vectors(corpus, path)
    settings = make_settings("crnn_attention", epochs=2, learning_rate=1e-3)
    settings["model"] = settings["model"] | {"n_word_values": 5}
    settings["word_embeddings"] = {"source": "file", "path": "words.txt", "frozen": frozen}
    train_system(settings=settings, **corpus, word_embeddings=path)
    (found,) = [v for v in weights(corpus["model_folder"]).values() if v.shape == values.shape]
    mean_square = values[known].square().mean() * values.shape[1]  # brought to the random ones'
    moved = (found - values / mean_square.sqrt())[known].abs().max()
    assert moved < 1e-6 if frozen else 1e-3 < moved < 0.1


def test_a_checkpoint_that_the_family_does_not_take(corpus, tmp_path):
    with pytest.raises(InputError, match=r"pretrained: found 'encoder'"):
        train_system(settings=make_settings(), **corpus, pretrained={"encoder": tmp_path / "x.pth"})


def test_what_is_started_from_is_part_of_the_digest(corpus, trained, tmp_path, monkeypatch):
    """Each gives another name to the state, and the same content the same."""
    found = []
    original = train_system.__globals__["digest"]

    def spy(inputs):
        found.append(original(inputs))
        return found[-1]

    monkeypatch.setitem(train_system.__globals__, "digest", spy)
    copied = tmp_path / "copied"
    copied.mkdir()
    for file in trained.iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    path = tmp_path / "vectors.safetensors"
    word_vectors(corpus, path, 16)
    settings = make_settings(**STILL) | {"word_embeddings": {"frozen": False}}
    frozen = settings | {"word_embeddings": {"frozen": True}}
    for changed in (
        {"settings": settings},
        {"settings": settings, "start": trained},
        {"settings": settings, "start": copied},
        {"settings": settings, "word_embeddings": path},
        {"settings": frozen, "word_embeddings": path},
    ):
        train_system(**corpus, **changed)
    assert found[1] == found[2] and len(set(found)) == 4
