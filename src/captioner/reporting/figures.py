"""The pictures of scores and data: a bar per system, histograms."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter

from captioner.reporting.svg import INK, PAGE, SERIES, draw
from captioner.reporting.tables import counted, thousands

SPLIT_STYLES = ("-", "--", ":", "-.")  # beside the colour
N_BINS = 24
MOST = 0.95  # of the running words: how many words of a vocabulary cover it is told
LONGEST_LINE = 1.5  # of the greatest score: wider intervals, as of two seeds, are cut
LEGEND_ROOM = 1.3  # an axis that much longer than its data has room for two lines of legend


@dataclass(frozen=True)
class Figure:
    """A drawing and the sentence below it."""

    svg: str
    caption: str

    @property
    def name(self) -> str:
        """The identifier that it was drawn with; empty for nothing to show."""
        found = re.search(r'id="([^"]+)-figure_1"', self.svg)
        return found[1] if found else ""


KINDS = {  # of rows of the score table: colour and its name
    "system": (SERIES[0], "blue"),
    "ensemble": (SERIES[1], "vermilion"),
    "trivial": (SERIES[4], "orange"),
    "people": (SERIES[3], "pink"),
    "published": (SERIES[2], "green"),
}


@dataclass(frozen=True)
class Bar:
    """A row of the picture of scores."""

    label: str
    value: float
    kind: str  # a key of `KINDS`
    interval: tuple[float, float] | None = None
    seeds: Sequence[float] = ()  # the values of single seeds, where there are several


def spider_figure(bars: Sequence[Bar], identifier: str) -> Figure:
    """Draw a row with a bar per system, its interval as a line, the single seeds as dots.

    Args:
        bars: the first is on top.
        identifier: unique in the page.
    """

    largest = max((max(bar.value, *bar.seeds, 0.01) for bar in bars), default=0.01)
    end_of_axis = min(
        max((bar.interval[1] for bar in bars if bar.interval), default=0.0), LONGEST_LINE * largest
    )
    end_of_axis = max(end_of_axis, largest)

    def plot(axes: Axes) -> None:
        rows = np.arange(len(bars))
        colours = [KINDS[bar.kind][0] for bar in bars]
        axes.barh(rows, [bar.value for bar in bars], height=0.62, color=colours)
        for row, bar in zip(rows, bars, strict=True):
            end = bar.value
            if bar.interval:
                low, high = max(bar.interval[0], 0), min(bar.interval[1], end_of_axis)
                axes.plot([low, high], [row, row], color=INK, linewidth=1.4)
                if low > bar.interval[0]:
                    axes.plot(low + 0.01 * end_of_axis, row, "<", color=INK, markersize=5)
                if high < bar.interval[1]:
                    axes.plot(high, row, ">", color=INK, markersize=5)
                end = max(end, high)
            if bar.seeds:
                dots = axes.plot(bar.seeds, [row] * len(bar.seeds), "o", color=INK, clip_on=False)
                dots[0].set(markersize=4.5, markerfacecolor=PAGE, markeredgewidth=1.2)
                end = max(end, *bar.seeds)
            axes.annotate(
                f"{bar.value:.3f}", (end, row), (5, 0), textcoords="offset points", va="center"
            )
        axes.set_yticks(rows, [shortened(bar.label) for bar in bars])
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_xlim(0, end_of_axis * 1.15)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("SPIDEr (higher is better)")

    listed = "; ".join(f"{bar.label} {bar.value:.3f}" for bar in bars)
    kinds = {bar.kind for bar in bars}
    shown = ", ".join(f"{name}: {kind}" for kind, (_, name) in KINDS.items() if kind in kinds)
    told = f"SPIDEr, the mean of CIDEr and SPICE ({shown})."
    if any(bar.interval for bar in bars):
        told += " Lines: the intervals of the table"
        cut = any(b.interval and (b.interval[0] < 0 or b.interval[1] > end_of_axis) for b in bars)
        told += "; one with an arrow goes on." if cut else "."
    if any(bar.seeds for bar in bars):
        told += " Dots: single seeds."
    svg = draw(plot, identifier, f"SPIDEr per system: {listed}.", (5.4, 0.7 + 0.32 * len(bars)))
    return Figure(svg, told)


def histogram_figure(
    values: Mapping[str, Sequence[float]],
    title: str,
    unit: str,
    identifier: str,
    *,
    whole: bool,
    expected: tuple[float, float] | None = None,
) -> Figure:
    """Draw the distribution of a quantity in each split, as a share of the split.

    Args:
        values: the quantity by split; empty splits are left out.
        title: what is counted, e.g. "Duration of clips".
        unit: the label of the axis, e.g. "duration (s)".
        identifier: unique in the page.
        whole: whether the values are whole numbers, which get a bin each.
        expected: the least and the greatest value that the checks let pass, shaded.
    """
    shown = {split: np.asarray(found, dtype=float) for split, found in values.items() if len(found)}
    if not shown:
        return Figure("", f"{title}: nothing to show.")
    low = min(found.min() for found in shown.values())
    high = max(found.max() for found in shown.values())
    if whole:
        edges = np.arange(low - 0.5, high + 1.5)
    else:
        edges = np.linspace(low, max(high, low + 1.0), N_BINS + 1)

    def plot(axes: Axes) -> None:
        if expected:
            half = 0.5 if whole else 0.0
            axes.axvspan(expected[0] - half, expected[1] + half, color=SERIES[2], alpha=0.13, lw=0)
        for i, (split, found) in enumerate(shown.items()):
            counts, _ = np.histogram(found, edges)
            axes.stairs(
                100 * counts / len(found),
                edges,
                color=SERIES[i % len(SERIES)],
                linestyle=SPLIT_STYLES[i % len(SPLIT_STYLES)],
                linewidth=1.8,
                label=split,
            )
        axes.set_ylim(0, axes.get_ylim()[1] * LEGEND_ROOM)
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=whole))
        axes.legend(loc="upper center", ncols=3)
        axes.set_title(title)
        axes.set_xlabel(unit)
        axes.set_ylabel("share of the split (%)")

    told = "; ".join(
        f"{split}: median {np.median(found):.{0 if whole else 1}f}, "
        f"{found.min():.{0 if whole else 1}f} to {found.max():.{0 if whole else 1}f}"
        for split, found in shown.items()
    )
    if expected:
        told += f". Expected (shaded): {expected[0]:g} to {expected[1]:g}"
    return Figure(draw(plot, identifier, f"{title}, {unit}. {told}.", (5.0, 3.0)), f"{told}.")


def frequency_figure(counts: Mapping[str, Sequence[int]], identifier: str) -> Figure:
    """Draw how often words occur, by their rank, on logarithmic axes.

    Args:
        counts: how often each word of a split occurs, by split; empty splits are left out.
        identifier: unique in the page.
    """
    title = "Frequency of words"
    shown = {split: sorted(found, reverse=True) for split, found in counts.items() if found}
    if not shown:
        return Figure("", f"{title}: nothing to show.")

    def plot(axes: Axes) -> None:
        for i, (split, found) in enumerate(shown.items()):
            axes.plot(
                range(1, len(found) + 1),
                found,
                SPLIT_STYLES[i % len(SPLIT_STYLES)],
                color=SERIES[i % len(SERIES)],
                label=split,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: thousands(value))
            axis.set_minor_formatter(NullFormatter())
        axes.legend()
        axes.set_title(title)
        axes.set_xlabel("rank of the word")
        axes.set_ylabel("occurrences")

    told = "; ".join(
        f"{split}: {found.count(1)} of {len(found)} words occur once"
        for split, found in shown.items()
    )
    return Figure(draw(plot, identifier, f"{title}. {told}.", (5.0, 3.0)), f"{told}.")


def coverage_figure(shares: Mapping[str, np.ndarray], vocabulary: str, identifier: str) -> Figure:
    """Draw how much of a split's running words the most frequent words of a vocabulary cover.

    Args:
        shares: by split, (n_words,): entry k - 1 is of the k most frequent words.
        vocabulary: its name.
        identifier: unique in the page.
    """
    title = f"Coverage by the vocabulary {vocabulary}"

    def plot(axes: Axes) -> None:
        for i, (split, found) in enumerate(shares.items()):
            axes.plot(
                range(1, len(found) + 1),
                100 * found,
                SPLIT_STYLES[i % len(SPLIT_STYLES)],
                marker="o" if len(found) < 3 else "",
                color=SERIES[i % len(SERIES)],
                label=split,
            )
        axes.set_xscale("log")
        axes.set_xlim(0.9, 1.1 * max(map(len, shares.values())))
        axes.xaxis.set_major_formatter(lambda value, _: thousands(value))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(0, 103)
        axes.legend(loc="lower right")
        axes.set_title(title)
        axes.set_xlabel("most frequent words of the vocabulary")
        axes.set_ylabel("share of the running words (%)")

    told = "; ".join(f"{split}: {_covered(found)}" for split, found in shares.items())
    return Figure(draw(plot, identifier, f"{title}. {told}.", (5.0, 3.0)), f"{told}.")


def _covered(shares: np.ndarray) -> str:
    told = f"{100 * shares[-1]:.1f} % with all of {counted(len(shares), 'word')}"
    if shares[-1] < MOST:
        return told
    n_words = thousands(1 + int(np.argmax(shares >= MOST)))
    return f"{100 * MOST:.0f} % with the {n_words} most frequent, {told}"


def safe_identifier(kind: str, number: int, name: str) -> str:
    """Make an identifier, which is a file name, too, of what the config calls something."""
    return f"{kind}-{number}-{re.sub('[^A-Za-z0-9_-]', '-', name)}"


def shortened(label: str, longest: int = 36) -> str:
    """Cut a label to what a picture has room for."""
    return label if len(label) <= longest else label[: longest - 1] + "…"
