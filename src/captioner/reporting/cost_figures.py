"""The pictures of cost: time and memory of each rule."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from captioner.reporting.figures import Figure
from captioner.reporting.loading import RuleCost
from captioner.reporting.svg import INK, PAGE, SERIES, draw
from captioner.reporting.tables import duration_text

TIMES = (0.1, 1, 10, 60, 600, 3600, 10 * 3600, 100 * 3600)  # s, of the ticks
TIME_NAMES = ("0.1 s", "1 s", "10 s", "1 min", "10 min", "1 h", "10 h", "100 h")
SHORTEST_S = 0.05  # where the axis starts: less is no cost


def cost_figures(costs: Sequence[RuleCost], identifier: str) -> list[Figure]:
    """Draw the time of each rule, on a logarithmic axis, and the largest memory of its jobs.

    Args:
        costs: the first is on top.
        identifier: unique in the page; every id inside the drawings starts with it.
    """
    if not costs:
        return []
    figures = [_time_figure(costs, f"{identifier}-time")]
    if measured := [cost for cost in costs if cost.peak_mb is not None]:
        ranked = sorted(measured, key=lambda cost: -(cost.peak_mb or 0))
        figures.append(_memory_figure(ranked, f"{identifier}-memory"))
    return figures


def _time_figure(costs: Sequence[RuleCost], identifier: str) -> Figure:
    def plot(axes: Axes) -> None:
        rows = range(len(costs))
        walls = [max(cost.seconds, SHORTEST_S) for cost in costs]
        axes.hlines(rows, SHORTEST_S, walls, color=SERIES[0], linewidth=1.2)
        axes.plot(walls, rows, "o", color=SERIES[0], markersize=6, label="wall time")
        known = [(row, cost.cpu_s) for row, cost in zip(rows, costs, strict=True) if cost.cpu_s]
        axes.plot(
            [max(cpu, SHORTEST_S) for _, cpu in known],
            [row for row, _ in known],
            "D",
            color=SERIES[1],
            markerfacecolor=PAGE,
            markersize=5,
            label="CPU time",
        )
        axes.set_xscale("log")
        longest = max([*walls, *[cpu for _, cpu in known]])
        shown = [time for time in TIMES if time <= 2 * longest]
        axes.xaxis.set_major_locator(FixedLocator(shown))
        axes.xaxis.set_major_formatter(lambda time, _: TIME_NAMES[TIMES.index(time)])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(SHORTEST_S, 1.6 * longest)
        _rules(axes, costs)
        axes.set_title("Time of all jobs of a rule")
        axes.set_xlabel("time (logarithmic)")
        axes.legend(loc="lower right")

    listed = "; ".join(f"{cost.rule} {duration_text(cost.seconds)}" for cost in costs)
    svg = draw(plot, identifier, f"Wall time per rule: {listed}.", _size(costs))
    told = (
        "Wall time: from start to end, over all jobs. CPU time: of all their processes and threads."
    )
    return Figure(svg, f"{told} Jobs shorter than a second tell no CPU time.")


def _memory_figure(costs: Sequence[RuleCost], identifier: str) -> Figure:
    gigabytes = [(cost.peak_mb or 0) / 1024 for cost in costs]  # Snakemake's MB are 2^20 bytes

    def plot(axes: Axes) -> None:
        axes.barh(range(len(costs)), gigabytes, height=0.6, color=SERIES[2])
        for row, value in enumerate(gigabytes):
            axes.annotate(
                f"{value:.2f}", (value, row), (4, 0), textcoords="offset points", va="center"
            )
        _rules(axes, costs)
        axes.set_xlim(0, 1.15 * max(gigabytes))
        axes.set_title("Largest memory of a job")
        axes.set_xlabel("resident memory (GiB)")

    listed = "; ".join(f"{c.rule} {v:.2f}" for c, v in zip(costs, gigabytes, strict=True))
    svg = draw(plot, identifier, f"Peak memory per rule in GiB: {listed}.", _size(costs))
    return Figure(svg, "Resident memory of a job's processes, the largest sample of any one job.")


def _rules(axes: Axes, costs: Sequence[RuleCost]) -> None:
    axes.set_yticks(range(len(costs)), [cost.rule for cost in costs])
    axes.set_ylim(len(costs) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0, colors=INK)
    axes.spines["left"].set_visible(False)


def _size(costs: Sequence[RuleCost]) -> tuple[float, float]:
    return 5.4, 1.0 + 0.24 * len(costs)
