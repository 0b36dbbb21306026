"""The picture of the rules behind a report: a box per rule, an arrow to each that uses it."""

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path as Curve

from captioner.reporting.figures import Figure
from captioner.reporting.rule_graph import RuleGraph, acyclic, lay_out, reduced
from captioner.reporting.svg import INK, PAGE, SERIES, draw
from captioner.reporting.tables import counted

COLUMN_IN, LAYER_IN = 1.95, 0.84  # room for a box and what is between it and the next
BOX_IN = (1.72, 0.44)


def rule_graph_figure(graph: RuleGraph, identifier: str) -> Figure:
    """Draw the rules from top to bottom; edges that others tell or that go back are left out."""
    forward = acyclic(graph)
    shown = reduced(forward)
    layout = lay_out(shown)
    xs = [x for path in layout.paths.values() for x, _ in path]
    xs += [x for x, _ in layout.places.values()]
    n_layers = 1 + max(layer for _, layer in layout.places.values())
    size = (COLUMN_IN * (max(xs) - min(xs) + 1), LAYER_IN * n_layers)

    def at(x: float, layer: float) -> tuple[float, float]:
        return COLUMN_IN * (x - min(xs) + 0.5), size[1] - LAYER_IN * (layer + 0.5)

    def plot(axes: Axes) -> None:
        axes.set_axis_off()
        axes.set_xlim(0, size[0])
        axes.set_ylim(0, size[1])
        for path in layout.paths.values():
            _arrow(axes, [at(*point) for point in path])
        for rule, place in layout.places.items():
            x, y = at(*place)
            axes.add_patch(
                FancyBboxPatch(
                    (x - BOX_IN[0] / 2, y - BOX_IN[1] / 2),
                    *BOX_IN,
                    boxstyle="round,pad=0,rounding_size=0.06",
                    facecolor=PAGE,
                    edgecolor=SERIES[0],
                    linewidth=1.2,
                )
            )
            axes.text(x, y + 0.075, rule, ha="center", va="center", size=9)
            jobs = counted(graph.n_jobs[rule], "job")
            axes.text(x, y - 0.105, jobs, ha="center", va="center", size=8)

    jobs = counted(sum(graph.n_jobs.values()), "job")
    told = f"The {counted(len(graph.n_jobs), 'rule')} and {jobs} behind this report"
    svg = draw(plot, identifier, f"{told}; who uses whose output stands in the table below.", size)
    note = f"{told}, as Snakemake counted them. Arrows that follow from others are left out."
    if circular := sorted(set(graph.edges) - set(forward.edges)):
        told = ", ".join(f"{b} uses {a}" for a, b in circular)
        note += f" Not drawn, for it goes back: {told}."
    return Figure(svg, note)


def _arrow(axes: Axes, points: list[tuple[float, float]]) -> None:
    """Draw a smooth line from the lower edge of a box to the upper edge of another."""
    half = BOX_IN[1] / 2
    vertices, codes = [(points[0][0], points[0][1] - half)], [Curve.MOVETO]
    for x, y in points[1:]:
        x0, y0 = vertices[-1]
        middle = (y0 + y + half) / 2
        # Curves between the layers; straight on beside their boxes.
        vertices += [(x0, middle), (x, middle), (x, y + half), (x, y - half)]
        codes += [*[Curve.CURVE4] * 3, Curve.LINETO]
    x, y = vertices[-2]
    head = Curve([(x - 0.045, y + 0.09), (x, y), (x + 0.045, y + 0.09)])
    for curve in (Curve(vertices[:-1], codes[:-1]), head):
        axes.add_patch(PathPatch(curve, facecolor="none", edgecolor=INK, linewidth=0.9, alpha=0.65))
