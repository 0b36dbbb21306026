"""Captions tokenised by joining their words' tokens, against the official tokeniser."""

import csv
import random

import pytest

from captioner.evaluation.spoken import tokenize_once
from captioner.evaluation.tokenizer import tokenize_all
from captioner.text.vocabulary import build_vocabulary

ODD = (
    "a dog's bark isn't gonna stop cannot rock-n-roll (loud) - ' 90's tick-tock & café it's dogs' "
    "'tis o'clock 5pm a/c 1/2 mr dr etc vs $5 100% he'll wanna #1 u.s no [x] n't 's lemme --"
)


def vocabulary_of(captions, rule):
    settings = {
        "text_rule": rule,
        "order": "frequency",
        "specials": "first",
        "minimum_count": 1,
        "unknown": True,
        "task_tokens": ["clotho"],
    }
    return build_vocabulary(captions, settings, [])


def official(captions, scratch):
    (tokens,) = tokenize_all([captions], scratch, 100)
    return tokens


@pytest.mark.parametrize("rule", ["task", "released"])
def test_words_that_the_tokeniser_splits_or_drops(rule, tmp_path):
    vocabulary = vocabulary_of([ODD], rule)
    spoken = tokenize_once([["A Dog's bark, isn't it?"]], vocabulary)
    assert spoken.references == [["a dog 's bark is n't it"]]
    rng = random.Random(0)
    # Without the fraction: its tokens depend on a number before it.
    words = [word for word in vocabulary.tokens if not word.startswith("<") and word != "1/2"]
    captions = [" ".join(rng.choices(words, k=8)) for _ in range(500)]
    found = [spoken.tokenize(vocabulary.encode(caption)) for caption in captions]
    assert found == official(captions, tmp_path)
    assert any(a != b for a, b in zip(found, captions, strict=True))


def test_special_tokens_are_silent():
    vocabulary = vocabulary_of(["rain falls"], "task")
    spoken = tokenize_once([["Rain."]], vocabulary)
    (rain,) = vocabulary.encode("rain")
    everything = range(len(vocabulary))
    assert sorted(spoken.tokenize(everything).split()) == ["falls", "rain"]
    assert spoken.tokenize([vocabulary.start("clotho"), rain, vocabulary.eos]) == "rain"
    assert spoken.tokenize([]) == ""


def test_references_stay_with_their_clips():
    texts = [["One, two.", "three"], [], ["..."], ["Four\nfive"]]
    spoken = tokenize_once(texts, vocabulary_of(["rain"], "task"))
    assert spoken.references == [["one two", "three"], [], [""], ["four five"]]


@pytest.mark.parametrize("rule", ["task", "released"])
def test_all_captions_of_clotho(rule, shared_data, tmp_path):
    path = shared_data / "clotho_captions_development.csv"
    with path.open(encoding="utf-8", newline="") as file:
        texts = [[row[f"caption_{k}"] for k in range(1, 6)] for row in csv.DictReader(file)]
    flat = [text for of_clip in texts for text in of_clip]
    vocabulary = vocabulary_of(flat, rule)
    spoken = tokenize_once([["Rain."]], vocabulary)
    encoded = [vocabulary.encode(text) for text in flat]
    decoded = [vocabulary.decode(words) for words in encoded]
    assert [spoken.tokenize(words) for words in encoded] == official(decoded, tmp_path)
