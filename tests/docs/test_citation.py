"""CITATION.cff is what its format asks, and agrees with the project and with the page on citing."""

import tomllib

import yaml


def test_the_citation_file(repository):
    cited = yaml.safe_load((repository / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert cited["cff-version"] == "1.2.0" and cited["message"] and cited["authors"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert (repository / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    page = (repository / "docs/citing.md").read_text(encoding="utf-8")
    for work in cited["references"]:
        assert {"type", "title", "authors", "year"} <= set(work), work["title"]
        assert work["title"] in page
        first = work["authors"][0]["family-names"]
        assert first in next(line for line in page.splitlines() if work["title"] in line)
        for key in ("doi", "url"):
            assert work.get(key, "").removeprefix("https://arxiv.org/abs/") in page


def test_data_of_others_are_in_the_notices(repository):
    """What lies in the package and is no code of ours."""
    ours = {".py", ".pyc", ".js", ".css", ".html", ".svg"}
    notices = (repository / "NOTICE.md").read_text(encoding="utf-8")
    package = repository / "src/captioner"
    data = [path for path in package.rglob("*") if path.is_file() and path.suffix not in ours]
    assert data
    for path in data:
        assert f"`{path.relative_to(repository)}`" in notices
