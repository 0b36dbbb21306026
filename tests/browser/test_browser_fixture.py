"""The browser fixture itself: what it lets pass, and that it notices what it should."""

import re

import pytest

PAGE = "<!doctype html><title>A page</title><body>{}</body>"


def write(folder, body):
    path = folder / "index.html"
    path.write_text(PAGE.format(body), encoding="utf-8")
    return path.as_uri()


def test_a_quiet_page_passes(new_page, tmp_path):
    page = new_page(tmp_path, width=390, color_scheme="dark")
    page.goto(write(tmp_path, "<img alt='' src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>"))
    assert page.title() == "A page"
    assert page.evaluate("innerWidth") == 390
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")


@pytest.mark.parametrize(
    "body, problem",
    [
        ("<script>console.warn('hm')</script>", "console warning: hm"),
        ("<script>throw new Error('no')</script>", "exception: no"),
        ("<img src='absent.png'>", "failed request: .*absent.png"),
        ("<script src='file:///elsewhere.js'></script>", "request outside .*elsewhere.js"),
        ("<img src='http://127.0.0.1:9/a.png'>", "request outside .*a.png"),
    ],
)
def test_a_bad_page_is_noticed(new_page, tmp_path, body, problem):
    new_page(tmp_path).goto(write(tmp_path, body))
    assert any(re.match(problem, found) for found in new_page.problems), new_page.problems
    new_page.problems.clear()
