"""What the section on learning shows: the curves of each system, a row for each training."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from captioner.reporting.content import ReportContent, System
from captioner.reporting.figures import Figure, safe_identifier
from captioner.reporting.loading import History, read_history, read_model
from captioner.reporting.svg import INK, SERIES, draw

PANEL_IN = (3.4, 2.5)  # four of them side by side
SEED_ALPHA, SEED_WIDTH = 0.5, 1.1  # of the lines of single seeds below their mean


@dataclass(frozen=True)
class Training:
    """One trained model: its history and the epoch whose weights were kept."""

    seed: int
    history: History
    best_epoch: int | None

    def at_best(self, column: str) -> float | None:
        """Give a value of the epoch that was kept; None where there is none."""
        if self.best_epoch not in self.history.epoch:
            return None
        value = getattr(self.history, column)[self.history.epoch.index(self.best_epoch)]
        return None if math.isnan(value) else value

    def mean(self, column: str) -> float | None:
        """Give the mean of a column over the epochs that have it; None where none has."""
        return known_mean(getattr(self.history, column))

    @property
    def epoch_seconds(self) -> list[float]:
        """The time of each epoch; that of scoring a start (epoch 0) is none."""
        epochs = zip(self.history.epoch, self.history.seconds, strict=True)
        return [seconds for epoch, seconds in epochs if epoch]

    @property
    def epoch_s(self) -> float | None:
        """The mean time of an epoch."""
        return known_mean(self.epoch_seconds)

    @property
    def n_epochs(self) -> int:
        """How many epochs there were."""
        return max(self.history.epoch, default=0)

    @property
    def seconds(self) -> float:
        """The time of all epochs."""
        return sum(self.history.seconds)


@dataclass(frozen=True)
class Learned:
    """The trainings of one system, one per seed, and their pictures."""

    title: str
    trainings: Sequence[Training]
    figures: Sequence[Figure]
    told: str  # what the pictures show


@dataclass(frozen=True)
class Curve:
    """One curve of a panel: a column of the history."""

    column: str
    name: str
    colour: str
    style: str = "-"


@dataclass(frozen=True)
class Panel:
    """One drawing of the learning of a system."""

    identifier: str
    title: str
    y_label: str
    curves: Sequence[Curve]
    from_zero: bool = True


LOSS = "loss (nats per token)"
VALIDATION_LOSS = Curve("validation_loss", "validation", SERIES[1])
SCORES = Panel(
    "scores",
    "Validation scores",
    "score",
    [
        Curve("validation_cider", "CIDEr", SERIES[2]),
        Curve("validation_spider", "SPIDEr", SERIES[3], "--"),
    ],
)
RATE = Panel("rate", "Learning rate", "learning rate", [Curve("learning_rate", "", INK)])
TIME = Panel("time", "Time per epoch", "time (s)", [Curve("seconds", "", SERIES[4])])
SUPERVISED = (
    Panel(
        "loss",
        "Loss",
        LOSS,
        [Curve("training_loss", "training", SERIES[0], "--"), VALIDATION_LOSS],
        from_zero=False,
    ),
    SCORES,
    RATE,
    TIME,
)
# The loss of reinforcement is a sum weighted by rewards: not on the scale of the validation's.
REINFORCED = (
    Panel("reward", "Reward in training", "reward", [Curve("reward", "", SERIES[0])], False),
    SCORES,
    Panel("loss", "Validation loss", LOSS, [VALIDATION_LOSS], from_zero=False),
    Panel(
        "policy-loss",
        "Loss of reinforcement",
        "loss weighted by rewards",
        [Curve("training_loss", "", SERIES[0], "--")],
        from_zero=False,
    ),
    RATE,
    TIME,
)
AT_BEST = {  # columns that are told, and ringed in the pictures, at the epoch that was kept
    "validation_loss": "Validation loss there",
    "validation_cider": "CIDEr there",
    "validation_spider": "SPIDEr there",
}


def read_models(content: ReportContent) -> dict[tuple[str, int], dict[str, Any]]:
    """Read what each model says about itself, by system and seed."""
    return {
        (run.name, run.seed): read_model(run.model)
        for run in content.systems
        if run.model is not None
    }


def read_trainings(
    systems: Sequence[System], models: Mapping[tuple[str, int], Mapping[str, Any]]
) -> dict[str, list[Training]]:
    """Read the histories by system; a training with several decodings counts once."""
    found: dict[str, dict[int, Training]] = {}
    for run in systems:
        if run.history is not None:
            best = (models.get((run.name, run.seed), {}).get("best") or {}).get("epoch")
            seeds = found.setdefault(run.name, {})
            seeds[run.seed] = Training(run.seed, read_history(run.history), best)
    return {name: [seeds[seed] for seed in sorted(seeds)] for name, seeds in found.items()}


def at_best_columns(trainings: Mapping[str, Sequence[Training]]) -> dict[str, str]:
    """Give the columns of `AT_BEST` that some training has at the epoch that was kept."""
    return {
        column: name
        for column, name in AT_BEST.items()
        if any(t.at_best(column) is not None for found in trainings.values() for t in found)
    }


def learned(
    titles: Mapping[str, str], trainings: Mapping[str, Sequence[Training]]
) -> list[Learned]:
    """Draw the trainings of each system; `titles` are of the systems, by name."""
    return [
        Learned(
            titles[name],
            found,
            learning_figures(titles[name], found, safe_identifier("learning", i, name)),
            trainings_text(found),
        )
        for i, (name, found) in enumerate(trainings.items())
    ]


def learning_figures(title: str, trainings: Sequence[Training], identifier: str) -> list[Figure]:
    """Draw what a system's histories hold: losses, scores, rewards, learning rate, time.

    Seeds share the colour of their curve; with several, the bold line is their mean.
    """
    reinforced = any(_has(training, "reward") for training in trainings)
    panels = []
    for panel in REINFORCED if reinforced else SUPERVISED:
        curves = [
            c for c in panel.curves if any(_has(training, c.column) for training in trainings)
        ]
        if curves:
            panels.append((panel, curves))
    figures: list[Figure] = []
    for panel, curves in panels:
        names = " and ".join(curve.name for curve in curves if curve.name)
        alt = f"{title}: {panel.title.lower()} per epoch{f', {names}' if names else ''}."
        svg = draw(
            partial(_plot, panel=panel, curves=curves, trainings=trainings),
            f"{identifier}-{panel.identifier}",
            alt,
            PANEL_IN,
        )
        figures.append(Figure(svg, ""))
    return figures


def _plot(axes: Axes, panel: Panel, curves: Sequence[Curve], trainings: Sequence[Training]) -> None:
    for curve in curves:
        for training in trainings:
            alone = len(trainings) == 1
            _line(
                axes,
                training.history.epoch,
                getattr(training.history, curve.column),
                curve,
                label=curve.name if alone else "",
                alpha=1.0 if alone else SEED_ALPHA,
                linewidth=1.8 if alone else SEED_WIDTH,
            )
        if len(trainings) > 1:
            epochs, means = _mean_curve(trainings, curve.column)
            _line(axes, epochs, means, curve, label=curve.name, alpha=1.0, linewidth=2.4)
    for curve in curves:
        if curve.column in AT_BEST:
            for training in trainings:
                _ring(axes, training, curve.column)
    if panel.from_zero:
        axes.set_ylim(bottom=0)
    if panel is RATE:
        axes.yaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
    if any(curve.name for curve in curves):
        axes.legend()
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    known = {epoch for training in trainings for epoch in training.history.epoch}
    if len(known) == 1:
        (epoch,) = known
        axes.set_xlim(epoch - 1, epoch + 1)
        axes.set_xticks([epoch])
    axes.set_title(panel.title)
    axes.set_xlabel("epoch")
    axes.set_ylabel(panel.y_label)


def _line(
    axes: Axes, epochs: Sequence[int], values: Sequence[float], curve: Curve, **how: Any
) -> None:
    """Draw a line over the epochs; dots too where it would be too short to be seen."""
    marker = "o" if len(epochs) < 3 else ""
    axes.plot(epochs, values, curve.style, marker=marker, markersize=4, color=curve.colour, **how)


def _ring(axes: Axes, training: Training, column: str) -> None:
    """Put a ring on the value of the epoch that was kept."""
    value = training.at_best(column)
    if training.best_epoch is not None and value is not None:
        axes.plot(training.best_epoch, value, "o", markersize=8, mfc="none", mec=INK, mew=1.6)


def _mean_curve(trainings: Sequence[Training], column: str) -> tuple[list[int], list[float]]:
    """Average a column over the seeds, at the epochs that all of them have."""
    by_epoch = [
        dict(zip(t.history.epoch, getattr(t.history, column), strict=True)) for t in trainings
    ]
    shared = sorted(set.intersection(*map(set, by_epoch)))
    return shared, [fmean(values[epoch] for values in by_epoch) for epoch in shared]


def trainings_text(trainings: Sequence[Training]) -> str:
    """Say what the pictures of a system show."""
    if len(trainings) > 1:
        return (
            f"{len(trainings)} seeds: thin lines; bold: their mean, as far as all of them went. "
            "Rings: the epochs whose weights were kept."
        )
    (training,) = trainings
    epochs = f"{training.n_epochs} epoch{'s' if training.n_epochs != 1 else ''}"
    said = f"Seed {training.seed}: {epochs}"
    if training.best_epoch in training.history.epoch:
        said += f", best (ring) epoch {training.best_epoch}"
        if (loss := training.at_best("validation_loss")) is not None:
            said += f", validation loss {loss:.3f}"
    return said + "."


def _has(training: Training, column: str) -> bool:
    return not all(math.isnan(value) for value in getattr(training.history, column))


def known_mean(values: Sequence[float]) -> float | None:
    """Give the mean of the values that are numbers; None where none is."""
    known = [value for value in values if not math.isnan(value)]
    return fmean(known) if known else None
