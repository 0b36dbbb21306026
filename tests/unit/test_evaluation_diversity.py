"""Diversity of captions against values worked out by hand."""

import pytest

from captioner.evaluation.diversity import diversity
from captioner.evaluation.metrics import METRIC_SETS


def test_by_hand():
    candidates = ["a dog barks and a dog runs", "rain falls and the rain stops", "a bird"]
    references = [["a dog barks"], ["rain falls on a roof", "heavy rain"], ["birds sing"]]
    found = diversity(candidates, references)
    assert tuple(found) == METRIC_SETS["diversity"]
    # a dog barks and runs rain falls the stops bird; of the references' a dog barks rain falls on
    # roof heavy birds sing
    assert found["vocabulary_size"] == 10
    assert found["vocabulary_coverage"] == 5 / 10
    assert found["distinct_1"] == 10 / 15
    assert found["distinct_2"] == 11 / 12  # "a dog" twice
    assert found["mean_length"] == 5
    assert found["repeated_content_words"] == pytest.approx(2 / 3)


def test_stop_words_may_repeat():
    found = diversity(["the end of the day and the night"], [["x"]])
    assert found["repeated_content_words"] == 0


def test_broken_captions():
    captions = ["a dog barks and", "rain rain falls", "the the the", "", "a car turns on"]
    found = diversity(captions, [["x"]] * 5)
    assert found["repeated_words"] == 2 / 5
    assert found["unfinished"] == 2 / 5  # "and", "the"; people do end with "on"


def test_no_words():
    assert set(diversity(["", ""], [[""], [""]]).values()) == {0.0}


def test_one_caption_for_all_is_not_diverse():
    same = diversity(["a dog barks loudly"] * 50, [["a dog"]] * 50)
    assert same["distinct_1"] == 4 / 200
    assert same["distinct_2"] == 3 / 150
