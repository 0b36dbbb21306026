"""The pictures of a report: scores, learning curves, histograms."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from captioner.reporting.loading import History
from captioner.reporting.svg import INK, SERIES, draw

SEED_STYLES = ("-", "--", ":", "-.")  # seeds share the colour of their curve
N_BINS = 24
LEGEND_ROOM = 1.3  # an axis that much longer than its data has room for two lines of legend


@dataclass(frozen=True)
class Figure:
    """A drawing and the sentence below it."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Training:
    """One trained model: its history and the epoch whose weights were kept."""

    seed: int
    history: History
    best_epoch: int | None


KINDS = {  # of rows of the score table: colour and its name
    "system": (SERIES[0], "blue"),
    "trivial": (SERIES[4], "orange"),
    "people": (SERIES[3], "pink"),
    "published": (SERIES[2], "green"),
}


def spider_figure(
    labels: Sequence[str], values: Sequence[float], kinds: Sequence[str], identifier: str
) -> Figure:
    """Draw a row with a bar per system.

    Args:
        labels: names of the systems, the first on top.
        values: SPIDEr of each.
        kinds: of each, a key of `KINDS`; the colour says which.
        identifier: unique in the page.
    """

    def plot(axes: Axes) -> None:
        rows = np.arange(len(labels))
        axes.barh(rows, values, height=0.62, color=[KINDS[kind][0] for kind in kinds])
        for row, value in zip(rows, values, strict=True):
            axes.annotate(
                f"{value:.3f}", (value, row), (4, 0), textcoords="offset points", va="center"
            )
        axes.set_yticks(rows, [_shortened(label) for label in labels])
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_xlim(0, max(*values, 0.01) * 1.15)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("SPIDEr (higher is better)")

    listed = "; ".join(f"{label} {value:.3f}" for label, value in zip(labels, values, strict=True))
    shown = ", ".join(f"{name}: {kind}" for kind, (_, name) in KINDS.items() if kind in kinds)
    svg = draw(plot, identifier, f"SPIDEr per system: {listed}.", (5.6, 0.7 + 0.32 * len(labels)))
    return Figure(svg, f"SPIDEr, the mean of CIDEr and SPICE ({shown}).")


def learning_figures(title: str, trainings: Sequence[Training], identifier: str) -> list[Figure]:
    """Draw losses, learning rate and seconds per epoch of one system, a line per seed."""

    def losses(axes: Axes) -> None:
        for i, training in enumerate(trainings):
            history, style = training.history, SEED_STYLES[i % len(SEED_STYLES)]
            seed = f", seed {training.seed}" if len(trainings) > 1 else ""
            curves = (
                ("training", history.training_loss, SERIES[0]),
                ("validation", history.validation_loss, SERIES[1]),
            )
            for name, values, colour in curves:
                if not all(math.isnan(value) for value in values):
                    _curve(axes, history.epoch, values, style, colour, name + seed)
            _mark_best(axes, training)
        axes.legend()
        _finish(axes, "Loss", "loss (nats per token)")

    def learning_rate(axes: Axes) -> None:
        for i, training in enumerate(trainings):
            style = SEED_STYLES[i % len(SEED_STYLES)]
            history = training.history
            _curve(axes, history.epoch, history.learning_rate, style, INK, "")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
        _finish(axes, "Learning rate", "learning rate")

    def seconds(axes: Axes) -> None:
        for i, training in enumerate(trainings):
            style = SEED_STYLES[i % len(SEED_STYLES)]
            history = training.history
            _curve(axes, history.epoch, history.seconds, style, SERIES[2], "")
        axes.set_ylim(bottom=0)
        _finish(axes, "Time per epoch", "wall time (s)")

    told = " ".join(_told(training) for training in trainings)
    return [
        Figure(draw(losses, f"{identifier}-loss", f"{title}, loss per epoch. {told}"), told),
        Figure(draw(learning_rate, f"{identifier}-rate", f"{title}, learning rate per epoch."), ""),
        Figure(draw(seconds, f"{identifier}-time", f"{title}, seconds per epoch."), ""),
    ]


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
                linestyle=SEED_STYLES[i % len(SEED_STYLES)],
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


def _curve(
    axes: Axes, epochs: Sequence[int], values: Sequence[float], style: str, colour: str, label: str
) -> None:
    """Draw a line over the epochs; dots too where it would be too short to be seen."""
    marker = "o" if len(epochs) < 3 else ""
    axes.plot(epochs, values, style, marker=marker, markersize=4, color=colour, label=label)


def _mark_best(axes: Axes, training: Training) -> None:
    """Put a ring on the validation loss of the epoch that was kept."""
    history = training.history
    if training.best_epoch not in history.epoch:
        return
    loss = history.validation_loss[history.epoch.index(training.best_epoch)]
    if not math.isnan(loss):
        axes.plot(training.best_epoch, loss, "o", markersize=8, mfc="none", mec=INK, mew=1.6)


def _told(training: Training) -> str:
    history = training.history
    said = f"Seed {training.seed}: {len(history.epoch)} epochs"
    if training.best_epoch in history.epoch:
        loss = history.validation_loss[history.epoch.index(training.best_epoch)]
        said += f", best (ring) epoch {training.best_epoch}, validation loss {loss:.3f}"
    return said + "."


def _finish(axes: Axes, title: str, y_label: str) -> None:
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    first, last = axes.get_xlim()
    if last - first < 1:  # one epoch
        axes.set_xlim(first - 0.5, last + 0.5)
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.set_ylabel(y_label)


def _shortened(label: str, longest: int = 30) -> str:
    return label if len(label) <= longest else label[: longest - 1] + "…"
