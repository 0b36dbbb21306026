"""Figures: what they show, in the page's own colours."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from typing import Any

import numpy as np

from captioner.reporting.figures import (
    Bar,
    Figure,
    coverage_figure,
    frequency_figure,
    histogram_figure,
    spider_figure,
)
from captioner.reporting.svg import SERIES, standalone


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("text")]


def ids(svg: str) -> list[str]:
    return [e.attrib["id"] for e in ElementTree.fromstring(svg).iter() if "id" in e.attrib]


def bar(label: str, value: float = 0.1, kind: str = "system", **more: Any) -> Bar:
    return Bar(label, value, kind, **more)


def test_bars_carry_names_and_numbers_and_follow_the_page() -> None:
    labels = ["A <b> & $x$", "Typical", "Published"]
    bars = [
        bar(labels[0], 0.2964),
        bar(labels[1], 0.05, "trivial"),
        bar(labels[2], 0.051, "published"),
    ]
    figure = spider_figure(bars, "p")
    assert {*labels, "0.296", "0.050", "0.051"} <= set(texts(figure.svg))
    for colour in ("currentColor", "var(--rule)", "var(--series-0)", "var(--series-4)"):
        assert colour in figure.svg
    assert "#1b1f24" not in figure.svg
    assert "width=" not in figure.svg.split(">")[0]
    root = ElementTree.fromstring(figure.svg)
    assert "A <b> & $x$ 0.296" in root.attrib["aria-label"]
    assert figure.caption == (
        "SPIDEr, the mean of CIDEr and SPICE (blue: system, orange: trivial, green: published)."
    )


def test_a_picture_as_a_file_has_its_own_colours_and_size() -> None:
    figure = spider_figure([bar("A <b>", 0.3, seeds=(0.25, 0.35)), bar("B", 0.2, "people")], "p")
    assert figure.name == "p"
    drawing = standalone(figure.svg)
    root = ElementTree.fromstring(drawing)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.attrib["width"].endswith("pt") and root.attrib["aria-label"].startswith("SPIDEr")
    assert "var(" not in drawing and "currentColor" not in drawing
    assert {SERIES[0], SERIES[3]} <= set(re.findall("#[0-9a-f]{6}", drawing))
    assert Figure("", "nothing").name == ""


def test_bars_with_intervals_and_seeds_say_so() -> None:
    bars = [bar("A", 0.3, interval=(0.2, 0.4), seeds=(0.25, 0.35)), bar("B", 0.2)]
    figure = spider_figure(bars, "p")
    assert figure.caption.endswith("Lines: the intervals of the table. Dots: single seeds.")
    assert "var(--page)" in figure.svg, "the dots are open"


def test_an_interval_much_wider_than_the_scores_is_cut_and_has_arrows() -> None:
    whole = bar("A", 0.5, interval=(0.0, 0.75), seeds=(0.25, 0.5))
    figure = spider_figure([whole], "p")
    cut = spider_figure([replace(whole, interval=(-0.1, 2.0))], "p")
    assert cut.caption.endswith("; one with an arrow goes on. Dots: single seeds.")
    assert cut.svg.count("<use") == figure.svg.count("<use") + 2, "the arrows"
    ticks = [float(text) for text in texts(cut.svg) if re.fullmatch(r"\d\.\d+", text)]
    assert 0.6 <= max(ticks) <= 0.9


def test_ids_are_unique_among_figures_and_references_hold() -> None:
    one, two = (spider_figure([bar("A")], name).svg for name in ("one", "two"))
    assert not set(ids(one)) & set(ids(two))
    for part in one.split("url(#")[1:]:
        assert part.split(")")[0] in ids(one)


def test_histograms_leave_out_empty_splits() -> None:
    values = {"development": [8, 9, 9, 20], "test": []}
    figure = histogram_figure(values, "Length", "words", "lengths", whole=True)
    assert figure.caption == "development: median 9, 8 to 20."
    assert "test" not in texts(figure.svg)
    assert {"Length", "words", "share of the split (%)"} <= set(texts(figure.svg))
    equal = histogram_figure({"a": [10.0, 10.0]}, "Duration", "s", "d", whole=False)
    assert equal.caption == "a: median 10.0, 10.0 to 10.0."
    assert histogram_figure({"test": []}, "Length", "words", "x", whole=True).svg == ""


def test_frequencies_of_words_by_rank() -> None:
    figure = frequency_figure({"development": [1, 900, 1, 30], "test": []}, "f")
    assert figure.caption == "development: 2 of 4 words occur once."
    assert not any("$" in text for text in texts(figure.svg)), "no formulas for labels"
    assert {"rank of the word", "occurrences", "development", "100"} <= set(texts(figure.svg))
    assert "test" not in texts(figure.svg)
    assert frequency_figure({"test": []}, "f").svg == ""


def test_coverage_by_the_most_frequent_words() -> None:
    shares = {"development": np.array([0.5, 0.96, 1.0]), "evaluation": np.array([0.4, 0.8, 0.9])}
    figure = coverage_figure(shares, "task", "c")
    assert figure.caption == (
        "development: 95 % with the 2 most frequent, 100.0 % with all of 3 words; "
        "evaluation: 90.0 % with all of 3 words."
    )
    shown = set(texts(figure.svg))
    assert {"development", "evaluation", "Coverage by the vocabulary task"} <= shown
    assert {"most frequent words of the vocabulary", "share of the running words (%)"} <= shown
