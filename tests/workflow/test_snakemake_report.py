"""Snakemake's own report of a finished run: what is in it, under which heading, offline."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tiny import Project

pytest.importorskip("pygments", reason="Snakemake's report needs the package pygments")


def embedded(page: str, name: str) -> Any:
    """Give the JSON that the page holds in a variable."""
    found = re.search(rf'\bvar {name} = (?={{")', page)
    assert found, f"no {name}"
    return json.JSONDecoder().raw_decode(page, found.end())[0]


def test_snakemakes_report(finished: Project, tmp_path: Path) -> None:
    """It is made and read without a network: its scripts are inside."""
    path = tmp_path / "report.html"
    finished.snakemake("--report", str(path))
    page = path.read_text(encoding="utf-8")
    assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(?!data:)[^"]*', page)
    categories = embedded(page, "categories")
    assert set(categories) == {"Report", "Figures", "Scores", "Captions", "Learning", "Submission"}
    results = {Path(name).as_posix(): found for name, found in embedded(page, "results").items()}
    run = "results/tiny/systems/tiny_transformer/seed1"
    captions = results[f"{run}/captions/beam3/evaluation.csv"]
    assert captions["labels"] == {
        "system": "tiny_transformer",
        "seed": "1",
        "decoding": "beam3",
        "split": "evaluation",
    }
    assert "What tiny_transformer says of the clips of evaluation" in unescape(captions["caption"])
    assert f"{run}/history.csv" in results
    assert "results/tiny/human_ceiling/evaluation.json" in results
    figures = [name for name in results if name.startswith("results/tiny/report/figures/")]
    assert {Path(name).name for name in figures} >= {"spider-evaluation.svg", "rules.svg"}
    assert all(results[name]["mime_type"] == "image/svg+xml" for name in figures)
    undescribed = [name for name, result in results.items() if not result["caption"]]
    assert undescribed == []
