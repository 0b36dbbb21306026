from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from training_corpus import NAMES, TRAINING, make_corpus, write_shard

from captioner.corpus.tables import Annotation, write_annotations
from captioner.text.vocabulary import Vocabulary
from captioner.training.batches import make_batch, plan_training, plan_validation
from captioner.training.sources import load_source


@pytest.fixture
def corpus(tmp_path):
    return make_corpus(tmp_path / "a corpus [1]")


@pytest.fixture
def vocabulary(corpus):
    return Vocabulary.load(corpus["vocabulary"])


@pytest.fixture
def clips(corpus, vocabulary):
    return load_source(corpus["sources"][0], vocabulary, "refuse")


@pytest.mark.parametrize("padding", ["front", "back"])
def test_padding(clips, vocabulary, padding):
    pairs = np.array([[0, 1], [3, 0], [5, 4]])
    batch = make_batch(clips, pairs, vocabulary, padding, encode_once=False)
    features, n_frames = batch.features["logmel"].numpy(), batch.n_frames["logmel"].numpy()
    assert features.shape == (3, max(n_frames), 6) and features.dtype == np.float32
    for row, (clip, caption) in enumerate(pairs):
        own = clips.features("logmel", clip)
        assert n_frames[row] == len(own)
        n_padded = max(n_frames) - len(own)
        parts = np.split(features[row], [n_padded if padding == "front" else len(own)])
        kept, padded = parts[::-1] if padding == "front" else parts
        assert np.array_equal(kept, own)
        assert padded.shape == (n_padded, 6) and not padded.any()
        words = clips.captions[clip][caption]
        length = batch.targets.shape[1]
        ends = [vocabulary.eos] * (length - len(words))
        assert batch.targets[row].tolist() == [*words, *ends]
        assert batch.tokens[row].tolist() == [vocabulary.sos, *words, *ends[:-1]]
        assert batch.n_targets[row] == len(words) + 1
    assert batch.n_targets.max() == length
    assert len(set(n_frames)) > 1 and len(set(batch.n_targets.tolist())) > 1


def test_encode_once_in_equal_and_unequal_numbers(clips, vocabulary):
    equal = np.array([[4, 0], [4, 3], [1, 2], [1, 0]])
    batch = make_batch(clips, equal, vocabulary, "back", encode_once=True)
    assert batch.n_clips == 2 and batch.clip is None
    n_frames = [clips.n_frames("logmel", clip) for clip in (4, 1)]
    assert batch.n_frames["logmel"].tolist() == n_frames
    for unequal, expected in (
        ([[4, 0], [4, 3], [1, 2]], [0, 0, 1]),
        ([[4, 0], [1, 3], [4, 2], [1, 0]], [0, 1, 0, 1]),
    ):
        batch = make_batch(clips, np.array(unequal), vocabulary, "back", encode_once=True)
        assert batch.n_clips == 2 and batch.clip.tolist() == expected


def test_augmentation_sees_own_frames_only_and_not_the_store(clips, vocabulary):
    shapes = []

    def augment(frontend, features):
        shapes.append((frontend, features.shape))
        features[:] = 7

    pairs = np.array([[0, 0], [1, 0]])
    batch = make_batch(clips, pairs, vocabulary, "front", encode_once=False, augment=augment)
    lengths = batch.n_frames["logmel"].tolist()
    assert shapes == [("logmel", (length, 6)) for length in lengths]
    assert [(row == 7).all(1).sum() for row in batch.features["logmel"]] == lengths
    again = make_batch(clips, pairs, vocabulary, "front", encode_once=False)
    assert not (again.features["logmel"] == 7).any()


def plan(clips, seed=0, **changed):
    return plan_training(clips, TRAINING | changed, np.random.default_rng(seed))


def test_pairs_each_once_over_the_whole_epoch(clips):
    batches = plan(clips, batch_size=4)
    assert [len(batch) for batch in batches] == [4] * 7 + [2]
    together = np.concatenate(batches)
    assert Counter(map(tuple, together)) == Counter(map(tuple, clips.pairs()))
    assert not np.array_equal(together, clips.pairs())
    assert not np.array_equal(together, np.concatenate(plan(clips, seed=1)))
    assert max(len(set(batch[:, 0])) for batch in batches) > 1


def test_clips_each_once_with_distinct_captions(clips):
    seen = Counter()
    for seed in range(50):
        batches = plan(clips, seed, batching="clips", batch_size=4, captions_per_clip=2)
        assert [len(batch) for batch in batches] == [8, 4]
        together = np.concatenate(batches)
        assert Counter(together[:, 0]) == dict.fromkeys(range(6), 2)
        assert len(set(map(tuple, together))) == 12
        seen.update(map(tuple, together))
    assert set(seen) == set(map(tuple, clips.pairs()))


def test_more_captions_asked_than_there_are(clips):
    batches = plan(clips, batching="clips", captions_per_clip=9)
    assert Counter(np.concatenate(batches)[:, 0]) == dict.fromkeys(range(6), 5)


def test_validation_is_whole_and_in_order(clips):
    batches = plan_validation(clips, 4)
    assert [len(batch) for batch in batches] == [20, 10]
    assert np.array_equal(np.concatenate(batches), clips.pairs())


def test_released_validation_drops_the_last_batch_unless_full(clips):
    batches = plan_validation(clips, 4, np.random.default_rng(0))
    assert [len(batch) for batch in batches] == [4] * 7
    together = list(map(tuple, np.concatenate(batches)))
    assert len(set(together)) == 28 and together != list(map(tuple, clips.pairs()))[:28]
    full = plan_validation(clips, 5, np.random.default_rng(0))
    assert [len(batch) for batch in full] == [5] * 6


def test_a_caption_without_words(corpus, vocabulary, tmp_path):
    source = corpus["sources"][0]
    write_annotations(source.annotations, [Annotation(NAMES[0], ("...", "Rain falls"))])
    clips = load_source(source, vocabulary, "refuse")
    batch = make_batch(clips, clips.pairs(), vocabulary, "back", encode_once=True)
    assert batch.tokens[0].tolist() == [vocabulary.sos, vocabulary.eos, vocabulary.eos]
    assert batch.n_targets.tolist() == [1, 3]
    assert batch.to(torch.device("cpu")).targets.tolist() == batch.targets.tolist()


def test_two_frontends_are_padded_apart(corpus, vocabulary, tmp_path):
    other = {name: np.full((k + 1, 6), k, dtype="<f4") for k, name in enumerate(NAMES)}
    shard = write_shard(tmp_path / "other" / "0.parquet", other)
    source = corpus["sources"][0]
    source = replace(source, shards={**source.shards, "other": [shard]})
    clips = load_source(source, vocabulary, "refuse")
    batch = make_batch(clips, np.array([[2, 0], [4, 0]]), vocabulary, "back", encode_once=True)
    assert batch.n_frames["other"].tolist() == [3, 5]
    assert batch.features["other"].shape == (2, 5, 6)
    assert batch.features["other"][0, :3].unique().tolist() == [2]
