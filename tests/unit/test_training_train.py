import csv
import dataclasses
import json
import logging
import math
import shutil

import numpy as np
import pytest
import torch
from plain_tokens import plain_spoken, use_plain_tokens
from safetensors.torch import load_file
from training_corpus import (
    NAMES,
    TRAINING,
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
from captioner.evaluation.cider import CiderD
from captioner.memory import keep_freed_memory
from captioner.models.checkpoint import load_model
from captioner.models.registry import FAMILIES
from captioner.store.shards import FeatureStore
from captioner.text.vocabulary import build_vocabulary
from captioner.training import loop
from captioner.training.events import read_events
from captioner.training.held_out import HeldOut
from captioner.training.history import COLUMNS
from captioner.training.losses import CrossEntropy, batch_logits
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


def scripted_validation(monkeypatch, losses, **others):
    columns = {"validation_loss": losses, **others}
    monkeypatch.setattr(
        HeldOut,
        "scores",
        lambda self, model, epoch, progress: {k: of[epoch - 1] for k, of in columns.items()},
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


@pytest.mark.parametrize("monitor", ["cider", "spider"])
def test_a_score_that_is_monitored_selects_by_its_own_direction(corpus, monkeypatch, monitor):
    columns = {f"validation_{monitor}": [0.1, 0.5, 0.55, 0.3, 0.4, 9.0]}
    scripted_validation(monkeypatch, [6, 5, 4, 3, 2, 1], **columns)
    monkeypatch.setattr("captioner.training.train.CaptionScorer", lambda *_, **__: None)
    settings = make_settings(epochs=9, patience=3, minimum_delta=0.1, monitor=monitor)
    train_system(settings=settings, **corpus)
    rows = read_history(corpus)
    assert [row[f"validation_{monitor}"] for row in rows] == ["0.1", "0.5", "0.55", "0.3", "0.4"]
    assert load_model(corpus["model_folder"]).description["best"]["epoch"] == 2


def test_the_score_of_an_epoch_is_that_of_decoding_its_model(corpus, monkeypatch):
    """By the CIDEr of the captions that the saved model decodes greedily."""
    settings = make_settings(epochs=12, learning_rate=0.02, monitor="cider", patience=12)
    train_system(settings=settings, **corpus)
    best = load_model(corpus["model_folder"]).description["best"]
    ciders = [float(row["validation_cider"]) for row in read_history(corpus)]
    assert best["validation_cider"] == max(ciders) > min(ciders)
    loaded = load_model(corpus["model_folder"])
    source = corpus["validation"]
    stores = {"logmel": FeatureStore(source.shards["logmel"])}
    said = decode_clips(loaded, stores, NAMES[:4], DecodingOptions())
    clips = load_source(source, loaded.vocabulary, "skip_word")
    spoken = plain_spoken(clips.texts, loaded.vocabulary)
    captions = [spoken.tokenize(said[name][0].tokens) for name in clips.names]
    expected = CiderD(spoken.references).scores(range(4), captions).mean()
    assert best["validation_cider"] == pytest.approx(expected)


AVERAGES = [{"kind": "ema", "decay": 0.9}, {"kind": "last_epochs", "n": 3}]


@pytest.mark.parametrize("averaging", AVERAGES)
@pytest.mark.parametrize("validation", [True, False])
def test_the_average_is_validated_kept_and_saved(tmp_path, averaging, validation, monkeypatch):
    trained, averaged = {}, {}
    original = loop.Trainer._close_epoch

    def spy(self, state, *rest):
        trained[state.epoch] = {k: v.clone() for k, v in self.model.state_dict().items()}
        averaged[state.epoch] = {k: v.clone() for k, v in self.judged.state_dict().items()}
        original(self, state, *rest)

    monkeypatch.setattr(loop.Trainer, "_close_epoch", spy)
    corpus = make_corpus(tmp_path, validation=validation)
    settings = make_settings(epochs=5, learning_rate=0.05, averaging=averaging)
    train_system(settings=settings, **corpus)
    loaded = load_model(corpus["model_folder"])
    best = loaded.description["best"]
    assert equal(weights(corpus), averaged[best["epoch"]])
    assert not equal(averaged[5], trained[5])
    if averaging["kind"] == "last_epochs":
        for name, value in averaged[5].items():
            mean = sum(trained[epoch][name].double() for epoch in (3, 4, 5)) / 3
            assert torch.allclose(value.double(), mean, atol=1e-6), name
    if validation:
        clips = load_source(corpus["validation"], loaded.vocabulary, "skip_word")
        batch = loop.make_batch(
            clips, clips.pairs(), loaded.vocabulary, loaded.model.padding, encode_once=True
        )
        loss = CrossEntropy(padding_in_loss=False)(loaded.model, batch, torch.Generator()).value
        assert loss.item() == pytest.approx(best["validation_loss"], rel=1e-5)
    else:
        assert best["epoch"] == 5


def test_a_plateau_lowers_the_rate_that_is_used(corpus, monkeypatch):
    used = []
    original = torch.optim.Adam.step

    def spy(self, *arguments):
        used.append([group["lr"] for group in self.param_groups])
        return original(self, *arguments)

    monkeypatch.setattr(torch.optim.Adam, "step", spy)
    scripted_validation(monkeypatch, [3, 2, 2, 2, 2, 1])
    settings = make_settings(
        epochs=6,
        batching="clips",  # two batches an epoch
        learning_rate=0.01,
        learning_rates={"decoder": 0.001},
        schedule="plateau",
        plateau={"factor": 0.1, "patience": 2},
    )
    train_system(settings=settings, **corpus)
    scales = [1, 1, 1, 1, 0.1, 0.1]
    rates = [float(row["learning_rate"]) for row in read_history(corpus)]
    assert rates == pytest.approx([0.01 * scale for scale in scales])
    expected = [[0.01 * s, 0.01 * s, 0.001 * s, 0.001 * s] for s in np.repeat(scales, 2)]
    assert np.allclose(used, expected)


def test_a_plateau_needs_a_validation(tmp_path):
    corpus = make_corpus(tmp_path, validation=False)
    with pytest.raises(InputError, match=r"plateau without a validation split.*cosine"):
        train_system(settings=make_settings(schedule="plateau"), **corpus)


def test_a_frozen_part_learns_nothing(corpus):
    training = {"epochs": 1, "learning_rate": 1e-30, "learning_rates": {"encoder": 0}}
    train_system(settings=make_settings("cnn_transformer", **training), **corpus)
    first = weights(corpus)
    training |= {"epochs": 2, "learning_rate": 0.01}
    train_system(settings=make_settings("cnn_transformer", **training), **corpus)
    last = weights(corpus)
    moved = {name.split(".")[0] for name in first if not torch.equal(first[name], last[name])}
    assert "encoder" not in moved and {"frames", "decoder", "embedding"} <= moved


def test_resume_false_starts_anew(corpus, monkeypatch):
    def train(**changed):
        settings = make_settings(epochs=3, batching="clips")
        train_system(settings=settings, **corpus, **changed)

    train()
    expected = weights(corpus)
    epochs = []
    original = loop.Trainer._train_epoch

    def stop(self, state, *rest):
        epochs.append(state.epoch)
        if len(epochs) == 2:
            raise KeyboardInterrupt
        return original(self, state, *rest)

    monkeypatch.setattr(loop.Trainer, "_train_epoch", stop)
    with pytest.raises(KeyboardInterrupt):
        train()
    assert len(list(corpus["resume_folder"].glob("*.pt"))) == 1
    epochs += [0, 0]
    train(resume=False)
    assert epochs == [1, 2, 0, 0, 1, 2, 3]
    assert equal(weights(corpus), expected)


def test_event_files_of_a_training_that_was_stopped(corpus, tmp_path, monkeypatch):
    folder = tmp_path / "tensorboard"
    original = loop.Trainer._close_epoch

    def stop(self, state, *rest):
        if state.epoch == 3 and not stopped:
            stopped.append(True)
            raise KeyboardInterrupt
        return original(self, state, *rest)

    stopped = []
    monkeypatch.setattr(loop.Trainer, "_close_epoch", stop)
    settings = make_settings(epochs=4)
    with pytest.raises(KeyboardInterrupt):
        train_system(settings=settings, **corpus, tensorboard=folder)
    train_system(settings=settings, **corpus, tensorboard=folder)
    (file,) = folder.iterdir()
    found = [(step, values) for step, values in read_events(file) if values]
    rows = read_history(corpus)
    assert [step for step, _ in found] == [1, 2, 3, 4]
    for (_, values), row in zip(found, rows, strict=True):
        shown = {name: float(value) for name, value in row.items() if value and name != "epoch"}
        assert values == pytest.approx(shown, rel=1e-6)


def test_reinforcement_starts_from_a_model_and_says_its_reward(corpus, tmp_path):
    settings = make_settings(epochs=5, learning_rate=0.02, batching="clips")
    train_system(settings=settings, **corpus)
    start = corpus["model_folder"].rename(tmp_path / "start")
    reinforced = make_settings(
        epochs=2,
        learning_rate=1e-30,
        batching="clips",
        loss="self_critical",
        self_critical=TRAINING["self_critical"] | {"samples": 8},
    )
    train_system(settings=reinforced, **corpus, start=start)
    began, *rows = read_history(corpus)
    assert (began["epoch"], began["reward"]) == ("0", "")  # the start itself
    rewards = [float(row["reward"]) for row in rows]
    assert min(rewards) > 0 and rewards[0] != rewards[1]  # other samples of the same model
    losses = [float(row["validation_loss"]) for row in (began, *rows)]
    before = load_model(start).description["best"]["validation_loss"]
    assert losses == pytest.approx([before] * 3)


@pytest.mark.slow
def test_a_compiled_step_gives_the_same_losses(tmp_path, monkeypatch):
    if shutil.which("c++") is None and shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler on a CPU, and there is none")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    found = []
    for compiled in (False, True):
        corpus = make_corpus(tmp_path / str(compiled))
        settings = make_settings("dcase_baseline", epochs=2, compile=compiled)
        train_system(settings=settings, **corpus)
        losses = [float(row["training_loss"]) for row in read_history(corpus)]
        found.append((losses, weights(corpus)))
    (plain, expected), (compiled, names) = found
    assert compiled == pytest.approx(plain, rel=1e-5)
    assert names.keys() == expected.keys()
    for name, value in names.items():
        assert torch.allclose(value, expected[name], atol=1e-4), name


def test_without_validation_the_last_epoch_is_kept(tmp_path, caplog):
    corpus = make_corpus(tmp_path, validation=False)
    with caplog.at_level(logging.WARNING):
        train_system(settings=make_settings(epochs=3, patience=1), **corpus)
    assert "no validation split" in caplog.text and "all 3 epochs" in caplog.text
    assert [row["validation_loss"] for row in read_history(corpus)] == [""] * 3
    assert load_model(corpus["model_folder"]).description["best"]["epoch"] == 3


def validation_batches(corpus, monkeypatch, **training):
    """Train for two epochs; give the pairs of every validation batch."""
    plans, seen = [], []
    original = HeldOut.plan, HeldOut.loss

    def plan(self, epoch):
        plans.append(original[0](self, epoch))
        return plans[-1]

    def loss(self, model, batch):
        seen.append(len(batch.tokens))
        return original[1](self, model, batch)

    monkeypatch.setattr(HeldOut, "plan", plan)
    monkeypatch.setattr(HeldOut, "loss", loss)
    train_system(settings=make_settings(epochs=2, **training), **corpus)
    found = [pairs for planned in plans[1:] for pairs in planned]  # the first was only counted
    assert seen == [len(pairs) for pairs in found]
    return found


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


def test_by_step_the_history_shows_the_last_rate_of_the_epoch(corpus):
    training = {"epochs": 4, "warmup_epochs": 1, "schedule": "cosine", "learning_rate": 0.01}
    settings = make_settings(schedule_step="step", batching="clips", **training)
    train_system(settings=settings, **corpus)
    rates = [float(row["learning_rate"]) for row in read_history(corpus)]
    cosine = [0.005 * (1 + math.cos(math.pi * step / 6)) for step in (1, 3, 5)]
    assert rates == pytest.approx([0.01, *cosine])  # two steps an epoch


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
    FeatureStore(other.shards["logmel"]).statistics().save(statistics)
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
