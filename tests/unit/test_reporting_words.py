"""Missed, made-up and confused words in the report."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from captioner.reporting.content import Corpus, ReportContent, System
from captioner.reporting.words import N_WORDS, read_words
from captioner.reporting.words_figure import words_figure
from reporting_tree import write_errors


def content_of(path: Path, systems: list[System]) -> ReportContent:
    corpus = Corpus("x", "X", False, False)
    return ReportContent(corpus, {}, {}, systems, errors={"evaluation": path})


def test_words_of_the_first_seed_that_has_an_analysis(tmp_path: Path) -> None:
    path = write_errors(tmp_path / "errors.json")
    bare = System("a", "A", 1, "greedy")
    content = content_of(path, [bare, replace(bare, seed=2), replace(bare, name="b", title="B")])
    (words,) = read_words(content, "evaluation")
    assert read_words(content, "validation") == []
    assert words.label == "A"
    assert words.shares["noun"] == (pytest.approx(1 / 4), pytest.approx(1 / 3))
    assert words.shares["verb"] == (pytest.approx(1 / 2), pytest.approx(1 / 3))
    assert words.shares["adverb"] == (None, None)
    assert [(row["word"], row["clips"], row["of"]) for row in words.missed] == [
        ("bark", 2, 3),
        ("dog", 2, 3),
    ]
    assert [(row["word"], row["clips"]) for row in words.invented] == [
        ("bird", 2),
        ("<i>", 1),
        ("sing", 1),
    ]
    nouns, verbs = words.confusions
    assert (nouns.part, nouns.rows, nouns.columns) == ("noun", [("dog", 3, 1)], ["bird", "<i>"])
    assert (nouns.counts, nouns.highest) == ([[2, 0]], 2)
    assert (verbs.rows, verbs.columns, verbs.counts) == ([("bark", 3, 1)], ["sing"], [[1]])


def test_long_tables_are_cut_and_empty_matrices_left_out(tmp_path: Path) -> None:
    path = write_errors(tmp_path / "errors.json")
    found = json.loads(path.read_text())
    row = {"word": "x", "part": "noun", "clips": 1, "of": 1}
    found["a.seed2.greedy"]["missed"] = [{**row, "word": str(i)} for i in range(50)]
    found["a.seed2.greedy"]["confusion"]["noun"]["predicted"] = []
    path.write_text(json.dumps(found))
    (words,) = read_words(content_of(path, [System("a", "A", 2, "greedy")]), "evaluation")
    assert [row["word"] for row in words.missed] == [str(i) for i in range(N_WORDS)]
    assert [confusion.part for confusion in words.confusions] == ["verb"]


def test_the_picture_tells_what_is_right_and_found(tmp_path: Path) -> None:
    path = write_errors(tmp_path / "errors.json")
    words = read_words(content_of(path, [System("a", "A & <b>", 2, "greedy")]), "evaluation")
    svg = words_figure(words, "words").svg
    label = "A &amp; &lt;b&gt;"
    assert f"{label}: nouns 25 % right, 33 % found, verbs 50 % right, 33 % found." in svg
    texts = re.findall(r">([^<>]+)</text>", svg)
    assert {label, "nouns right", "verbs found", "share of the words (%)"} <= set(texts)
