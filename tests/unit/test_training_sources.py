import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import training_corpus
from training_corpus import (
    NAMES,
    TRAINING,
    VOCABULARY,
    captions_of,
    features_of,
    make_source,
)

from captioner.corpus.tables import Annotation, Clip, write_annotations, write_clips
from captioner.errors import InputError
from captioner.text.vocabulary import build_vocabulary
from captioner.training.batches import make_batch, plan_training
from captioner.training.sources import join, load_source

TASKS = ["ours", "theirs"]


@pytest.fixture
def source(tmp_path):
    return make_source(tmp_path / "a corpus [1]", "development", NAMES)


@pytest.fixture
def vocabulary():
    texts = [text for name in NAMES for text in captions_of(name)]
    return build_vocabulary(texts, VOCABULARY | {"task_tokens": TASKS}, [])


def test_clips_are_joined_by_name_not_by_order(source, vocabulary):
    clips = load_source(source, vocabulary, "refuse")
    assert clips.names == NAMES  # the shards hold them in another order
    for name, captions in zip(clips.names, clips.captions, strict=True):
        texts = [" ".join(vocabulary.tokens[index] for index in words) for words in captions]
        assert texts == [text[:-1].lower() for text in captions_of(name)]


def test_captions_without_features_are_named(source, vocabulary):
    names = [*NAMES, "no (1).wav"]
    write_clips(source.clips, [Clip(name, name, 1, 1.0, 16000, 1) for name in names])
    write_annotations(source.annotations, [Annotation(name, captions_of(name)) for name in names])
    with pytest.raises(InputError, match=r"'no \(1\)\.wav'.*no features.*logmel.*0\.parquet"):
        load_source(source, vocabulary, "refuse")


def test_features_or_names_without_captions_are_left_out(source, vocabulary):
    annotations = [Annotation(NAMES[0], captions_of(NAMES[0])), Annotation("silent.wav", ())]
    write_annotations(source.annotations, annotations)
    assert load_source(source, vocabulary, "refuse").names == NAMES[:1]


def test_clips_that_are_damaged_missing_or_leaking_are_left_out(source, vocabulary, tmp_path):
    clips = [
        Clip(NAMES[0], "a", 1, 0.0, 0, 0, fault="cut short"),
        *[Clip(name, "a", 1, 1.0, 16000, 1) for name in NAMES[2:]],  # no row of NAMES[1]
    ]
    write_clips(source.clips, clips)
    leaks = tmp_path / "leaks.json"
    leaks.write_text(json.dumps({"excluded": {NAMES[3]: "the same sound as x.wav"}}))
    found = load_source(replace(source, leaks=leaks), vocabulary, "refuse")
    assert found.names == [NAMES[2], *NAMES[4:]]


def test_words_outside_the_vocabulary(source, vocabulary, caplog):
    write_annotations(source.annotations, [Annotation(NAMES[0], ("Rain on a zebra", "Rain"))])
    with pytest.raises(InputError, match="zebra"):
        load_source(source, vocabulary, "refuse")
    assert load_source(source, vocabulary, "skip_word").captions == [
        [vocabulary.encode("rain on a"), vocabulary.encode("rain")]
    ]
    assert "left out" not in caplog.text
    [captions] = load_source(source, vocabulary, "skip_caption").captions
    assert captions == [vocabulary.encode("rain")]
    assert "tiny, development: 1 captions left out" in caplog.text


def test_a_source_of_which_nothing_is_left(source, vocabulary):
    write_annotations(source.annotations, [Annotation(NAMES[0], ("A zebra",))])
    with pytest.raises(InputError, match="no clip with captions"):
        load_source(source, vocabulary, "skip_caption")


@pytest.fixture
def both(source, vocabulary, tmp_path):
    """Two corpora that share file names, with different features and captions."""
    other = make_source(
        tmp_path / "other", "development", NAMES[:4], 9, corpus="other", weight=0.5,
        task_token="theirs",
    )  # fmt: skip
    write_annotations(other.annotations, [Annotation(name, ("wind howls",)) for name in NAMES[:4]])
    parts = [replace(source, weight=2.25, task_token="ours"), other]
    return join([load_source(part, vocabulary, "refuse") for part in parts])


def test_joined_corpora_keep_their_own_features_and_start(both, vocabulary):
    assert both.names == [*NAMES, *NAMES[:4]]
    for seed, names, first in ((0, NAMES, 0), (9, NAMES[:4], 6)):
        expected = features_of(names, seed)
        for index, name in enumerate(names):
            found = both.features("logmel", first + index)
            assert np.array_equal(found, expected[name].astype(np.float32))
            assert both.n_frames("logmel", first + index) == len(found)
    pairs = np.array([[0, 0], [6, 0], [2, 1]])
    batch = make_batch(both, pairs, vocabulary, "back", encode_once=False)
    ours, theirs = map(vocabulary.start, TASKS)
    assert batch.tokens[:, 0].tolist() == [ours, theirs, ours]
    assert len({vocabulary.sos, vocabulary.eos, ours, theirs}) == 4
    assert not {ours, theirs} & set(batch.targets.flatten().tolist())


@pytest.mark.parametrize("batching", ["pairs", "clips"])
def test_weights_say_how_often_clips_are_drawn(both, batching):
    """2.25 x 6 clips: 14 draws, every clip twice and two of them thrice; 0.5 x 4 clips: two."""
    training = TRAINING | {"batching": batching, "captions_per_clip": 1, "batch_size": 5}
    seen = Counter()
    for epoch in range(20):
        plan = np.concatenate(plan_training(both, training, np.random.default_rng(epoch)))
        counts = Counter(plan[:, 0].tolist())
        if batching == "pairs":  # five captions of each of the first corpus's clips, one of others
            counts = Counter({k: n // 5 if k < 6 else n for k, n in counts.items()})
        own = [counts[clip] for clip in range(6)]
        assert sorted(own) == [2, 2, 2, 2, 3, 3]
        assert sorted(counts[clip] for clip in range(6, 10)) == [0, 0, 1, 1]
        seen.update(counts)
    assert len({seen[clip] for clip in range(6)}) > 1 and all(seen[clip] > 0 for clip in range(10))


def test_one_corpus_of_weight_one_is_drawn_whole_without_chance(source, vocabulary):
    clips = load_source(source, vocabulary, "refuse")
    generator = np.random.default_rng(0)
    assert clips.draw(generator).tolist() == list(range(6))
    assert generator.integers(1000) == np.random.default_rng(0).integers(1000)


def test_an_unknown_task_token(source, vocabulary):
    with pytest.raises(InputError, match="'nobodys', expected one of its `task_tokens`: ours"):
        load_source(replace(source, task_token="nobodys"), vocabulary, "refuse")


def test_features_of_different_settings_are_not_mixed(source, vocabulary, tmp_path, monkeypatch):
    monkeypatch.setitem(training_corpus.FRONTEND, "n_mels", 7)
    other = make_source(tmp_path / "other", "development", NAMES[:2])
    parts = [load_source(part, vocabulary, "refuse") for part in (source, other)]
    with pytest.raises(InputError, match="front-end logmel: found features made with"):
        join(parts)
