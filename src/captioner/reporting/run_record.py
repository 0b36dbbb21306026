"""What a run's start records for the report: the commit of the code, the graph of rules.

Nothing heavy is imported: the workflow calls this at its start, when Snakemake has the graph of
jobs and the checkout is still as the run began.
"""

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from captioner.job import write_json
from captioner.reporting.rule_graph import rule_graph

REPORT_RULE = "build_report"


def record_run(path: Path, root: Path, dependencies: Mapping[Any, Iterable[Any]]) -> None:
    """Write what the report says of its run; nothing where the run makes no report.

    Args:
        path: of the JSON.
        root: the checkout that the run started from.
        dependencies: job -> jobs whose output it uses (Snakemake's `dag.dependencies`).
    """
    graph = rule_graph(dependencies, REPORT_RULE)
    if graph is not None:
        write_json(path, {"commit": commit(root), "rule_graph": graph})


def read_run(path: Path) -> dict[str, Any]:
    """Read what `record_run` wrote; nothing where there is no file (a run without hooks)."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def commit(root: Path) -> str | None:
    """Name the commit that the code is at, `-dirty` with edits; None outside a git checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git
        return None
    return found.stdout.strip() or None
