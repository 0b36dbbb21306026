import csv
import dataclasses
import json
import logging
import math

import numpy as np
import pytest
import torch
from plain_tokens import use_plain_tokens
from safetensors.torch import load_file
from training_corpus import (
    NAMES,
    VOCABULARY,
    captions_of,
    features_of,
    make_corpus,
    make_settings,
    make_source,
    write_shard,
)

from captioner.corpus.tables import Annotation, write_annotations
from captioner.decoding.decode import decode_clips
from captioner.decoding.options import DecodingOptions
from captioner.errors import InputError
from captioner.memory import keep_freed_memory
from captioner.models.checkpoint import load_model
from captioner.models.registry import FAMILIES
from captioner.store.shards import FeatureStore
from captioner.store.statistics import compute_statistics
from captioner.text.vocabulary import build_vocabulary
from captioner.training import loop
from captioner.training.history import COLUMNS
from captioner.training.losses import batch_logits
from captioner.training.sources import load_source
from captioner.training.train import train_system


@pytest.fixture(autouse=True)
def plain_tokens(monkeypatch):
    use_plain_tokens(monkeypatch.setattr)


@pytest.fixture
def corpus(tmp_path):
    return make_corpus(tmp_path / "a corpus [1]")


def read_history(corpus):
    with corpus["history"].open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def weights(corpus):
    return load_file(corpus["model_folder"] / "weights.safetensors")


def equal(these, those):
    return these.keys() == those.keys() and all(torch.equal(these[k], those[k]) for k in these)


@pytest.mark.parametrize("batching", ["pairs", "clips"])
@pytest.mark.parametrize("family", FAMILIES)
def test_trains_and_leaves_a_model_and_a_history(corpus, family, batching):
    specaugment = {
        "time_stripes": 1,
        "time_width": 0.2,
        "frequency_stripes": 1,
        "frequency_width": 0.2,
    }
    settings = make_settings(
        family, batching=batching, epochs=8, learning_rate=0.01, specaugment=specaugment
    )
    train_system(settings=settings, **corpus)
    rows = read_history(corpus)
    assert tuple(rows[0]) == COLUMNS
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 9)]
    losses = [float(row["training_loss"]) for row in rows]
    assert losses[-1] < losses[0]
    absent = {"validation_spider", "reward"}
    assert all(row[column] == "" for row in rows for column in absent)
    assert all(float(row["validation_cider"]) >= 0 for row in rows)
    filled = set(COLUMNS) - absent - {"validation_cider"}
    assert all(float(row[column]) > 0 for row in rows for column in filled)
    described = json.loads((corpus["model_folder"] / "model.json").read_text(encoding="utf-8"))
    validation = [float(row["validation_loss"]) for row in rows]
    assert described["best"]["validation_loss"] == min(validation)
    assert described["best"]["epoch"] == 1 + validation.index(min(validation))
    assert described["settings"] == settings
    assert described["frontends"] == {"logmel": {"kind": "logmel", "n_mels": 6}}
    assert [described[key] for key in ("title", "system", "seed")] == ["A small system", "small", 1]
    own = {"corpus": "tiny", "split": "development", "weight": 1.0, "task_token": None}
    assert described["trained_on"] == [own | {"n_clips": 6, "n_leaks": 0}]
    assert not corpus["resume_folder"].exists()
    assert sorted(path.name for path in corpus["history"].parent.iterdir()) == [
        "history.csv",
        "model",
    ]


