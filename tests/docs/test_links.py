"""Links of the pages for people: files are there, headings too; all pages can be reached."""

import re
from pathlib import Path

import pytest
from documented import pages, split_page

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [str(path.relative_to(REPOSITORY)) for path in pages(REPOSITORY)]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def links(page: str) -> list[str]:
    """Give the targets of a page's links, those in code left out."""
    _, text = split_page(REPOSITORY / page, REPOSITORY)
    return [link for _, line in text for link in LINK.findall(re.sub(r"`[^`]*`", "", line))]


def anchors(path: Path) -> set[str]:
    """Give the names that headings of a page have in links: as on GitHub."""
    _, text = split_page(path, REPOSITORY)
    headings = [line.lstrip("#").strip() for _, line in text if re.match("#+ ", line)]
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for link in links(page):
        if re.match("[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        path = (REPOSITORY / page).parent / name if name else REPOSITORY / page
        assert path.exists(), f"{page}: found the link {link}, expected a file"
        if anchor:
            assert anchor in anchors(path), f"{page}: found the link {link}, expected a heading"


def test_every_page_can_be_reached_from_the_readme():
    waiting, found = ["README.md"], set()
    while waiting:
        page = waiting.pop()
        found.add(page)
        for link in links(page):
            path = ((REPOSITORY / page).parent / link.partition("#")[0]).resolve()
            if path.suffix == ".md" and path.is_file():
                name = str(path.relative_to(REPOSITORY))
                waiting += [name] if name not in found else []
    assert set(PAGES) <= found
