from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from training_corpus import NAMES, TRAINING, make_corpus, write_shard

from captioner.audio.frontends import Heard
from captioner.corpus.tables import Annotation, write_annotations
from captioner.store.schema import ShardMetadata
from captioner.store.writing import open_shard
from captioner.text.vocabulary import Vocabulary
from captioner.training.augmentation import Augmentation
from captioner.training.batches import make_batch, plan_training, plan_validation, split_pairs
from captioner.training.sources import load_source

MEAN = np.arange(6.0)


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


SPECAUGMENT = {
    "time_stripes": 1,
    "time_width": 0.6,
    "frequency_stripes": 1,
    "frequency_width": 0.5,
}


def augment(seed=0, **training):
    """What a training with these settings changes in a batch."""
    augmentation = Augmentation.from_settings(TRAINING | training, {"logmel": MEAN})
    return lambda *shapes: augmentation.draw(np.random.default_rng(seed), *shapes)


def test_stripes_hide_own_frames_only_and_nothing_in_the_store(clips, vocabulary):
    pairs = np.array([[0, 0], [1, 0], [4, 2]])
    drawn = augment(specaugment=SPECAUGMENT)
    for padding in ("front", "back"):
        plain = make_batch(clips, pairs, vocabulary, padding, encode_once=False)
        batch = make_batch(clips, pairs, vocabulary, padding, encode_once=False, augment=drawn)
        changed = (batch.features["logmel"] != plain.features["logmel"]).numpy()
        lengths = batch.n_frames["logmel"].tolist()
        expected = drawn({"logmel": lengths}, (3, 9)).stripes["logmel"]
        for row, n_frames in enumerate(lengths):
            own = slice(-n_frames, None) if padding == "front" else slice(n_frames)
            (frames,), (features,) = expected[row].frames, expected[row].features
            hidden = np.zeros((n_frames, 6), dtype=bool)
            hidden[frames] = hidden[:, features] = True
            assert np.array_equal(changed[row, own], hidden)
            assert changed[row].sum() == hidden.sum()
        assert changed.any()
    own = clips.features("logmel", 4)
    assert np.array_equal(plain.features["logmel"][2, : len(own)], own)


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


@pytest.mark.parametrize("n_parts", [1, 2, 3, 7])
def test_parts_are_of_whole_clips_and_together_the_batch(n_parts):
    pairs = np.array([[4, 0], [4, 3], [1, 2], [1, 0], [1, 1], [0, 0], [5, 2], [4, 1]])
    parts = split_pairs(pairs, n_parts)
    assert np.array_equal(np.concatenate([pairs[part] for part in parts]), pairs)
    runs = [[4, 4], [1, 1, 1], [0], [5], [4]]
    expected = {1: [5], 2: [3, 2], 3: [2, 2, 1], 7: [1] * 5}[n_parts]
    of_runs = np.cumsum([0, *map(len, runs)])[np.cumsum([0, *expected])]
    assert [part.start for part in parts] == of_runs[:-1].tolist()
    assert [part.stop for part in parts] == of_runs[1:].tolist()


@pytest.mark.parametrize("encode_once", [True, False])
@pytest.mark.parametrize("padding", ["front", "back"])
def test_a_part_is_what_it_is_in_the_whole(clips, vocabulary, padding, encode_once):
    """With all that is drawn: rows of parts are rows of the whole batch, padded alike."""
    pairs = np.array([[4, 0], [4, 3], [1, 2], [1, 0], [0, 0], [5, 2], [2, 1]])
    drawn = augment(specaugment=SPECAUGMENT, mixup={"alpha": 0.4}, word_dropout=0.5)
    whole = make_batch(clips, pairs, vocabulary, padding, encode_once=encode_once, augment=drawn)
    row, n_words, share = 0, 0, 0.0
    for part in split_pairs(pairs, 3):
        batch = make_batch(
            clips, pairs, vocabulary, padding, encode_once=encode_once, augment=drawn, part=part
        )
        for name in ("tokens", "targets", "n_targets", "hidden_words"):
            assert torch.equal(getattr(batch, name), getattr(whole, name)[part])
        for name in ("tokens", "valid"):
            assert torch.equal(getattr(batch.mixup, name), getattr(whole.mixup, name)[part])
        rows = slice(row, row + batch.n_clips)
        assert batch.clips == whole.clips[rows]
        for name in ("features", "n_frames"):
            mine, theirs = getattr(batch, name)["logmel"], getattr(whole, name)["logmel"]
            assert torch.equal(mine[: batch.n_clips], theirs[rows])
            assert torch.equal(mine[batch.mixup.partner], theirs[whole.mixup.partner[rows]])
        assert batch.mixup.own == whole.mixup.own
        row, n_words, share = rows.stop, n_words + batch.n_words, share + batch.share
    assert (row, n_words) == (whole.n_clips, whole.n_words)
    assert share == pytest.approx(whole.share) == 1


