import math

import numpy as np
import pytest
import torch
from training_corpus import MODELS, make_corpus

from captioner.models.registry import FAMILIES, build_model
from captioner.text.vocabulary import Vocabulary
from captioner.training.batches import make_batch
from captioner.training.losses import batch_logits, caption_loss, loss_weight
from captioner.training.sources import load_source

LOGITS = torch.tensor([[[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]], [[0.0, 0.0, 1.0], [5.0, -2.0, 0.5]]])
TARGETS = torch.tensor([[2, 0], [1, 0]])  # <eos> is 1: row 1 ends at once, then is padded
N_TARGETS = torch.tensor([2, 1])


def surprise(logits, target):
    return -math.log(math.exp(logits[target]) / sum(map(math.exp, logits)))


def smoothed(logits, target, eps=0.3):
    every = [surprise(logits, other) for other in range(3)]
    return (1 - eps) * every[target] + eps * sum(every) / 3


@pytest.mark.parametrize("smoothing, of_one", [(0.0, surprise), (0.3, smoothed)])
@pytest.mark.parametrize("padding_in_loss", [True, False])
def test_loss_by_hand(smoothing, of_one, padding_in_loss):
    places = [(0, 0), (0, 1), (1, 0), *([(1, 1)] if padding_in_loss else [])]
    values = [of_one(LOGITS[place].tolist(), int(TARGETS[place])) for place in places]
    loss = caption_loss(
        LOGITS,
        TARGETS,
        N_TARGETS,
        padding_in_loss=padding_in_loss,
        label_smoothing=smoothing,
    )
    assert loss.item() == pytest.approx(sum(values) / len(values), rel=1e-6)


def test_no_gradient_from_padding():
    for padding_in_loss in (False, True):
        logits = LOGITS.clone().requires_grad_()
        caption_loss(logits, TARGETS, N_TARGETS, padding_in_loss=padding_in_loss).backward()
        assert bool(logits.grad[1, 1].any()) == padding_in_loss
        assert logits.grad[:, 0].all()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    corpus = make_corpus(tmp_path_factory.mktemp("corpus"))
    vocabulary = Vocabulary.load(corpus["vocabulary"])
    return load_source(corpus["sources"][0], vocabulary, "refuse"), vocabulary


def build(family, vocabulary, **changed):
    torch.manual_seed(0)
    dims = MODELS[family] | changed
    return build_model(family, dims, {"logmel": 6}, len(vocabulary), vocabulary.sos, vocabulary.eos)


PAIRS = {
    "equal numbers": np.array([[0, 1], [0, 4], [3, 2], [3, 0], [5, 0], [5, 1]]),
    "unequal numbers": np.array([[0, 1], [0, 4], [0, 3], [3, 0], [5, 0], [5, 1]]),
    "mixed order": np.array([[5, 0], [0, 4], [3, 3], [0, 0], [5, 2], [3, 1]]),
}


@pytest.mark.parametrize("padding_in_loss", [True, False])
@pytest.mark.parametrize("pairs", PAIRS.values(), ids=PAIRS.keys())
@pytest.mark.parametrize("family", FAMILIES)
def test_encoding_once_is_the_pairwise_batch(corpus, family, pairs, padding_in_loss):
    clips, vocabulary = corpus
    results = []
    for encode_once in (True, False):
        model = build(family, vocabulary, dropout=0.0)
        batch = make_batch(clips, pairs, vocabulary, model.padding, encode_once=encode_once)
        assert batch.n_clips == (3 if encode_once else 6)
        loss = caption_loss(
            batch_logits(model, batch),
            batch.targets,
            batch.n_targets,
            padding_in_loss=padding_in_loss,
        )
        loss.backward()
        assert loss_weight(batch, padding_in_loss=True) == 1
        assert loss_weight(batch, padding_in_loss=False) == sum(
            len(clips.captions[clip][caption]) + 1 for clip, caption in pairs
        )
        results.append((loss.item(), {n: p.grad for n, p in model.named_parameters()}))
    (once, once_gradients), (pairwise, pairwise_gradients) = results
    assert once == pytest.approx(pairwise, abs=1e-5)
    for name, gradient in once_gradients.items():
        assert torch.allclose(gradient, pairwise_gradients[name], atol=1e-5), name


@pytest.mark.parametrize("family", FAMILIES)
def test_one_batch_overfits(corpus, family):
    """Four clips with one caption each: every family can learn them by heart."""
    clips, vocabulary = corpus
    model = build(family, vocabulary, dropout=0.0, n_hidden=32)
    pairs = np.array([[clip, 0] for clip in range(4)])
    batch = make_batch(clips, pairs, vocabulary, model.padding, encode_once=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        loss = caption_loss(
            batch_logits(model, batch), batch.targets, batch.n_targets, padding_in_loss=False
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02
    predicted = batch_logits(model.eval(), batch).argmax(-1)
    for row, length in enumerate(batch.n_targets):
        assert torch.equal(predicted[row, :length], batch.targets[row, :length])
