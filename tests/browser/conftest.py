"""Pages in a real browser: Debian's Chromium, driven by Playwright; skipped where either is absent.

    def test_the_page(new_page, tmp_path):
        page = new_page(tmp_path)  # or the address of a local server
        page.goto((tmp_path / "index.html").as_uri())

A test fails at its end where a page wrote an error or a warning into the console, threw an
exception, could not load something, or asked for anything outside the folder or server it was
given. A test that provokes such problems names them: `new_page.expect_problems(...)`.

Where a page does something later (a file is read, an event waits its turn), a test waits for it,
as long as `TIMEOUT_MS`: what is there at once on one machine takes a second on another.
"""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")

from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",  # a container's root has none
    "--disable-dev-shm-usage",  # nor much shared memory
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",  # a microphone that beeps, for pages that record
    "--use-fake-device-for-media-stream",
]
TIMEOUT_MS = 60_000  # the cores may be busy with something else
expect.set_options(timeout=TIMEOUT_MS)


class Pages:
    """Opens pages, and keeps what is wrong with them."""

    def __init__(self, browser: Browser):
        self.problems: list[str] = []
        self.patience_s = TIMEOUT_MS / 1000
        self._browser = browser
        self._contexts: list[Any] = []

    def __call__(self, within: Path | str, *, width: int = 1280, **options: Any) -> Page:
        """Open an empty page, in a context of its own.

        Args:
            within: folder, or address of a local server, that all of the page comes from.
            width: of the window, in CSS pixels.
            options: of Playwright's `new_context` (color_scheme, permissions, ...).
        """
        root = within.resolve().as_uri() if isinstance(within, Path) else within.rstrip("/")
        allowed = (f"{root}/", f"{root}?", f"{root}#", "data:", "blob:")

        def message(seen: ConsoleMessage) -> None:
            if seen.type in ("error", "warning"):
                self.problems.append(f"console {seen.type}: {seen.text}")

        def request(seen: Request) -> None:
            if seen.url != root and not seen.url.startswith(allowed):
                self.problems.append(f"request outside {root}: {seen.url}")

        def failed(seen: Request) -> None:
            given_up = seen.resource_type == "media" and seen.failure == "net::ERR_ABORTED"
            if not given_up:  # as a player does once it has enough
                self.problems.append(f"failed request: {seen.url} ({seen.failure})")

        context = self._browser.new_context(viewport={"width": width, "height": 900}, **options)
        self._contexts.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        page = context.new_page()
        page.on("console", message)
        page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))
        page.on("request", request)
        page.on("requestfailed", failed)
        return page

    def expect_problems(self, *patterns: str) -> None:
        """Wait for as many problems, which may come late; see that each is one of these; forget.

        Args:
            patterns: regular expressions, one per problem, in any order.
        """
        page = self._contexts[-1].pages[0]
        end = time.monotonic() + self.patience_s
        while len(self.problems) < len(patterns) and time.monotonic() < end:
            page.wait_for_timeout(20)  # ms; lets the browser's events in
        left = list(self.problems)
        self.problems.clear()
        for pattern in patterns:
            hit = next((problem for problem in left if re.search(pattern, problem)), None)
            assert hit is not None, f"no {pattern}; found {left}"
            left.remove(hit)
        assert not left, left

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture(scope="module")  # a session of it would leave its event loop to other tests
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if path is None:
        pytest.skip("needs Chromium (Debian's package chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser: Browser) -> Iterator[Pages]:
    pages = Pages(browser)
    yield pages
    pages.close()
    assert not pages.problems, "\n".join(pages.problems)
