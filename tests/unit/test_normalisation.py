"""Captions to words by both text rules."""

import csv

import pytest

from captioner.errors import InputError
from captioner.text.normalisation import tokenize

CASES = {  # caption: (task, released)
    "A walkie-talkie, beeping.": ("a walkietalkie beeping", "a walkie-talkie beeping"),
    "It's  loud ; very loud!": ("its loud very loud", "it's loud very loud"),
    '"Hello": who?': ("hello who", "hello who"),
    "\tTwo\nlines \r\n": ("two lines", "two lines"),
    "Water (dripping) & wind/rain": ("water dripping windrain", "water (dripping) & wind/rain"),
    "Ça “chante” – où ? Ein Vöglein…": (
        "ça chante où ein vöglein",
        "ça “chante” – où ein vöglein…",
    ),
    "100% <sos> a_b": ("100 sos ab", "100% <sos> a_b"),
    "鳥が鳴く。": ("鳥が鳴く", "鳥が鳴く。"),
    " . , ": ("", ""),
}


@pytest.mark.parametrize("caption", CASES)
def test_rules(caption):
    task, released = CASES[caption]
    assert tokenize(caption, "task") == task.split()
    assert tokenize(caption, "released") == released.split()


def test_an_unknown_rule_is_named():
    with pytest.raises(InputError, match="text rule: found 'page', expected one of task, released"):
        tokenize("a", "page")


def test_longest_clotho_caption_has_twenty_words(shared_data):
    for split in ("development", "validation", "evaluation"):
        path = shared_data / f"clotho_captions_{split}.csv"
        with path.open(encoding="utf-8", newline="") as file:
            captions = [row[f"caption_{i}"] for row in csv.DictReader(file) for i in range(1, 6)]
        for rule in ("task", "released"):
            lengths = [len(tokenize(caption, rule)) for caption in captions]
            assert (min(lengths), max(lengths)) == (8, 20)
