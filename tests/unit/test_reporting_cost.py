"""Size and cost of systems in the report: parameters, trainings, speed of decoding."""

import re
from pathlib import Path

import pytest

from captioner.reporting.content import Corpus, ReportContent, System
from captioner.reporting.cost import sizes, speeds
from captioner.reporting.cost_figures import cost_figures
from captioner.reporting.learning import read_trainings
from captioner.reporting.loading import RuleCost

HISTORY = "epoch,training_loss,validation_loss,learning_rate,seconds,clips_per_s,gradient_norm"

CORPUS = Corpus("tiny", "Tiny", "folder", synthetic=False, clotho=False)


def test_sizes_and_costs_of_systems_ensembles_and_published_weights(tmp_path: Path) -> None:
    """An ensemble weighs what its members do; published weights cost no training."""
    for seed, n_epochs in ((1, 1), (2, 3)):
        rows = [f"{epoch},1,1,1e-3,{2 * seed},{10 * seed}," for epoch in range(1, n_epochs + 1)]
        (tmp_path / f"{seed}.csv").write_text("\n".join([HISTORY, *rows]) + "\n")
    systems = [
        System("a", "A", seed, decoding, history=tmp_path / f"{seed}.csv")
        for seed in (1, 2)
        for decoding in ("greedy", "beam")
    ]
    systems += [System("b", "B", 0, "greedy"), System("both", "Both", 0, "beam")]
    systems += [System("typical", "Typical", 0, "none", trivial=True)]
    members = [{"system": "a", "seed": 1}, {"system": "a", "seed": 2}, {"system": "b", "seed": 0}]
    config = {"systems": {"both": {"members": members}}}
    content = ReportContent(CORPUS, config, {}, systems)
    models = {
        (name, seed): {"family": f"of {name}", "n_parameters": n_parameters, "best": None}
        for name, seed, n_parameters in (("a", 1, 100), ("a", 2, 100), ("b", 0, 7))
    }
    trainings = read_trainings(systems, models)
    assert [t.seed for t in trainings["a"]] == [1, 2] and list(trainings) == ["a"]
    of_a, of_b, of_both = sizes(content, models, trainings)
    assert (of_a.title, of_a.family, of_a.n_parameters, len(of_a.trainings)) == (
        "A",
        "of a",
        100,
        2,
    )
    assert (of_a.n_epochs, of_a.seconds) == (2.0, 2 * 1 + 4 * 3)
    assert (of_a.epoch_s, of_a.clips_per_s) == (14 / 4, (10 + 3 * 20) / 4)
    assert (of_b.n_parameters, of_b.n_epochs, of_b.epoch_s, of_b.seconds) == (7, None, None, None)
    assert (of_both.family, of_both.n_parameters) == ("ensemble of 3", 207)
    del models["a", 2]
    assert sizes(content, models, trainings)[2].n_parameters is None, "a member is not known"


def test_speed_of_decoding_over_seeds_and_splits(tmp_path: Path) -> None:
    """A system's name may hold dots; what was not timed, or has no clips, is left out."""
    systems = [System("a.b", "A", seed, "beam") for seed in (1, 2)] + [System("c", "C", 1, "beam")]
    paths = []
    for name, seconds in {
        "a.b.seed1.beam.evaluation": 2.0,
        "a.b.seed2.beam.evaluation": 3.0,
        "a.b.seed1.beam.test": 1.0,
        "a.b.seed1.greedy.test": 100.0,
        "c.seed1.beam.empty": 5.0,
    }.items():
        paths.append(tmp_path / f"{name}.tsv")
        paths[-1].write_text(f"s\tmax_rss\tcpu_time\n{seconds}\tNA\tNA\n")
    content = ReportContent(CORPUS, {}, {}, systems, benchmarks={"decode_split": paths})
    durations = {"evaluation": [10.0, 20.0], "test": [30.0], "empty": []}
    (speed,) = speeds(content, durations)
    assert (speed.label, speed.decoding, speed.n_clips, speed.seconds) == ("A", "beam", 5, 6.0)
    assert speed.real_time_factor == pytest.approx(6 / 90)
    assert speed.clips_per_s == pytest.approx(5 / 6)


def test_the_pictures_of_cost_name_every_rule() -> None:
    costs = [
        RuleCost("train_system", 3, 7300.0, 3600.0, 14000.0, 2048.0),
        RuleCost("decode_split", 2, 12.0, 7.0, None, 512.0),
        RuleCost("check_split", 4, 0.01, 0.01, None, None),
    ]
    time, memory = cost_figures(costs, "cost")
    for rule in ("train_system", "decode_split", "check_split"):
        assert f">{rule}</text>" in time.svg
    assert "train_system 2 h 01 min; decode_split 12 s" in time.svg  # read aloud
    assert {"0.1 s", "1 min", "1 h"} <= set(re.findall(r">([^<>]+)</text>", time.svg))
    assert ">check_split</text>" not in memory.svg  # not measured
    assert memory.svg.index(">train_system</text>") < memory.svg.index(">decode_split</text>")
    assert {"2.00", "0.50", "resident memory (GiB)"} <= set(
        re.findall(r">([^<>]+)</text>", memory.svg)
    )
    assert cost_figures([], "cost") == []
    assert len(cost_figures(costs[2:], "cost")) == 1