@pytest.mark.parametrize("padding_in_loss", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_best_weights_give_the_best_validation_loss(corpus, family, padding_in_loss):
    """The stored model's loss on the validation split, worked out position by position."""
    settings = make_settings(
        family, epochs=6, learning_rate=0.05, label_smoothing=0.2, padding_in_loss=padding_in_loss
    )
    train_system(settings=settings, **corpus)
    loaded = load_model(corpus["model_folder"])
    clips = load_source(corpus["validation"], loaded.vocabulary, "skip_word")
    batch = loop.make_batch(
        clips, clips.pairs(), loaded.vocabulary, loaded.model.padding, encode_once=False
    )
    with torch.no_grad():
        surprise = -batch_logits(loaded.model, batch).log_softmax(-1)
    values = [
        surprise[row, position, target].item()
        for row, targets in enumerate(batch.targets)
        for position, target in enumerate(targets)
        if padding_in_loss or position < batch.n_targets[row]
    ]
    expected = loaded.description["best"]["validation_loss"]
    assert np.mean(values) == pytest.approx(expected, rel=1e-5)


def test_same_seed_same_weights_and_other_seed_others(tmp_path):
    found = []
    for k, seed in enumerate((1, 1, 2)):
        corpus = make_corpus(tmp_path / str(k)) | {"seed": seed}
        train_system(settings=make_settings(epochs=2, batching="clips"), **corpus)
        found.append((weights(corpus), [row["training_loss"] for row in read_history(corpus)]))
    assert equal(found[0][0], found[1][0]) and found[0][1] == found[1][1]
    assert not equal(found[0][0], found[2][0]) and found[0][1] != found[2][1]


def scripted_validation(monkeypatch, losses):
    monkeypatch.setattr(
        loop.Trainer,
        "_validate",
        lambda self, epoch, progress: {"validation_loss": losses[epoch - 1]},
    )


def test_early_stopping_keeps_the_best(corpus, monkeypatch):
    kept = {}
    original = loop.Trainer._close_epoch

    def spy(self, state, *rest):
        kept[state.epoch] = {k: v.clone() for k, v in self.model.state_dict().items()}
        original(self, state, *rest)

    monkeypatch.setattr(loop.Trainer, "_close_epoch", spy)
    scripted_validation(monkeypatch, [3, 2, 2.5, 2.4, 1.0])
    train_system(settings=make_settings(epochs=9, patience=2), **corpus)
    assert len(read_history(corpus)) == 4
    assert equal(weights(corpus), kept[2]) and not equal(kept[2], kept[4])


def test_minimum_delta(corpus, monkeypatch):
    scripted_validation(monkeypatch, [3, 2.95, 2.91, 1.0])
    train_system(settings=make_settings(epochs=9, patience=2, minimum_delta=0.1), **corpus)
    assert len(read_history(corpus)) == 3
    assert load_model(corpus["model_folder"]).description["best"]["epoch"] == 1


def test_without_validation_the_last_epoch_is_kept(tmp_path, caplog):
    corpus = make_corpus(tmp_path, validation=False)
    with caplog.at_level(logging.WARNING):
        train_system(settings=make_settings(epochs=3, patience=1), **corpus)
    assert "no validation split" in caplog.text and "all 3 epochs" in caplog.text
    assert [row["validation_loss"] for row in read_history(corpus)] == [""] * 3
    assert load_model(corpus["model_folder"]).description["best"]["epoch"] == 3


def validation_batches(corpus, monkeypatch, **training):
    """Train for two epochs; give the pairs of every validation batch."""
    found = []
    original = loop.Trainer._loss_of

    def spy(self, clips, pairs, *scorer):
        found.append(pairs)
        return original(self, clips, pairs, *scorer)

    monkeypatch.setattr(loop.Trainer, "_loss_of", spy)
    train_system(settings=make_settings(epochs=2, **training), **corpus)
    return found[2:]  # the first two try the longest captions


def test_released_validation(corpus, monkeypatch):
    found = validation_batches(corpus, monkeypatch, validation_drop_last=True, batch_size=6)
    assert [len(pairs) for pairs in found] == [6] * 6  # 20 captions: three batches an epoch
    assert not np.array_equal(np.concatenate(found[:3]), np.concatenate(found[3:]))


def test_released_validation_of_less_than_a_batch(corpus, monkeypatch, caplog):
    with caplog.at_level(logging.WARNING):
        found = validation_batches(corpus, monkeypatch, validation_drop_last=True, batch_size=21)
    assert [len(pairs) for pairs in found] == [20, 20]
    assert "20 captions, fewer than a batch (21)" in caplog.text


def test_learning_rate_and_gradient_norm_in_the_history(corpus):
    settings = make_settings(epochs=4, warmup_epochs=2, schedule="cosine", learning_rate=0.01)
    train_system(settings=settings, **corpus)
    rates = [float(row["learning_rate"]) for row in read_history(corpus)]
    assert rates == pytest.approx([0.005, 0.01, 0.01, 0.005 * (1 + math.cos(math.pi / 2))])


def test_gradients_are_clipped(corpus, monkeypatch):
    norms = []
    original = torch.optim.Adam.step

    def spy(self, *arguments):
        gradients = [p.grad for group in self.param_groups for p in group["params"]]
        norms.append(torch.linalg.vector_norm(torch.cat([g.flatten() for g in gradients])).item())
        return original(self, *arguments)

    monkeypatch.setattr(torch.optim.Adam, "step", spy)
    train_system(settings=make_settings(epochs=1, gradient_clip_norm=0.01), **corpus)
    assert norms == pytest.approx([0.01] * 8, rel=1e-3)
    assert float(read_history(corpus)[0]["gradient_norm"]) > 0.1  # before clipping


def test_a_diverging_training_says_where(corpus):
    shard = corpus["sources"][0].shards["logmel"][0]
    features = features_of(NAMES[0::2], 0)
    features[NAMES[2]][3, 2] = np.inf
    write_shard(shard, features)
    with pytest.raises(InputError) as caught:
        train_system(settings=make_settings(), **corpus)
    message = str(caught.value)
    assert "diverged in epoch 1, batch " in message and "of 8" in message
    assert "nan" in message and "learning_rate" in message and repr(NAMES[2]) in message
    assert not corpus["model_folder"].exists()


def test_nothing_to_train_on(corpus):
    write_annotations(corpus["sources"][0].annotations, [Annotation(NAMES[0], ())])
    with pytest.raises(InputError, match=r"development\.parquet.*no clip with captions"):
        train_system(settings=make_settings(), **corpus)


@pytest.mark.parametrize("split", ["development", "validation"])
def test_a_caption_too_long_for_the_model_is_refused_before_training(corpus, split, monkeypatch):
    monkeypatch.setattr(loop.Trainer, "_train_epoch", lambda *_: pytest.fail("began to train"))
    annotations = [Annotation(name, ("rain falls",)) for name in NAMES[:3]]
    annotations[1] = Annotation(NAMES[1], ("rain", "rain " * 12))
    source = corpus["sources"][0] if split == "development" else corpus["validation"]
    write_annotations(source.annotations, annotations)
    with pytest.raises(InputError, match="n_steps"):
        train_system(settings=make_settings("dcase_baseline"), **corpus)


def test_freed_memory_is_kept_where_there_is_glibc(monkeypatch):
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    assert keep_freed_memory() is False


def test_several_corpora_with_weights_and_task_tokens(corpus, tmp_path):
    """The model says what it learned from, and its captions start with the scored task's token."""
    settings = VOCABULARY | {"task_tokens": ["ours", "theirs"]}
    texts = [text for name in NAMES for text in captions_of(name)]
    build_vocabulary(texts, settings, [{"corpus": "tiny", "splits": ["development"]}]).save(
        corpus["vocabulary"]
    )
    leaks = tmp_path / "leaks.json"
    leaks.write_text(json.dumps({"excluded": {NAMES[2]: "same sound"}}))
    other = make_source(
        tmp_path / "other", "development", NAMES[:4], 7,
        corpus="other", weight=2.0, task_token="theirs", leaks=leaks,
    )  # fmt: skip
    own = dataclasses.replace(corpus["sources"][0], task_token="ours")
    held_out = dataclasses.replace(corpus["validation"], task_token="ours")
    statistics = tmp_path / "other.json"
    compute_statistics(other.shards["logmel"]).save(statistics)
    changed = {
        "sources": [own, other],
        "validation": held_out,
        "statistics": {"logmel": [*corpus["statistics"]["logmel"], statistics]},
    }
    train_system(settings=make_settings(epochs=2, batching="clips"), **{**corpus, **changed})
    loaded = load_model(corpus["model_folder"])
    assert loaded.description["task_token"] == "ours"
    assert [
        (part["corpus"], part["weight"], part["task_token"], part["n_clips"], part["n_leaks"])
        for part in loaded.description["trained_on"]
    ] == [("tiny", 1.0, "ours", 6, 0), ("other", 2.0, "theirs", 3, 1)]
    clips = {"logmel": FeatureStore(own.shards["logmel"])}
    spoken = decode_clips(loaded, clips, NAMES, DecodingOptions(beam_size=2, n_best=2))
    said = {token for found in spoken.values() for one in found for token in one.tokens}
    assert said.isdisjoint(loaded.vocabulary.unspoken) and len(loaded.vocabulary.unspoken) == 3
