"""Mixup and hidden words, against references that mix row by row; parts against the whole."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from training_corpus import MODELS, TRAINING, make_corpus

from captioner.models.registry import FAMILIES, build_model
from captioner.text.vocabulary import Vocabulary
from captioner.training.augmentation import Augmentation
from captioner.training.batches import make_batch, split_pairs
from captioner.training.losses import CrossEntropy, batch_logits, embed_words
from captioner.training.sources import load_source

PAIRS = np.array([[0, 1], [0, 4], [0, 3], [3, 0], [5, 0], [5, 1], [2, 2]])
MEANS = {"logmel": np.full(6, -3.0)}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    corpus = make_corpus(tmp_path_factory.mktemp("corpus"))
    vocabulary = Vocabulary.load(corpus["vocabulary"])
    return load_source(corpus["sources"][0], vocabulary, "refuse"), vocabulary


def build(family, vocabulary):
    torch.manual_seed(0)
    dims = MODELS[family] | {"dropout": 0.0}
    return build_model(family, dims, {"logmel": 6}, len(vocabulary), vocabulary.sos, vocabulary.eos)


def batch_of(corpus, model, part=slice(None), encode_once=True, **training):
    clips, vocabulary = corpus
    augmentation = Augmentation.from_settings(TRAINING | training, MEANS)

    def augment(*shapes):
        return augmentation.draw(np.random.default_rng(3), *shapes)

    return make_batch(
        clips,
        PAIRS,
        vocabulary,
        model.padding,
        encode_once=encode_once,
        augment=augment if augmentation else None,
        part=part,
    )


class Seen:
    """A system that keeps what it is given; one memory position, no words needed."""

    padding = "back"

    def encode(self, features, n_frames):
        self.features, self.n_frames = features["logmel"], n_frames["logmel"]
        return None

    def embed(self, tokens):
        return torch.stack([tokens.float(), 100.0 + tokens], dim=-1)

    def __call__(self, memory, embedded):
        self.embedded = embedded
        return torch.zeros(*embedded.shape[:2], 30)


@pytest.mark.parametrize("padding", ["front", "back"])
def test_clips_are_mixed_frame_by_frame(corpus, padding):
    seen = Seen()
    seen.padding = padding
    batch = batch_of(corpus, seen, mixup={"alpha": 0.4})
    clips, _ = corpus
    batch_logits(seen, without_memory(batch))
    own, longest = float(batch.mixup.own), batch.features["logmel"].shape[1]
    assert 0.5 <= own < 1
    assert batch.clips == [0, 3, 5, 2]
    for row, clip in enumerate(batch.clips):
        mine = clips.features("logmel", clip)
        other = clips.features("logmel", batch.clips[batch.mixup.partner[row]])
        expected = np.zeros((longest, 6))
        for features, weight in ((mine, own), (other, 1 - own)):
            for frame, values in enumerate(features):
                place = longest - len(features) + frame if padding == "front" else frame
                expected[place] += weight * values
        assert np.allclose(seen.features[row], expected, atol=1e-6)
        assert seen.n_frames[row] == max(len(mine), len(other))


def without_memory(batch):
    """The batch with each caption's clip left out, which `Seen` has no memory for."""

    return replace(batch, clip=None)


def test_words_are_mixed_and_hidden_position_by_position(corpus):
    seen = Seen()
    batch = batch_of(corpus, seen, mixup={"alpha": 0.4}, word_dropout=0.4)
    plain = batch_of(corpus, seen)
    embedded = embed_words(seen, batch)
    own = float(batch.mixup.own)
    assert torch.equal(batch.targets, plain.targets) and torch.equal(batch.tokens, plain.tokens)
    hidden = batch.hidden_words
    assert hidden.any() and not hidden[:, 0].any()
    lengths = set()
    for row, position in np.ndindex(*batch.tokens.shape):
        token, other = batch.tokens[row, position].item(), batch.mixup.tokens[row, position].item()
        expected = np.array([token, 100 + token]) * own
        if batch.mixup.valid[row, position]:
            expected += np.array([other, 100 + other]) * (1 - own)
        if hidden[row, position]:
            expected[:] = 0
        assert embedded[row, position].tolist() == pytest.approx(expected, rel=1e-5)
        lengths.add(int(batch.mixup.valid[row].sum() - batch.n_targets[row]))
    assert min(lengths) < 0 < max(lengths)  # partners' captions are shorter, and longer


def gradients(model, parts):
    """The loss of a batch in parts and its gradients, parts weighed by their loss's weight."""
    model.zero_grad(set_to_none=True)
    loss = CrossEntropy(padding_in_loss=False, label_smoothing=0.1)
    found = [loss(model, part, torch.Generator()) for part in parts]
    total = sum(each.weight for each in found)
    value = sum(each.value * (each.weight / total) for each in found)
    value.backward()
    return value.item(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", FAMILIES)
def test_parts_have_the_gradient_of_the_whole(corpus, family):
    """In three parts, with all that is drawn, padding that counts and padding that does not."""
    drawn = {
        "specaugment": {
            "time_stripes": 1,
            "time_width": 0.4,
            "frequency_stripes": 1,
            "frequency_width": 0.4,
        },
        "mixup": {"alpha": 0.4},
        "word_dropout": 0.3,
    }
    model = build(family, corpus[1]).eval()
    loss, expected = gradients(model, [batch_of(corpus, model, **drawn)])
    parts = [batch_of(corpus, model, part, **drawn) for part in split_pairs(PAIRS, 3)]
    in_parts, found = gradients(model, parts)
    assert in_parts == pytest.approx(loss, abs=1e-6)
    assert found.keys() == expected.keys() and expected
    for name, gradient in expected.items():
        assert torch.allclose(gradient, found[name], atol=1e-5), name


@pytest.mark.parametrize("padding_in_loss", [True, False])
def test_the_weights_of_parts_add_up(corpus, padding_in_loss):
    model = build("dcase_baseline", corpus[1])
    objective = CrossEntropy(padding_in_loss)
    whole = objective(model, batch_of(corpus, model), torch.Generator())
    parts = [
        objective(model, batch_of(corpus, model, part), torch.Generator())
        for part in split_pairs(PAIRS, 3)
    ]
    assert sum(part.weight for part in parts) == pytest.approx(whole.weight)
    assert whole.weight == (1 if padding_in_loss else batch_of(corpus, model).n_words)
    mean = sum(part.value * part.weight for part in parts) / whole.weight
    assert mean.item() == pytest.approx(whole.value.item(), abs=1e-6)
