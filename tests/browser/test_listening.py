"""Listen and compare, in a real browser: clips are heard, found, ordered and linked to."""

import json
import random
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")

from playwright.sync_api import expect

from captioner.reporting.listening import DATA_FILE, Listening
from captioner.reporting.listening import write_listening as write_data
from captioner.reporting.report import build_report
from listening_pages import METRICS, listening_of, many_clips
from reporting_tree import HOSTILE, write_listening, write_tree, write_wav

N_CLIPS, PAGE = 30, 20
ODD = [
    "100% #1? a&b=c+d.wav",
    "naïve café – 雨.wav",
    "<img src=x onerror=alert(1)>.wav",
    "'single' \"double\" `back`.wav",
    "rain train.wav",
]
CAPTIONS = ["a dog barks", "rain falls", "a train passes", "Rain, heavy rain!", "<b>it rains</b>"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A tree of 30 clips with odd names, and scores that agree in nothing."""
    root = tmp_path_factory.mktemp("a report #1, 100%")
    (root / "audio").mkdir()
    names = ODD + [f"clip {i}.wav" for i in range(N_CLIPS - len(ODD))]
    wavs = [root / "audio" / name for name in names]
    for i, wav in enumerate(wavs):
        write_wav(wav, 1.5 + i / 10, 22050, i)
    captions = [[HOSTILE, f"reference {i}", "wind", "a bell", "</script><b>"] for i in range(30)]
    content = write_tree(root / "results", wavs, captions)
    generator = random.Random(7)
    for system in content["systems"]:
        path = system["scores"]["evaluation"]["parquet"]
        table = pq.read_table(path)
        for metric in METRICS:
            scores = pa.array([round(generator.random(), 4) for _ in names])
            table = table.set_column(table.column_names.index(metric), metric, scores)
        pq.write_table(table, path)
        rows = [
            f'"{n.replace(chr(34), 2 * chr(34))}","{generator.choice(CAPTIONS)}"' for n in names
        ]
        text = "\n".join(["file_name,caption_predicted", *rows])
        Path(system["captions"]["evaluation"]).write_text(text + "\n", encoding="utf-8")
    return {**content, "root": str(root), "names": names}


@pytest.fixture(scope="module")
def report(tree: dict[str, Any]) -> Path:
    folder = Path(tree["root"]) / "report"
    build_report({k: v for k, v in tree.items() if k not in ("root", "names")}, folder)
    return folder


def with_data(report: Path, folder: Path, listening: Listening, media: list[Path]) -> Path:
    """Give the page of a report beside other data."""
    folder.mkdir(exist_ok=True)
    write_data(listening, media, folder, folder)
    page = (report / "index.html").read_text(encoding="utf-8")
    (folder / "index.html").write_text(page, encoding="utf-8")
    return folder / "index.html"


def again(tree: dict[str, Any], audio: str, folder: Path) -> tuple[Listening, list[Path]]:
    """Prepare the clips of the tree once more."""
    files = write_listening(folder, tree["splits"]["evaluation"]["clips"], audio)
    given = {k: v for k, v in tree.items() if k not in ("root", "names")}
    found = listening_of({**given, "listening": files})
    return found, [Path(folder) for folder in files["folders"]]


@pytest.fixture(scope="module")
def data(report: Path) -> dict[str, Any]:
    return json.loads((report / DATA_FILE).read_text(encoding="utf-8").split("= ", 1)[1][:-2])


@pytest.fixture
def page(new_page, report):
    page = new_page(report)
    page.goto((report / "index.html").as_uri())
    return page


def shown(page) -> list[str]:
    return page.locator("#clips article h3").all_text_contents()  # those below the window, too


def ordered_names(data: dict[str, Any], value, descending: bool = False) -> list[str]:
    names = data["clips"]["name"]
    found = sorted(range(len(names)), key=lambda i: (-value(i) if descending else value(i), i))
    return [names[i] for i in found]


def test_a_card_says_everything_as_it_was_written(page, data) -> None:
    page.locator("#query").fill('name:"onerror"')
    (name,) = shown(page)
    i = data["clips"]["name"].index(name)
    card = page.locator("#clips article")
    assert card.locator("ol li").all_text_contents() == data["clips"]["references"][i]
    rows = card.locator(".predictions tbody tr").all()
    first = [run for run in data["runs"] if run["first"]]
    assert [row.locator("th, td").all_text_contents() for row in rows] == [
        [run["label"], run["captions"][i], f"{run['scores']['spider'][i]:.3f}"] for run in first
    ]
    assert "by A & B <c>" in card.text_content() and "tagger hears Wind 0.92" in card.text_content()
    assert "22.05 kHz" in card.text_content()
    card.get_by_text("All scores and seeds").click()
    rows = card.locator(".more tbody tr")
    expect(rows).to_have_count(len(data["runs"]))  # once the page has heard that it opened
    for row, run in zip(rows.all(), data["runs"], strict=True):
        expected = [f"{run['scores'][metric][i]:.3f}" for metric in METRICS]
        assert row.locator("td").all_text_contents() == expected
        assert (run["captions"][i] in row.text_content()) == (not run["first"])
    assert not page.locator("#clips i, #clips b, #clips script").count(), "text became markup"


def test_audio_plays_and_the_picture_follows(page) -> None:
    page.locator("#query").fill("name:100")
    card = page.locator("#clips article")
    player = card.locator("audio")
    assert player.get_attribute("preload") == "none"
    player.evaluate("(player) => player.play()")
    page.wait_for_function("document.querySelector('#clips audio').currentTime > 0.2")
    page.wait_for_function("document.querySelector('#clips .head').style.left")
    assert player.evaluate("(player) => player.duration") == pytest.approx(1.5, abs=0.1)
    assert card.locator("img").evaluate("(image) => image.decode().then(() => image.naturalWidth)")
    head = card.locator(".head")
    left = float(head.evaluate("(line) => line.style.left").rstrip("%"))
    assert head.is_visible() and 0 < left <= 100
    player.evaluate("(player) => { player.pause(); player.currentTime = 0; }")
    page.wait_for_function("document.querySelector('#clips .head').style.left === '0%'")
    box = card.locator(".spectrogram").bounding_box()
    card.locator(".spectrogram").click(position={"x": 0.5 * box["width"], "y": 20})
    page.wait_for_function("document.querySelector('#clips audio').currentTime >= 0.74")
    assert card.locator(".axis span").all_text_contents() == ["0", "0.5", "1", "1.5 s"]


def test_one_clip_plays_at_a_time_and_none_that_is_out_of_sight(page) -> None:
    assert page.evaluate(  # at once: the clips are short, and pause at their end anyway
        """async () => {
          const players = [...document.querySelectorAll("#clips audio")].slice(0, 3);
          await players[0].play();
          await players[1].play();
          const paused = [players.map((player) => player.paused)];
          document.querySelector("#pager-above button:last-of-type").click();
          return [...paused, players.map((player) => player.paused)];
        }"""
    ) == [[True, False, True], [True, True, True]]
    expect(page.locator("#pager-above select")).to_have_value("2")


def test_order_is_that_of_the_scores(page, data) -> None:
    runs = {run["id"]: run["scores"] for run in data["runs"]}
    trained = [run["scores"] for run in data["runs"] if not run["trivial"]]
    assert len(trained) == 2

    def mean(i: int) -> float:
        return sum(scores["spider"][i] for scores in trained) / 2

    assert shown(page) == ordered_names(data, mean)[:PAGE]
    page.select_option("#order", "desc")
    assert shown(page) == ordered_names(data, mean, True)[:PAGE]
    for run, metric in (("small.seed2.beam3", "cider"), ("typical_caption.seed0.greedy", "meteor")):
        page.select_option("#sort", metric)
        page.select_option("#of", run)
        expected = ordered_names(data, runs[run][metric].__getitem__, True)
        assert shown(page) == expected[:PAGE]
        page.select_option("#pager-below select", "2")
        assert shown(page) == expected[PAGE:]
    page.select_option("#minus", "small.seed1.beam3")
    page.select_option("#order", "asc")
    of, minus = (
        runs[run]["meteor"] for run in ("typical_caption.seed0.greedy", "small.seed1.beam3")
    )
    expected = ordered_names(data, lambda i: of[i] - minus[i])
    assert shown(page) == expected[:PAGE], "a new order begins at its first page"
    i = data["clips"]["name"].index(expected[0])
    assert (
        f"METEOR difference −{minus[i] - of[i]:.3f}" in page.locator("article").first.text_content()
    )
    page.select_option("#sort", "duration")
    assert page.locator("#of").is_disabled()
    assert shown(page) == ordered_names(data, data["clips"]["duration"].__getitem__)[:PAGE]
    page.select_option("#sort", "name")
    plain = [name for name in shown(page) if name.startswith("clip")]
    assert plain == [f"clip {i}.wav" for i in range(17)], "2 before 10, and names with signs first"


@pytest.mark.parametrize(
    ("query", "pattern", "places"),
    [
        ("rain", r"\brain", ["caption", "name"]),
        ('"rain"', r"\brain\b", ["caption", "name"]),
        ("caption:rain", r"\brain", ["caption"]),
        ('caption:"heavy rain"', r"\bheavy rain\b", ["caption"]),
        ("name:train", r"\btrain", ["name"]),
        ("100%", r"100%", ["name"]),
        ("雨", r"雨", ["name"]),
        ("caption:<b>it", r"<b>it", ["caption"]),
        ("author:A", r"\ba", ["author"]),
        ("no:such", r"no:such", ["caption"]),
    ],
)
def test_words_are_found(page, data, query, pattern, places) -> None:
    texts = {
        "caption": [
            "\n".join(said) for said in zip(*(r["captions"] for r in data["runs"]), strict=True)
        ],
        "name": data["clips"]["name"],
        "author": data["clips"]["author"],
    }
    found = {
        name
        for i, name in enumerate(data["clips"]["name"])
        if any(re.search(pattern, texts[place][i], re.IGNORECASE) for place in places)
    }
    page.locator("#query").fill(query)
    on_pages = set(shown(page))
    if len(found) > PAGE:
        page.select_option("#pager-below select", "2")
        on_pages |= set(shown(page))
    assert on_pages == found
    said = "30 clips" if len(found) == 30 else f"{len(found)} of 30 clips"
    assert page.locator("#found").inner_text() == said
    assert page.locator("#found").get_attribute("aria-live") == "polite"


def test_terms_are_joined_and_negated(page, data) -> None:
    def count(query: str, whole: bool = False) -> int:
        page.locator("#query").fill(query)
        page.locator("#whole").set_checked(whole)
        return int(page.locator("#found").inner_text().split()[0])

    assert 0 < count("caption:rain -caption:dog") < count("caption:rain") < 30
    assert count("caption:rain") == count("caption:rain -reference:rain")
    assert count("caption:rain", whole=True) == count('caption:"rain"') < count("caption:rain")
    assert count("caption:rain caption:dog") == count("caption:rain") - count(
        "caption:rain -caption:dog"
    )
    assert count("zebra") == 0
    assert "No clip" in page.locator("#clips").inner_text()
    assert count('"') == count("-") == count("( [ \\") + 30 == 30
    count("caption:rain")
    marks = page.locator("#clips mark").all_text_contents()
    assert marks and {mark.lower() for mark in marks} == {"rain"}


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ODD)
def test_a_link_opens_its_clip(new_page, report, data, name, width) -> None:
    page = new_page(report, width=width)
    page.goto(f"{(report / 'index.html').as_uri()}#clip={quote(name, safe='')}")
    card = page.locator("article.chosen")
    assert card.locator("h3").inner_text() == name
    assert card.locator("details").get_attribute("open") is not None
    assert card.locator("h3 a").evaluate("(link) => link === document.activeElement")
    card.locator(".more tbody tr").first.wait_for()  # the card has grown by what opens in it
    top = card.locator("h3").evaluate("heading => heading.getBoundingClientRect().top")
    assert 40 < top < 150, "below the page's links, still"


def test_links_are_copied_and_followed_within_the_page(page, data) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#query").fill("name:onerror")
    copy = page.get_by_role("button", name="Copy a link to")
    copy.evaluate(  # "Copied" is there for two seconds only
        """(button) => {
          window.said = [];
          const heard = new MutationObserver(() => said.push(button.textContent));
          heard.observe(button, { childList: true });
        }"""
    )
    copy.click()
    page.wait_for_function("said.includes('Copied')")
    page.wait_for_function("said.at(-1) === 'Copy link'")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.endswith("#clip=" + quote(ODD[2], safe="()"))
    page.locator("#query").fill("zebra")
    page.evaluate("(link) => { location.href = link; }", link)
    page.locator("article.chosen").wait_for()
    assert page.locator("article.chosen h3").inner_text() == ODD[2], "the search is dropped for it"
    assert page.locator("#query").input_value() == ""
    page.evaluate("location.hash = '#clip=no such clip'")
    page.evaluate("location.hash = '#clip=50%'")
    assert page.locator("#clips article").count() == PAGE


def test_a_view_can_be_sent(page, new_page, report) -> None:
    page.select_option("#sort", "spice")
    page.select_option("#of", "small.seed1.beam3")
    page.select_option("#minus", "typical_caption.seed0.greedy")
    page.select_option("#order", "desc")
    page.locator("#query").fill("clip -no & such")
    page.locator("#query").fill("wind -rain%")
    page.wait_for_function("location.hash.includes('wind')")
    page.select_option("#pager-above select", "2")
    other = new_page(report)
    address = page.evaluate("location.href")
    other.goto(address)
    assert shown(other) == shown(page) and len(shown(page)) == N_CLIPS - PAGE
    for control in ("#sort", "#of", "#minus", "#order", "#query"):
        assert other.locator(control).input_value() == page.locator(control).input_value()
    assert other.locator("#tools").bounding_box()["y"] < 900, "scrolled to the section"
    damaged = address.replace("sort=spice", "sort=none").replace("page=2", "page=999")
    third = new_page(report)
    third.goto(damaged)
    assert third.locator("#sort").input_value() == "spider"
    assert len(shown(third)) == N_CLIPS - PAGE, "the last page"


def test_everything_is_reached_by_keyboard(page) -> None:
    page.locator("#query").focus()
    seen = []
    for _ in range(16):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    expected = [
        "whole",
        "sort",
        "of",
        "minus",
        "order",
        "SUMMARY",
        "SELECT",
        "BUTTON",
        "A",
        "BUTTON",
    ]
    assert seen[:10] == expected, "Previous is disabled on the first page"
    assert "AUDIO" in seen
    page.locator("#pager-below").get_by_text("Next").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.closest('article') === clips.firstElementChild")


def test_every_control_has_a_name(page) -> None:
    page.locator("article .more summary").first.click()
    page.locator("article .more tbody tr").first.wait_for()
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll(
            "#listen :is(a, button, input, select, audio, nav, [role=region])")]
          .filter((e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.length))
          .map((e) => e.outerHTML)"""
    )
    assert unnamed == []
    levels = page.evaluate(
        "[...document.querySelectorAll('#listen :is(h2,h3,h4)')].map((h) => h.tagName)"
    )
    assert levels[:4] == ["H2", "H3", "H4", "H3"]


