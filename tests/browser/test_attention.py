"""Where words looked, in a real browser: a row per word, at the seconds of the file."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from captioner.corpus.tables import read_clips
from captioner.decoding.attended import Attended, write_attention
from captioner.evaluation.tables import read_predictions
from captioner.reporting.report import build_report
from reporting_tree import write_tree

N_BINS = 20


def attended(caption: str, duration_s: float) -> Attended:
    """Word k looks at bin 3 + 2 * k alone; bins begin half a bin before the clip."""
    words = tuple(caption.split())
    bin_s = duration_s / (N_BINS - 1)
    weights = np.zeros((len(words), N_BINS), np.float32)
    for k, row in enumerate(weights):
        row[3 + 2 * k] = 1
    return Attended(words, -bin_s / 2, bin_s, weights)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("attention #1")
    content = write_tree(root / "results")
    clips = read_clips(content["splits"]["evaluation"]["clips"])
    system = content["systems"][0]
    captions = read_predictions(system["captions"]["evaluation"])
    path = root / "attention.parquet"
    rows = {clip.file_name: attended(captions[clip.file_name], clip.duration_s) for clip in clips}
    write_attention(path, rows)
    system["attention"] = str(path)
    return {"content": content, "root": root, "captions": captions, "clips": clips}


@pytest.fixture(scope="module")
def report(tree: dict[str, Any]) -> Path:
    folder = tree["root"] / "report"
    build_report(tree["content"], folder)
    return folder


@pytest.fixture
def card(new_page, report, tree):
    page = new_page(report)
    page.goto((report / "index.html").as_uri() + "#clip=plain.wav")
    card = page.locator("article.clip").filter(has_text="plain.wav")
    card.locator("table.looks").wait_for()
    return card


def test_a_row_for_each_word_of_the_run_that_has_attention(card, tree):
    words = tree["captions"]["plain.wav"].split()
    assert card.locator("summary", has_text="All scores, seeds and attention").count() == 1
    (table,) = card.locator("table.looks").all()
    assert "Small Transformer, seed 1 looked" in table.locator("caption").inner_text()
    assert table.locator("tbody th").all_inner_texts() == words
    clip = next(clip for clip in tree["clips"] if clip.file_name == "plain.wav")
    bin_s = clip.duration_s / (N_BINS - 1)
    peaks = [f"{(3 + 2 * k) * bin_s:.1f} s" for k in range(len(words))]
    assert table.locator("tbody td.number").all_inner_texts() == peaks
    assert card.get_by_role("columnheader", name="Over time").count() == 1


def test_the_picture_is_on_the_clips_own_axis(card):
    """The frame around a word's bin, in the picture, is where the spectrogram has that second."""
    spectrogram = card.locator("table.looks thead img").bounding_box()
    rows = card.locator("table.looks tbody tr").all()
    for k, row in enumerate(rows):
        frame = row.locator(".peak").bounding_box()
        middle = (frame["x"] + frame["width"] / 2 - spectrogram["x"]) / spectrogram["width"]
        assert middle == pytest.approx((3 + 2 * k) / (N_BINS - 1), abs=0.01)
        gradient = row.locator(".track span").first.evaluate("e => e.style.background")
        assert gradient.count("100%, transparent)") == 1  # the one dark cell
        assert f"{100 * (3 + 2 * k) / N_BINS:.2f}%" in gradient


def test_a_word_plays_the_clip_from_where_it_looked(card):
    player = card.locator("audio")
    card.locator("table.looks tbody button").nth(2).press("Enter")
    peak_s = float(card.locator("tbody td.number").nth(2).inner_text().removesuffix(" s"))
    card.page.wait_for_function(
        "([p, s]) => p.currentTime >= s && !p.seeking",
        arg=[player.element_handle(), peak_s - 0.06],
    )
    card.page.wait_for_function(
        "t => { const at = Number(t.style.getPropertyValue('--at')); return 0 < at && at <= 1 }",
        arg=card.locator("table.looks").element_handle(),
    )


def test_data_are_loaded_when_a_card_is_opened(new_page, report):
    page = new_page(report)
    asked = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page.goto((report / "index.html").as_uri())
    assert not [name for name in asked if name.startswith("attention")]
    for summary in page.locator("article.clip summary").all()[:2]:
        summary.click()
    page.locator("table.looks").nth(1).wait_for()
    assert [name for name in asked if name.startswith("attention")] == ["attention-0-0.js"]


def test_data_that_are_gone_are_said_to_be(new_page, report, tmp_path):
    folder = tmp_path / "copy"
    (folder / "data").mkdir(parents=True)
    (folder / "index.html").write_bytes((report / "index.html").read_bytes())
    (folder / "data/clips.js").write_bytes((report / "data/clips.js").read_bytes())
    (folder / "media").symlink_to(report / "media")
    page = new_page(folder)
    page.goto((folder / "index.html").as_uri())
    page.locator("article.clip summary").first.click()
    said = page.locator("article.clip .attention .alarm").first
    said.wait_for()
    assert said.inner_text() == "Not found: data/attention-0-0.js"
    new_page.expect_problems("^failed request: .*/data/attention-0-0.js", "NOT_FOUND")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_it_fits_and_can_be_read(new_page, report, width, scheme):
    page = new_page(report, width=width, color_scheme=scheme)
    page.goto((report / "index.html").as_uri() + "#clip=plain.wav")
    table = page.locator("table.looks").first
    table.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert table.locator("tbody .track").first.bounding_box()["width"] > 0.4 * min(width, 900)
    looked = page.evaluate(
        "getComputedStyle(document.documentElement).getPropertyValue('--looked')"
    )
    behind = page.evaluate(
        "getComputedStyle(document.querySelector('.track')).backgroundColor.match(/\\d+/g).map(Number)"
    )
    rgb = [int(looked.strip()[i : i + 2], 16) for i in (1, 3, 5)]
    assert abs(luminance(rgb) - luminance(behind)) > 0.7, (looked, behind)


def luminance(rgb: list[int]) -> float:
    """Relative luminance of sRGB (WCAG 2)."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.array(rgb) / 255
    ]
    return math.fsum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_a_report_without_attention_shows_none(new_page, tree, tmp_path):
    systems = [{**system, "attention": None} for system in tree["content"]["systems"]]
    build_report({**tree["content"], "systems": systems, "frontends": {}}, tmp_path / "report")
    assert not list((tmp_path / "report/data").glob("attention*"))
    page = new_page(tmp_path / "report")
    page.goto((tmp_path / "report/index.html").as_uri())
    page.locator("article.clip summary").first.click()
    page.get_by_text("All scores and seeds").first.wait_for()
    assert page.locator(".attention table").count() == 0
