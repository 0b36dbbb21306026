"""The graph of rules: read from jobs, reduced, laid out without overlaps and drawn."""

import json
import re
import subprocess
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from captioner.reporting.rule_graph import (
    NODE_WIDTH,
    PASSING_WIDTH,
    RuleGraph,
    acyclic,
    lay_out,
    reduced,
    rule_graph,
)
from captioner.reporting.rule_graph_figure import rule_graph_figure
from captioner.reporting.run_record import commit, read_run, record_run

GRAPH = RuleGraph(
    {"fetch": 1, "tools": 1, "tables": 2, "features": 4, "train": 1, "score": 2, "report": 1200},
    [
        ("fetch", "features"),
        ("fetch", "tables"),
        ("features", "train"),
        ("tables", "features"),
        ("tables", "train"),
        ("tables", "score"),
        ("train", "score"),
        ("tools", "score"),
        ("score", "report"),
        ("tables", "report"),
    ],
)


class Job(SimpleNamespace):
    """A job as Snakemake's graph has it, for what is read of it."""

    def __init__(self, rule: str):
        super().__init__(rule=SimpleNamespace(name=rule))

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


def test_jobs_behind_a_rule_are_counted_and_no_others() -> None:
    fetch, tables, other, report, sent = map(Job, ["fetch", "tables", "tables", "report", "sent"])
    dependencies = {
        fetch: {},
        tables: {fetch: {"a"}},
        other: {fetch: {"b"}},
        report: {tables: {"c"}, fetch: {"a"}},
        sent: {report: {"d"}, other: {"e"}},
    }
    found = json.loads(json.dumps(rule_graph(dependencies, "report")))
    assert found["n_jobs"] == {"fetch": 1, "report": 1, "tables": 1}  # `other` is for `sent` alone
    assert found["edges"] == [["fetch", "report"], ["fetch", "tables"], ["tables", "report"]]
    assert RuleGraph.from_dict(found).before("report") == ["fetch", "tables"]
    assert rule_graph(dependencies, "train") is None


def test_edges_that_others_tell_are_left_out() -> None:
    kept = reduced(GRAPH)
    assert set(GRAPH.edges) - set(kept.edges) == {
        ("fetch", "features"),
        ("tables", "train"),
        ("tables", "score"),
        ("tables", "report"),
    }
    assert kept.n_jobs == GRAPH.n_jobs


@pytest.mark.parametrize("graph", [GRAPH, reduced(GRAPH)])
def test_rules_stand_below_what_they_use_and_nothing_overlaps(graph: RuleGraph) -> None:
    layout = lay_out(graph)
    for a, b in graph.edges:
        assert layout.places[a][1] < layout.places[b][1]
        path = layout.paths[a, b]
        assert (path[0], path[-1]) == (layout.places[a], layout.places[b])
        assert [layer for _, layer in path] == list(
            range(layout.places[a][1], layout.places[b][1] + 1)
        )
    assert layout.places["tools"][1] == layout.places["score"][1] - 1  # no longer than it must be
    passing = {point for path in layout.paths.values() for point in path[1:-1]}
    stands = [(*point, NODE_WIDTH) for point in layout.places.values()]
    stands += [(*point, PASSING_WIDTH) for point in passing]
    for layer in range(max(layer for _, layer, _ in stands) + 1):
        row = sorted((x, width) for x, y, width in stands if y == layer)
        for (x0, w0), (x1, w1) in pairwise(row):
            assert x1 - x0 >= (w0 + w1) / 2 - 1e-9


def test_rules_that_use_themselves_or_each_other_are_drawn_all_the_same() -> None:
    """A training that starts from another, and one that learns from captions of a third."""
    back = [("train", "train"), ("score", "train")]
    graph = RuleGraph(GRAPH.n_jobs, [*GRAPH.edges, *back])
    assert acyclic(graph).edges == GRAPH.edges
    assert acyclic(GRAPH) == GRAPH
    assert lay_out(acyclic(graph)) == lay_out(GRAPH)
    caption = rule_graph_figure(graph, "rules").caption
    assert "goes back: train uses score, train uses train." in caption
    assert "goes back" not in rule_graph_figure(GRAPH, "rules").caption


def test_a_chain_stands_in_one_line() -> None:
    chain = RuleGraph({"a": 1, "b": 1, "c": 1}, [("a", "b"), ("b", "c")])
    assert {x for x, _ in lay_out(chain).places.values()} == {0.0}


def test_the_picture_names_every_rule_and_its_jobs() -> None:
    figure = rule_graph_figure(GRAPH, "graph")
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", figure.svg)
    assert set(GRAPH.n_jobs) <= set(texts)
    assert "1\u202f200 jobs" in texts and "1 job" in texts
    assert figure.caption.startswith("The 7 rules and 1\u202f211 jobs behind this report")


def test_a_run_that_makes_a_report_records_its_commit_and_rules(tmp_path: Path) -> None:
    path = tmp_path / "results/run.json"
    assert read_run(path) == {}
    train, report = Job("train_system"), Job("build_report")
    record_run(path, tmp_path, {train: {}})
    assert not path.exists(), "there is no report to tell"
    record_run(path, tmp_path, {train: {}, report: {train: {"a"}}})
    graph = {
        "n_jobs": {"build_report": 1, "train_system": 1},
        "edges": [["train_system", "build_report"]],
    }
    assert read_run(path) == {"commit": None, "rule_graph": graph}


def test_the_commit_is_that_of_the_checkout_and_says_when_it_was_edited(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=n", "-c", "user.email=e")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "one")
    clean = commit(tmp_path)
    assert clean is not None and re.fullmatch("[0-9a-f]{12}", clean)
    (tmp_path / "a").write_text("2")
    assert commit(tmp_path) == f"{clean}-dirty"
