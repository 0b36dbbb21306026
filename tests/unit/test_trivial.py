"""The trivial systems against plain definitions on small corpora."""

import csv
import math
import time
from collections import Counter

import numpy as np
import pytest

from captioner.corpus.tables import Annotation
from captioner.decoding.trivial import nearest_clip, typical_caption
from captioner.errors import InputError
from small_models import random_features

NOUNS = ["rain", "wind", "a dog", "the sea", "birds", "traffic"]
VERBS = ["falls", "barks loudly", "roars", "hums", "sings in the distance"]
PLACES = ["on a tin roof", "near the road", "in a forest", ""]


def random_annotations(n_clips, seed=0, captions_per_clip=5):
    random = np.random.default_rng(seed)

    def caption():
        words = " ".join(str(random.choice(part)) for part in (NOUNS, VERBS, PLACES))
        return f"{words.strip().capitalize()}."

    return [
        Annotation(f"clip.{n}.wav", tuple(caption() for _ in range(captions_per_clip)))
        for n in range(n_clips)
    ]


def plain_typicality(captions):
    """Mean cosine to the other captions, pair by pair."""
    documents = []
    for caption in captions:
        words = caption.split()
        grams = [tuple(words[i : i + n]) for n in range(1, 5) for i in range(len(words) - n + 1)]
        documents.append(Counter(grams))
    n_with = Counter(gram for document in documents for gram in document)
    n = len(documents)
    vectors = []
    for document in documents:  # the smoothed idf of scikit-learn
        vector = {g: c * (math.log((1 + n) / (1 + n_with[g])) + 1) for g, c in document.items()}
        length = math.sqrt(sum(value**2 for value in vector.values()))
        vectors.append({gram: value / length for gram, value in vector.items()})

    def cosine(a, b):
        return sum(value * b.get(gram, 0.0) for gram, value in a.items())

    return [
        sum(cosine(a, b) for j, b in enumerate(vectors) if j != i) / (n - 1)
        for i, a in enumerate(vectors)
    ]


def normalised(annotation):
    return [caption.lower().rstrip(".") for caption in annotation.captions]


@pytest.mark.parametrize("seed", range(5))
def test_the_typical_caption_has_the_highest_mean_cosine(seed):
    annotations = random_annotations(8, seed)
    captions = [caption for annotation in annotations for caption in normalised(annotation)]
    assert typical_caption(annotations) == captions[int(np.argmax(plain_typicality(captions)))]


def test_the_typical_caption_has_no_punctuation_or_capitals():
    annotations = [
        Annotation("a.wav", ("A Walkie-Talkie, beeps!", "...", "")),
        Annotation("b.wav", ()),
    ]
    assert typical_caption(annotations) == "a walkietalkie beeps"


@pytest.mark.parametrize("captions", [(), ("", "?!")])
def test_no_words_is_an_error(captions):
    annotations = [Annotation("a.wav", captions)]
    with pytest.raises(InputError, match="training captions: found none with a word"):
        typical_caption(annotations)
    with pytest.raises(InputError, match="training captions: found none with a word"):
        nearest_clip(random_features({"a.wav": 3}), annotations, {}, [])


@pytest.fixture
def corpus():
    """Development features of very different scales per feature, and annotations."""
    annotations = random_annotations(30)
    random = np.random.default_rng(1)
    development = {}
    for annotation in annotations:
        level, swing = random.normal(size=8), random.exponential(size=8)
        noise = random.normal(size=(random.integers(1, 40), 8))
        development[annotation.file_name] = (level + swing * noise).astype(np.float32)
    return development, annotations


def plain_nearest_clip(development, annotations, values):
    vectors = np.array([[*clip.mean(0), *clip.std(0)] for clip in development.values()])
    query = np.array([*values.mean(0), *values.std(0)])
    scale = vectors.std(axis=0)
    distances = np.linalg.norm((vectors - query) / scale, axis=1)
    nearest = list(development)[int(distances.argmin())]
    every = [(a.file_name, caption) for a in annotations for caption in normalised(a)]
    typicality = plain_typicality([caption for _, caption in every])
    own = [(t, c) for t, (name, c) in zip(typicality, every, strict=True) if name == nearest]
    return max(own, key=lambda pair: pair[0])[1]


@pytest.mark.parametrize("scale", [1.0, [1e-3, 1, 1, 1, 1, 1, 1, 1e3]])
def test_the_nearest_clip_is_the_plain_one(corpus, scale):
    development, annotations = corpus
    development = {name: values * np.float32(scale) for name, values in development.items()}
    clips = {
        name: values * np.float32(scale)
        for name, values in random_features({f"q {n}.wav": 2 + 3 * n for n in range(12)}).items()
    }
    file_names = list(reversed(clips))
    found = nearest_clip(development, annotations, clips, file_names)
    assert list(found) == file_names
    assert found == {
        name: plain_nearest_clip(development, annotations, clips[name]) for name in file_names
    }
    assert len(set(found.values())) > 2


def test_a_development_clip_is_nearest_to_itself(corpus):
    development, annotations = corpus
    found = nearest_clip(development, annotations, development, list(development))
    for annotation in annotations:
        assert found[annotation.file_name] in normalised(annotation)


def test_silence_and_features_that_never_change(corpus):
    development, annotations = corpus
    for values in development.values():
        values[:, 3] = -23.0  # a band above the recorder's cut-off
    first = annotations[0].file_name
    development[first] = np.full((9, 8), -23.0, np.float32)
    silent = {"silent.wav": np.full((200, 8), -23.0, np.float32)}
    found = nearest_clip(development, annotations, silent, ["silent.wav"])
    assert found["silent.wav"] in normalised(annotations[0])


def test_clips_without_captions_are_no_neighbours(corpus):
    development, annotations = corpus
    target = annotations[4].file_name
    annotations[4] = Annotation(target, ("", "..."))
    found = nearest_clip(development, annotations, development, [target])
    assert found[target]
    assert nearest_clip(development, annotations, development, []) == {}


def test_missing_features_are_named(corpus):
    development, annotations = corpus
    with pytest.raises(InputError, match=r"features: found none for 'x\.y\.wav'"):
        nearest_clip(development, annotations, development, ["x.y.wav"])
    del development["clip.7.wav"]
    with pytest.raises(InputError, match=r"features: found none for 'clip\.7\.wav'"):
        nearest_clip(development, annotations, development, ["clip.1.wav"])


def test_the_official_captions_take_seconds(shared_data):
    """19,195 captions: no matrix of all pairs (2.9 GB)."""
    with (shared_data / "clotho_captions_development.csv").open(newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    annotations = [Annotation(row[0], tuple(row[1:])) for row in rows]
    start = time.process_time()
    caption = typical_caption(annotations)
    assert time.process_time() - start < 20
    assert caption in {
        " ".join(c.lower().replace(".", "").replace(",", "").split())
        for row in rows
        for c in row[1:]
    }
