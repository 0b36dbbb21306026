"""The graph of rules behind a report: read from Snakemake's graph of jobs, and laid out in layers.

A graph is small (some twenty rules), so what is simple is used of the usual way to draw one
(Sugiyama et al., "Methods for visual understanding of hierarchical system structures", 1981):
layers by the longest path, an invisible node where an edge passes a layer, an order in each layer
by the mean place of the neighbours, then places that pull neighbours together. Nothing heavy is
imported: the workflow reads this at its start.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SWEEPS = 12  # over the layers, down and up; the order stands still after a few
NODE_WIDTH, PASSING_WIDTH = 1.0, 0.35  # room in a layer, in widths of a node

Edge = tuple[str, str]  # a rule, and one that uses its output
Point = tuple[float, float]  # place in the layer, layer


@dataclass(frozen=True)
class RuleGraph:
    """Rules with their numbers of jobs, and who uses whose output."""

    n_jobs: Mapping[str, int]
    edges: Sequence[Edge]

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "RuleGraph":
        """Read what `rule_graph` gave, through JSON."""
        return cls(given["n_jobs"], [(before, after) for before, after in given["edges"]])

    def before(self, rule: str) -> list[str]:
        """Give the rules whose output a rule uses."""
        return [a for a, b in self.edges if b == rule]

    def after(self, rule: str) -> list[str]:
        """Give the rules that use a rule's output."""
        return [b for a, b in self.edges if a == rule]


@dataclass(frozen=True)
class Layout:
    """Where rules and edges are: layers from 0 on, places centred on 0."""

    places: Mapping[str, Point]
    paths: Mapping[Edge, Sequence[Point]]  # from rule to rule, by what they pass


def rule_graph(dependencies: Mapping[Any, Iterable[Any]], target: str) -> dict[str, Any] | None:
    """Gather the jobs that `target` is made from, by rule.

    Args:
        dependencies: job -> jobs whose output it uses (Snakemake's `dag.dependencies`).
        target: a rule; its own jobs are in the graph.

    Returns:
        For JSON: `n_jobs` by rule and `edges`; None where the target has no job.
    """
    waiting = [job for job in dependencies if job.rule.name == target]
    jobs = set(waiting)
    while waiting:
        new = set(dependencies[waiting.pop()]) - jobs
        jobs |= new
        waiting.extend(new)
    if not jobs:
        return None
    edges = {(before.rule.name, job.rule.name) for job in jobs for before in dependencies[job]}
    n_jobs = Counter(job.rule.name for job in jobs)
    return {"n_jobs": dict(sorted(n_jobs.items())), "edges": sorted(map(list, edges))}


def acyclic(graph: RuleGraph) -> RuleGraph:
    """Leave out the edges that close a circle.

    Jobs make none, but their rules do where a training starts from another one's model.
    """
    kept: list[Edge] = []
    for a, b in graph.edges:
        if a != b and a not in _reachable(RuleGraph(graph.n_jobs, kept), b):
            kept.append((a, b))
    return RuleGraph(graph.n_jobs, kept)


def reduced(graph: RuleGraph) -> RuleGraph:
    """Leave out the edges that others tell: a to c where a goes to b and b to c."""
    kept = [
        (a, b)
        for a, b in graph.edges
        if not any(b in _reachable(graph, other) for other in graph.after(a) if other != b)
    ]
    return RuleGraph(graph.n_jobs, kept)


def lay_out(graph: RuleGraph) -> Layout:
    """Place the rules of an acyclic graph in layers, each below all that it uses; few crossings."""
    layers = _layers(graph)
    rows: list[list[str]] = [[] for _ in range(max(layers.values(), default=0) + 1)]
    for rule, layer in layers.items():
        rows[layer].append(rule)
    above: dict[str, list[str]] = {rule: [] for rule in layers}
    below: dict[str, list[str]] = {rule: [] for rule in layers}
    chains: dict[Edge, list[str]] = {}
    for a, b in graph.edges:
        passing = [f"{a} to {b} in {layer}" for layer in range(layers[a] + 1, layers[b])]
        for layer, name in enumerate(passing, layers[a] + 1):
            rows[layer].append(name)
            above[name], below[name] = [], []
        chains[a, b] = [a, *passing, b]
        for upper, lower in zip(chains[a, b], chains[a, b][1:], strict=False):
            below[upper].append(lower)
            above[lower].append(upper)
    widths = {name: NODE_WIDTH if name in layers else PASSING_WIDTH for row in rows for name in row}
    places = _place(rows, above, below, widths)
    points = {name: (places[name], layer) for layer, row in enumerate(rows) for name in row}
    return Layout(
        {rule: points[rule] for rule in layers},
        {edge: [points[name] for name in chain] for edge, chain in chains.items()},
    )


def _reachable(graph: RuleGraph, rule: str) -> set[str]:
    found: set[str] = set()
    waiting = [rule]
    while waiting:
        for after in graph.after(waiting.pop()):
            if after not in found:
                found.add(after)
                waiting.append(after)
    return found


def _layers(graph: RuleGraph) -> dict[str, int]:
    """Give each rule's layer: below all that it uses; those that use nothing as low as they can."""
    layers: dict[str, int] = {}

    def layer_of(rule: str) -> int:
        if rule not in layers:
            layers[rule] = 1 + max((layer_of(other) for other in graph.before(rule)), default=-1)
        return layers[rule]

    for rule in graph.n_jobs:
        layer_of(rule)
    for rule in graph.n_jobs:
        if not graph.before(rule) and (after := graph.after(rule)):
            layers[rule] = min(layers[other] for other in after) - 1
    return layers


def _place(
    rows: Sequence[list[str]],
    above: Mapping[str, Sequence[str]],
    below: Mapping[str, Sequence[str]],
    widths: Mapping[str, float],
) -> dict[str, float]:
    """Order each row by its neighbours, then move each name as near to them as the row allows."""
    places = {name: place for row in rows for name, place in _packed(row, widths, {}).items()}
    for sweep in range(2 * SWEEPS):
        downwards = sweep % 2 == 0
        neighbours = above if downwards else below
        for row in rows if downwards else reversed(rows):
            wanted = {
                name: sum(places[other] for other in neighbours[name]) / len(neighbours[name])
                if neighbours[name]
                else places[name]
                for name in row
            }
            if sweep < SWEEPS:
                row.sort(key=lambda name: wanted[name])
            places.update(_packed(row, widths, wanted))
    middle = (min(places.values()) + max(places.values())) / 2
    return {name: place - middle for name, place in places.items()}


def _packed(
    row: Sequence[str], widths: Mapping[str, float], wanted: Mapping[str, float]
) -> dict[str, float]:
    """Give places in the row's order that do not overlap, by least squares near the wanted ones.

    Isotonic regression: names that would overlap form a block, which stands at the mean of what
    its names want.
    """
    offsets, end = [], 0.0
    for name in row:
        offsets.append(end + widths[name] / 2)
        end += widths[name]
    blocks: list[list[float]] = []  # sum of what is wanted, number of names
    for name, offset in zip(row, offsets, strict=True):
        blocks.append([wanted.get(name, offset - end / 2) - offset, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, number = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += number
    starts = [total / number for total, number in blocks for _ in range(int(number))]
    return {name: start + offset for name, start, offset in zip(row, starts, offsets, strict=True)}