def test_captions_of_partners_take_turns(clips, vocabulary):
    """A caption is mixed with the caption of the same number of its clip's partner, in turn."""
    pairs = np.array([[4, 0], [4, 3], [4, 1], [1, 2], [0, 0], [0, 4]])
    own = [[0, 1, 2], [3], [4, 5]]  # captions of each encoded clip
    batch = make_batch(
        clips, pairs, vocabulary, "back", encode_once=True, augment=augment(mixup={"alpha": 0.4})
    )
    for clip, captions in enumerate(own):
        partners = own[batch.mixup.partner[clip]]
        for k, caption in enumerate(captions):
            other = partners[k % len(partners)]
            assert torch.equal(batch.mixup.tokens[caption], batch.tokens[other])
            n_valid = int(batch.n_targets[other])
            length = batch.tokens.shape[1]
            expected = [True] * n_valid + [False] * (length - n_valid)
            assert batch.mixup.valid[caption].tolist() == expected


@pytest.mark.parametrize("batching", ["pairs", "clips"])
def test_buckets_are_of_similar_length_in_random_order(clips, batching):
    def lengths(batches):
        return [[clips.n_frames("logmel", clip) for clip, _ in batch] for batch in batches]

    changed = {"batching": batching, "batch_size": 2, "captions_per_clip": 1}
    plain = plan(clips, **changed)
    bucketed = plan(clips, buckets=100, **changed)
    assert sorted(map(len, bucketed)) == sorted(map(len, plain))
    assert [item for each in sorted(lengths(bucketed)) for item in each] == sorted(
        item for each in lengths(plain) for item in each
    )
    if batching == "pairs":
        assert Counter(map(tuple, np.concatenate(bucketed))) == Counter(map(tuple, clips.pairs()))
    else:
        assert sorted(np.concatenate(bucketed)[:, 0]) == list(range(6))
    again = plan(clips, buckets=100, **changed)
    assert all(map(np.array_equal, bucketed, again))
    other = plan(clips, seed=1, buckets=100, **changed)
    assert not np.array_equal(np.concatenate(bucketed), np.concatenate(other))
    orders = {tuple(map(max, lengths(plan(clips, s, buckets=100, **changed)))) for s in range(20)}
    assert len(orders) > 2  # short clips do not come first in every epoch


def test_buckets_of_some_batches(clips):
    """Within runs of two batches of two pairs, the longer pairs go together."""
    shuffled = np.concatenate(plan(clips, batch_size=2))
    expected = []
    for start in range(0, len(shuffled), 4):
        run = sorted(
            shuffled[start : start + 4].tolist(), key=lambda p: clips.n_frames("logmel", p[0])
        )
        expected += [run[:2], run[2:]]
    found = [batch.tolist() for batch in plan(clips, batch_size=2, buckets=2)]
    assert sorted(found) == sorted(each for each in expected if each)
    assert found != expected


@pytest.mark.parametrize("asked, n", [(1, 1), (3, 3), ("all", 5)])
def test_captions_per_clip(clips, asked, n):
    batches = plan(clips, batching="clips", captions_per_clip=asked)
    together = np.concatenate(batches)
    assert Counter(together[:, 0]) == dict.fromkeys(range(6), n)
    assert len(set(map(tuple, together))) == 6 * n


def test_features_stored_in_half_precision_come_as_float32_on_the_device(
    corpus, vocabulary, tmp_path
):
    half = {name: np.full((3, 6), 0.1) for name in NAMES}
    path = tmp_path / "half.parquet"
    with open_shard(path, ShardMetadata({}, 6, "float16", (), "")) as shard:
        for name, values in half.items():
            shard.write(name, Heard(values, None))
    source = replace(corpus["sources"][0], shards={"logmel": [path]})
    clips = load_source(source, vocabulary, "refuse")
    batch = make_batch(clips, np.array([[2, 0], [4, 0]]), vocabulary, "back", encode_once=True)
    assert batch.features["logmel"].dtype == torch.float16
    features = batch.to(torch.device("cpu")).features["logmel"]
    assert features.dtype == torch.float32
    assert (features == torch.tensor(np.float16(0.1)).float()).all()
