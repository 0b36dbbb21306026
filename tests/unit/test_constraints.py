"""Constraints of a decoding: words by the vocabulary, and what a search then says."""

import pytest

from captioner.decoding.constraints import Constraints
from captioner.decoding.decode import decode_clips
from captioner.decoding.options import DecodingOptions
from captioner.errors import InputError
from captioner.text.stop_words import stop_words
from small_models import FRONTEND, WORDS, random_features, small_model


@pytest.fixture
def loaded():
    return small_model("conv_transformer")


def captions(loaded, **options):
    features = {FRONTEND: random_features({f"{n}.wav": 4 + n for n in range(12)})}
    options = DecodingOptions.from_settings({"max_length": 12, **options})
    found = decode_clips(loaded, features, list(features[FRONTEND]), options)
    return [loaded.vocabulary.decode(each.tokens).split() for of in found.values() for each in of]


def test_words_are_those_of_the_vocabulary(loaded):
    vocabulary = loaded.vocabulary
    options = DecodingOptions(
        beam_size=3,
        banned_words=("rain", "dog"),
        forced_words=("tin",),
        no_repeat_content=True,
        no_repeat_ngram=3,
        min_length=2,
        max_length=9,
    )
    constraints = Constraints.of(options, vocabulary)
    spoken = [vocabulary.tokens[index] for index in constraints.banned]
    assert spoken == ["<sos>", "<unk>", "rain", "dog"]
    assert [vocabulary.tokens[index] for index in constraints.forced] == ["tin"]
    content = {vocabulary.tokens[index] for index in constraints.content}
    assert content == set(WORDS.split()) - {"a", "while", "on", "the", "and", "through"}
    found = constraints.eos, constraints.min_length, constraints.max_length
    assert (*found, constraints.no_repeat_ngram) == (vocabulary.eos, 2, 9, 3)


@pytest.mark.parametrize("word", ["unicorn", "<unk>", "<eos>", "<sos>", "Dog", ""])
@pytest.mark.parametrize("option", ["banned_words", "forced_words"])
def test_a_word_outside_the_vocabulary_is_named(loaded, option, word):
    options = DecodingOptions(beam_size=3, **{option: ("dog", word)})
    with pytest.raises(InputError, match=rf"{option}: found '{word}', expected words of the voc"):
        Constraints.of(options, loaded.vocabulary)


def test_stop_words_are_of_grammar():
    assert {"a", "the", "and", "while", "in", "something"} <= stop_words()
    assert not {"fire", "cry", "dog", "call", "move", "thin"} & stop_words()
    assert len(stop_words()) > 250


def test_content_words_are_said_once_and_stop_words_may_repeat(loaded):
    free = captions(loaded, beam_size=4)
    once = captions(loaded, beam_size=4, no_repeat_content=True)

    def repeated(found):
        return {word for words in found for word in words if words.count(word) > 1}

    assert repeated(free) - stop_words()  # the model would repeat them
    assert repeated(once)
    assert repeated(once) <= stop_words()


def test_banned_words_are_said_by_none_and_forced_words_by_all(loaded):
    free = captions(loaded, beam_size=4)
    often = max(set(WORDS.split()), key=lambda word: sum(word in words for words in free))
    assert not any(often in words for words in captions(loaded, beam_size=4, banned_words=[often]))
    assert not all("tin" in words for words in free)
    for words in captions(loaded, beam_size=4, forced_words=["tin", "dry"]):
        assert {"tin", "dry"} <= set(words)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_ngrams_are_said_once(loaded, n):
    def has_repetition(words, n):
        ngrams = [tuple(words[place : place + n]) for place in range(len(words) - n + 1)]
        return len(set(ngrams)) < len(ngrams)

    assert any(has_repetition(words, n) for words in captions(loaded, min_length=12))
    limited = captions(loaded, beam_size=2, min_length=12, no_repeat_ngram=n)
    assert limited
    assert not any(has_repetition(words, n) for words in limited)
