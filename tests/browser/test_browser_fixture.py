"""The browser fixture itself: what it lets pass, and that it notices what it should."""

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
    "body, problems",
    [
        ("<script>console.warn('hm')</script>", ["^console warning: hm$"]),
        ("<script>throw new Error('no')</script>", ["^exception: no$"]),
        (
            "<img src='absent.png'>",
            ["^failed request: .*absent.png", "^console error: .*NOT_FOUND"],
        ),
        (
            "<img src='http://127.0.0.1:9/a.png'>",
            ["^request outside .*a.png", "^failed request: .*a.png", "^console error: "],
        ),
        (
            "<script src='file:///elsewhere.js'></script>",
            ["^request outside .*elsewhere.js", "^failed request: ", "^console error: "],
        ),
        (
            "<script>setTimeout(() => console.error('later'), 300)</script>",
            ["^console error: later$"],
        ),
    ],
)
def test_a_bad_page_is_noticed(new_page, tmp_path, body, problems):
    new_page(tmp_path).goto(write(tmp_path, body))
    new_page.expect_problems(*problems)


@pytest.mark.parametrize("expected", [["hm", "hm"], ["other"], []])
def test_other_problems_than_the_expected_ones_fail(new_page, tmp_path, expected):
    new_page.patience_s = 0.3
    page = new_page(tmp_path)
    with page.expect_console_message():
        page.goto(write(tmp_path, "<script>console.warn('hm')</script>"))
    with pytest.raises(AssertionError, match="hm"):
        new_page.expect_problems(*expected)