def test_the_hook_of_a_card_is_called_once_per_run_when_it_opens(page, data) -> None:
    page.evaluate(
        """() => {
          window.calls = [];
          window.attention = (clip, run, place) => {
            calls.push([clip, run]);
            place.append(`attention ${run}`);
          };
        }"""
    )
    summary = page.locator("article .more summary").first
    for _ in range(3):
        summary.click()
    i = data["clips"]["name"].index(shown(page)[0])
    page.wait_for_function("calls.length > 0")
    assert page.evaluate("calls") == [[i, 0], [i, 1], [i, 2]]
    assert "attention 2" in page.locator("article").first.text_content()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(new_page, report, tmp_path, scheme) -> None:
    page = new_page(report, width=390, color_scheme=scheme)
    page.goto((report / "index.html").as_uri() + "#clip=" + quote(ODD[0]))
    wide = page.evaluate(
        """() => [...document.querySelectorAll("#listen *")]
          .filter((e) => !e.closest(".scroll, .axis, .unseen, option"))
          .filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5)
          .map((e) => e.outerHTML.slice(0, 100))"""
    )
    assert wide == []
    page.screenshot(path=tmp_path / f"phone-{scheme}.png")


def test_the_original_files_play(tree, report, new_page) -> None:
    root = Path(tree["root"])
    path = with_data(report, root / "linked", *again(tree, "original", root / "original"))
    page = new_page(root)
    page.goto(path.as_uri())
    for name in ODD:
        page.evaluate("(name) => { location.hash = '#clip=' + encodeURIComponent(name); }", name)
        page.locator("article.chosen h3").get_by_text(name, exact=True).wait_for()
        page.locator("article.chosen audio").evaluate("(player) => player.play()")


