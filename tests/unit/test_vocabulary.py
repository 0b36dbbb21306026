"""Vocabularies: order, specials, unknown words, and the published counts."""

import csv
import json
import random

import pytest

from captioner.errors import InputError
from captioner.text.vocabulary import Vocabulary, build_vocabulary

CAPTIONS = ["A dog barks, a dog howls.", "The wind howls", "a bird; a bell"]


def settings(**changes):
    default = {
        "text_rule": "task",
        "order": "frequency",
        "specials": "first",
        "minimum_count": 1,
        "unknown": False,
    }
    assert set(changes) <= set(default)
    return default | changes


def build(captions=CAPTIONS, **changes):
    return build_vocabulary(captions, settings(**changes), [{"corpus": "clotho"}])


def clotho_captions(shared_data, split):
    path = shared_data / f"clotho_captions_{split}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return [row[f"caption_{i}"] for row in csv.DictReader(file) for i in range(1, 6)]


def test_order_frequency_breaks_ties_alphabetically():
    vocabulary = build()
    words = ["a", "dog", "howls", "barks", "bell", "bird", "the", "wind"]
    assert vocabulary.tokens == ["<sos>", "<eos>", *words]
    assert vocabulary.counts == [3, 3, 4, 2, 2, 1, 1, 1, 1, 1]
    assert build(random.Random(1).sample(CAPTIONS, 3)).tokens == vocabulary.tokens


def test_order_appearance_with_specials_last():
    vocabulary = build(order="appearance", specials="last", text_rule="released")
    words = ["a", "dog", "barks", "howls", "the", "wind", "bird", "bell"]
    assert vocabulary.tokens == [*words, "<sos>", "<eos>"]
    assert (vocabulary.sos, vocabulary.eos, vocabulary.unk) == (8, 9, None)
    assert len(vocabulary) == 10


def test_order_alphabetical():
    tokens = build(order="alphabetical").tokens
    assert tokens[2:] == sorted(tokens[2:])


def test_rare_words_become_unknown():
    vocabulary = build(minimum_count=2, unknown=True)
    assert vocabulary.tokens == ["<sos>", "<eos>", "<unk>", "a", "dog", "howls"]
    assert vocabulary.counts == [3, 3, 5, 4, 2, 2]
    assert vocabulary.encode("a cat howls") == [3, 2, 5]
    assert vocabulary.decode([0, 3, 2, 5, 1]) == "a howls"


def test_encode_and_decode():
    vocabulary = build()
    indices = vocabulary.encode("The DOG: barks!")
    assert [vocabulary.tokens[index] for index in indices] == ["the", "dog", "barks"]
    assert vocabulary.decode(indices) == "the dog barks"
    ended = [vocabulary.sos, *indices, vocabulary.eos, *vocabulary.encode("a bird")]
    assert vocabulary.decode(ended) == "the dog barks"
    assert vocabulary.decode([]) == ""


@pytest.mark.parametrize("word", ["cat", "<eos>"])
def test_an_unknown_word_is_named_or_dropped(word):
    vocabulary = build(text_rule="released")
    with pytest.raises(InputError, match=f"'the {word} barks': found the word '{word}'"):
        vocabulary.encode(f"the {word} barks")
    kept = vocabulary.encode(f"the {word} barks", skip_unknown=True)
    assert vocabulary.decode(kept) == "the barks"


def test_save_and_load(tmp_path):
    vocabulary = build(["été à l’eau – 鳥", *CAPTIONS])
    path = tmp_path / "a b" / "v[1].x.json"
    vocabulary.save(path)
    assert Vocabulary.load(path) == vocabulary
    content = json.loads(path.read_text(encoding="utf-8"))
    assert set(content) == {"tokens", "counts", "settings", "corpora"}
    assert content["corpora"] == [{"corpus": "clotho"}]
    assert content["settings"] == settings()


@pytest.mark.parametrize(
    "content",
    [
        "not json",
        "[]",
        "{}",
        '{"tokens": ["a"], "counts": [1], "settings": {}, "corpora": []}',
        '{"tokens": ["<sos>", "<eos>", "a", "a"], "counts": [1, 1, 1, 1], "settings": {}, '
        '"corpora": []}',
        '{"tokens": ["<sos>", "<eos>"], "counts": [1], "settings": {}, "corpora": []}',
    ],
)
def test_a_file_that_is_no_vocabulary_is_named(tmp_path, content):
    path = tmp_path / "vocabulary.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"vocabulary\.json: found no vocabulary"):
        Vocabulary.load(path)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.json: found no vocabulary"):
        Vocabulary.load(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"order": "random"}, "order: found 'random', expected one of frequency"),
        ({"specials": "middle"}, "specials: found 'middle', expected one of first, last"),
        ({"minimum_count": 2}, "found minimum_count 2 .* expected `unknown: true`"),
        ({"text_rule": "page"}, "text rule: found 'page'"),
    ],
)
def test_wrong_settings_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        build(**changes)


def test_captions_that_cannot_be_counted():
    with pytest.raises(InputError, match="found no words in 2 captions"):
        build(["", " . "])
    with pytest.raises(InputError, match="found the word '<eos>' in a caption"):
        build(["a <eos> b"], text_rule="released")


@pytest.mark.parametrize("rule", ["task", "released"])
def test_clotho_development_has_4371_classes(shared_data, rule):
    """By both rules: no two of its words differ in removed punctuation only."""
    vocabulary = build(clotho_captions(shared_data, "development"), text_rule=rule)
    assert len(vocabulary) == 4371
    assert vocabulary.counts[vocabulary.sos] == 5 * 3839
    assert ("walkietalkie" in vocabulary.tokens) == (rule == "task")
    assert ("walkie-talkie" in vocabulary.tokens) == (rule == "released")


def test_released_order_on_clotho(shared_data):
    captions = clotho_captions(shared_data, "development")
    vocabulary = build(captions, text_rule="released", order="appearance", specials="last")
    assert len(vocabulary) == 4371
    assert vocabulary.tokens[-2:] == ["<sos>", "<eos>"]
    seen: list[str] = []  # plainly, word by word
    for caption in captions[:500]:
        for word in "".join(c for c in caption.lower() if c not in ',.!?;:"').split():
            if word not in seen:
                seen.append(word)
    assert vocabulary.tokens[: len(seen)] == seen


@pytest.mark.parametrize("rule", ["task", "released"])
def test_clotho_development_has_every_word_of_the_other_splits(shared_data, rule):
    vocabulary = build(clotho_captions(shared_data, "development"), text_rule=rule)
    longest = 0
    for split in ("development", "validation", "evaluation"):
        for caption in clotho_captions(shared_data, split):
            longest = max(longest, len(vocabulary.encode(caption)))
    assert longest == 20  # 22 tokens with <sos> and <eos>
