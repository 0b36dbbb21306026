"""Learning in the report: histories old and new, curves of one seed and of several."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from captioner.reporting.figures import Figure
from captioner.reporting.learning import (
    Training,
    at_best_columns,
    learning_figures,
    trainings_text,
)
from captioner.reporting.loading import History, read_history

NAN = float("nan")
OLD = "epoch,training_loss,validation_loss,learning_rate,seconds,clips_per_s,gradient_norm"
NEW = (
    "epoch,training_loss,validation_loss,validation_cider,validation_spider,reward,learning_rate,"
    "seconds,clips_per_s,gradient_norm"
)


def history(n_epochs: int = 3, **columns: Sequence[float]) -> History:
    empty = {field.name: [NAN] * n_epochs for field in fields(History)}
    plain = {
        "epoch": list(range(1, n_epochs + 1)),
        "training_loss": [3.0 - i for i in range(n_epochs)],
        "learning_rate": [1e-3] * n_epochs,
        "seconds": [4.0] * n_epochs,
    }
    return History(**{**empty, **plain, **{name: list(found) for name, found in columns.items()}})


def texts(figure: Figure) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(figure.svg).iter("text")]


def titles(figures: Sequence[Figure]) -> list[str]:
    known = {
        "Loss",
        "Validation scores",
        "Learning rate",
        "Reward in training",
        "Loss of reinforcement",
        "Validation loss",
        "Time per epoch",
    }
    return [next(text for text in texts(figure) if text in known) for figure in figures]


def lines(figure: Figure) -> int:
    """Count lines in the colours of the series: the curves, and the lines of the legend."""
    root = ElementTree.fromstring(figure.svg)
    styles = [element.attrib.get("style", "") for element in root.iter() if "d" in element.attrib]
    return sum("fill: none" in style and "stroke: var(--series" in style for style in styles)


def test_learning_curves_mark_the_best_epoch() -> None:
    found = history(validation_loss=[3.5, 2.5, 2.75])
    figures = learning_figures("Small", [Training(1, found, 2)], "x")
    assert titles(figures) == ["Loss", "Learning rate", "Time per epoch"]
    loss, rate, time = figures
    assert trainings_text([Training(1, found, 2)]) == (
        "Seed 1: 3 epochs, best (ring) epoch 2, validation loss 2.500."
    )
    assert {"training", "validation", "epoch", "loss (nats per token)"} <= set(texts(loss))
    assert "learning rate" in texts(rate)
    assert {"epoch", "time (s)"} <= set(texts(time))
    without = learning_figures("Small", [Training(1, found, None)], "x")[0]
    assert len(loss.svg) > len(without.svg), "the ring"
    assert trainings_text([Training(1, found, None)]) == "Seed 1: 3 epochs."


def test_training_without_validation_has_one_curve() -> None:
    loss = learning_figures("Small", [Training(1, history(2), 2)], "x")[0]
    assert "validation" not in texts(loss) and "training" in texts(loss)
    assert trainings_text([Training(1, history(2), 2)]) == "Seed 1: 2 epochs, best (ring) epoch 2."


def test_seeds_share_a_figure_with_their_mean_as_far_as_all_went() -> None:
    short, long = history(2, validation_loss=[3, 2]), history(4, validation_loss=[4, 3, 2, 1])
    trainings = [Training(1, short, 2), Training(2, long, 4)]
    loss = learning_figures("Small", trainings, "x")[0]
    assert lines(loss) == 2 * 3 + 2, "two curves of two seeds, their means, the legend"
    assert texts(loss).count("validation") == 1, "one entry of the legend"
    said = trainings_text(trainings)
    assert said.startswith("2 seeds: thin lines; bold: their mean, as far as all of them went.")
    assert not any("seed" in text for text in texts(loss))
    one = learning_figures("Small", [Training(1, short, 2)], "x")[0]
    assert lines(one) == 2 + 2


def test_scores_of_validation_have_a_picture_of_their_own() -> None:
    found = history(validation_loss=[3, 2, 2], validation_cider=[0.1, 0.4, 0.3])
    figures = learning_figures("Small", [Training(1, found, 2)], "x")
    assert titles(figures) == ["Loss", "Validation scores", "Learning rate", "Time per epoch"]
    assert "CIDEr" in texts(figures[1]) and "SPIDEr" not in texts(figures[1])
    both = replace(found, validation_spider=[0.1, 0.2, NAN])
    assert "SPIDEr" in texts(learning_figures("Small", [Training(1, both, 2)], "x")[1])


def test_reinforcement_shows_its_reward_and_keeps_losses_apart() -> None:
    """Its training loss is weighted by rewards: it has no place on the validation loss's axis."""
    found = history(
        validation_loss=[3, 3, 3], validation_cider=[0.4, 0.5, 0.6], reward=[0.3, 0.5, 0.7]
    )
    figures = learning_figures("Small", [Training(1, found, 3)], "x")
    assert titles(figures) == [
        "Reward in training",
        "Validation scores",
        "Validation loss",
        "Loss of reinforcement",
        "Learning rate",
        "Time per epoch",
    ]
    assert "training" not in texts(figures[2])
    assert "loss weighted by rewards" in texts(figures[3])


@pytest.mark.parametrize("header, row", [
    (OLD, "1,3.5,,0.001,2.5,10,"),
    (NEW, "1,3.5,,,,,0.001,2.5,10,"),
])  # fmt: skip
def test_history_with_empty_cells_and_without_columns(
    tmp_path: Path, header: str, row: str
) -> None:
    path = tmp_path / "history.csv"
    path.write_text(f"{header}\n{row}\n")
    found = read_history(path)
    assert (found.epoch, found.training_loss, found.clips_per_s) == ([1], [3.5], [10.0])
    for column in ("validation_loss", "validation_cider", "validation_spider", "reward"):
        assert np.isnan(getattr(found, column)).tolist() == [True]


def test_history_with_the_new_columns(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text(f"{NEW}\n1,3.5,3.25,0.5,0.25,0.75,0.001,2.5,10,1\n")
    found = read_history(path)
    assert (found.validation_cider, found.validation_spider, found.reward) == (
        [0.5],
        [0.25],
        [0.75],
    )


def test_values_at_the_epoch_that_was_kept() -> None:
    found = history(validation_loss=[3, NAN, 2], validation_cider=[0.1, 0.2, 0.3])
    assert Training(1, found, 2).at_best("validation_cider") == 0.2
    assert Training(1, found, 2).at_best("validation_loss") is None
    assert Training(1, found, 9).at_best("validation_cider") is None
    trainings = {"a": [Training(1, found, 2)], "b": [Training(1, found, None)]}
    assert at_best_columns(trainings) == {"validation_cider": "CIDEr there"}