def test_clips_without_sound_say_so(tree, report, new_page) -> None:
    root = Path(tree["root"])
    listening, media = again(tree, "none", root / "silent")
    listening = replace(listening, problems={ODD[0]: "it is <b>damaged</b>"})
    path = with_data(report, root / "unheard", listening, media)
    page = new_page(path.parent)
    page.goto(path.as_uri() + "#clip=" + quote(ODD[0]))
    assert "No audio: it is <b>damaged</b>" in page.locator("article.chosen").text_content()
    assert page.locator("#clips img").count() == PAGE - 1
    assert not page.locator("#clips audio").count()


def test_clothos_size_keeps_the_page_small(report, new_page, tmp_path) -> None:
    """1,045 clips and 5 systems: 20 cards at a time; the times are printed, not judged."""
    big = many_clips(1045, 5, random.Random(2))
    big = replace(big, problems={clip.file_name: "made up" for clip in big.clips})
    path = with_data(report, tmp_path, big, [])
    page = new_page(tmp_path)
    start = time.perf_counter()
    page.goto(path.as_uri())
    page.locator("#clips article").first.wait_for()
    loaded = time.perf_counter() - start
    assert page.locator("#found").inner_text() == "1045 clips"
    n_elements = page.evaluate("document.querySelectorAll('#listen *').length")
    assert page.locator("#clips article").count() == PAGE
    assert n_elements < 2500
    took = page.evaluate(
        """() => {
          const timed = (id, value) => {
            const control = document.getElementById(id);
            const start = performance.now();
            control.value = value;
            control.dispatchEvent(new Event("input", { bubbles: true }));
            document.body.offsetHeight; // lay out, too
            return Math.round(performance.now() - start);
          };
          return {
            "order by CIDEr": timed("sort", "cider"),
            "difference of two": timed("minus", "system1.seed1.beam3"),
            "search": timed("query", "caption:rain -reference:rain"),
            "search anywhere": timed("query", "rain"),
            "all again": timed("query", ""),
          };
        }"""
    )
    print(f"1,045 clips x 5 systems: loaded in {loaded:.2f} s, {n_elements} elements, ms: {took}")
    assert page.locator("#clips article").count() == PAGE
    page.select_option("#pager-below select", "53")
    assert page.locator("#clips article").count() == 1045 - 52 * PAGE


def test_the_pages_links_are_above_what_is_scrolled_below_them(page) -> None:
    pager = page.locator("#listen nav.pager").first
    seen = pager.evaluate(
        """found => {
          window.scrollBy(0, found.getBoundingClientRect().top - 8);
          const at = found.querySelector("select").getBoundingClientRect();
          const above = document.elementFromPoint(at.x + at.width / 2, at.y + at.height / 2);
          return above.closest("nav").ariaLabel;
        }"""
    )
    assert seen == "Sections", "the pager covers the page's links"
