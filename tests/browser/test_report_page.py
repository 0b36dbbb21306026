"""The report in a real browser: its sections, its links and tables by keyboard, for all eyes."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")

from playwright.sync_api import Page, expect

from captioner.reporting.report import build_report
from reporting_tree import add_systems, write_errors, write_tree

CHECKS = Path(__file__).with_name("page_checks.js").read_text(encoding="utf-8")
SECTIONS = ["results", "learning", "listen", "words", "data", "cost", "provenance"]
RUNS = ["small.seed1.beam3", "large.seed1.beam3", "typical_caption.seed0.greedy"]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with all that a config can hold."""
    root = tmp_path_factory.mktemp("a report")
    content = add_systems(root, write_tree(root / "results"))
    content["errors"] = {"evaluation": str(write_errors(root / "errors.json", RUNS))}
    build_report(content, root / "report")
    return root / "report"


def all_unfolded(page: Page) -> None:
    """Open every part that is folded; a card is filled once it has heard that it is open."""
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    page.wait_for_function(
        "[...document.querySelectorAll('details.more')].every(part => part.querySelector('table'))"
    )


def opened(report: Path, new_page: Callable, **how) -> Page:
    page = new_page(report, **how)
    page.goto((report / "index.html").as_uri())
    return page


def test_every_section_is_there_in_the_order_of_the_links(report: Path, new_page: Callable) -> None:
    page = opened(report, new_page)
    links = page.eval_on_selector_all("nav a", "found => found.map(a => a.getAttribute('href'))")
    assert links == [f"#{name}" for name in SECTIONS]
    shown = page.eval_on_selector_all("main > section", "found => found.map(s => s.id)")
    assert shown == SECTIONS
    for name in SECTIONS:
        section = page.locator(f"#{name}")
        assert section.locator("h2").count() == 1
        assert section.locator("svg, table, article").count() > 0, f"nothing in {name}"
        assert not section.get_by_text("None", exact=True).count(), "Python in the page"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_that_screen_readers_or_weak_eyes_would_miss(
    report: Path, new_page: Callable, scheme: str
) -> None:
    page = opened(report, new_page, color_scheme=scheme)
    all_unfolded(page)
    page.locator("#listen article").first.scroll_into_view_if_needed()
    assert page.evaluate(CHECKS) == []
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    lightest = max(int(value) for value in background[4:-1].split(","))
    assert (lightest > 200) == (scheme == "light")


def test_the_checks_find_what_is_wrong(new_page: Callable, tmp_path: Path) -> None:
    """Each of these is one thing that the test above looks for."""
    (tmp_path / "index.html").write_text(
        """<!doctype html><html lang="en"><title>x</title><link rel="icon" href="data:,">
        <header><h1>One</h1></header><nav></nav><p>outside</p>
        <main><h3 id="a">Three</h3><img src="data:," id="a"><input><svg></svg><button></button>
        <table><tr><th>no scope</table><i aria-labelledby="gone"></i>
        <div style="overflow: auto; width: 9px"><pre>wide wide</pre></div>
        <p style="color: #999; background: #eee">weak</p></main></html>""",
        encoding="utf-8",
    )
    page = opened(tmp_path, new_page)
    found = {problem.split(":")[0] for problem in page.evaluate(CHECKS)}
    assert found == {
        "outside of the landmarks",
        "h3 after h1",
        "id twice",
        "picture without a text",
        "control without a label",
        "drawing without a text",
        "nameless",
        "table without a caption",
        "heading of a table without a scope",
        "aria-labelledby without its element",
        "scrolls, but not by the keyboard",
        "contrast 2.46",
    }
    assert not new_page.problems


def test_sections_fit_a_phone(report: Path, new_page: Callable) -> None:
    page = opened(report, new_page, width=390)
    all_unfolded(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    smallest = page.eval_on_selector_all(
        "svg text",
        """texts => Math.min(...texts.filter(text => text.checkVisibility()).map((text) => {
          const { a, b } = text.getScreenCTM();  // of a turned text, the one or the other is 0
          return Math.hypot(a, b) * parseFloat(getComputedStyle(text).fontSize);
        }))""",
    )
    assert smallest >= 8, "letters in the pictures, in CSS pixels"


def test_a_wide_table_keeps_its_first_column_in_sight(report: Path, new_page: Callable) -> None:
    page = opened(report, new_page, width=390)
    all_unfolded(page)
    hidden = page.evaluate(
        """() => [...document.querySelectorAll(".scroll")].flatMap((region) => {
          region.scrollLeft = 120;
          const left = region.getBoundingClientRect().left;
          return [...region.querySelectorAll("tr > th:first-child")]
            .filter((cell) => Math.abs(cell.getBoundingClientRect().left - left) > 1)
            .map((cell) => cell.textContent);
        })"""
    )
    assert hidden == []
    table = page.locator("#results .scroll").first
    assert table.evaluate("region => region.scrollLeft") == 120


def test_the_page_by_keyboard(report: Path, new_page: Callable) -> None:
    page = opened(report, new_page)

    def focused(what: str) -> object:
        return page.evaluate(f"(() => {{ const e = document.activeElement; return {what}; }})()")

    page.keyboard.press("Tab")
    assert focused("e.className") == "skip"
    assert focused("e.getBoundingClientRect().left") > 0, "seen as soon as it has the focus"
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash === '#results'")
    page.locator("nav a").first.focus()
    page.keyboard.press("Tab")
    assert focused("e.getAttribute('href')") == "#learning"
    assert focused("getComputedStyle(e).outlineStyle") != "none"
    for name in ("words", "provenance", "data"):  # to and fro
        page.evaluate(f"document.querySelector('nav a[href=\"#{name}\"]').focus()")
        page.keyboard.press("Enter")
        page.wait_for_function(
            """name => {
              const { top } = document.getElementById(name).getBoundingClientRect();
              return 0 <= top && top < 100;
            }""",
            arg=name,
        )
    table = page.locator("#results table.scores").first
    heading = table.locator("th").filter(has_text="SPIDEr")
    heading.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(heading).to_have_attribute("aria-sort", "descending")
    cells = table.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => row.cells[11].dataset.value)"
    )
    scores = [float(value) for value in cells if value]
    assert len(scores) > 5 and scores == sorted(scores, reverse=True)
    assert cells == [*cells[: len(scores)], *[""] * (len(cells) - len(scores))], "none come last"


def test_a_link_to_a_folded_part_unfolds_it(report: Path, new_page: Callable) -> None:
    page = opened(report, new_page)
    link = page.locator("#words table a").last
    target = page.locator(f"#words {link.get_attribute('href')}")
    assert target.get_attribute("open") is None
    link.click()
    page.wait_for_function("id => document.querySelector(id).open", arg=link.get_attribute("href"))
