"""Size and cost of systems in the report: parameters, trainings, speed of decoding."""

import json
import re
from pathlib import Path

import pytest
import torch

from captioner.reporting.content import Corpus, ReportContent, System
from captioner.reporting.cost import sizes, speeds
from captioner.reporting.cost_figures import cost_figures
from captioner.reporting.learning import read_trainings
from captioner.reporting.loading import RuleCost

HISTORY = "epoch,training_loss,validation_loss,learning_rate,seconds,clips_per_s,gradient_norm"

CORPUS = Corpus("tiny", "Tiny", synthetic=False, clotho=False)


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
    assert of_a.with_encoders is None, "no folder to count in"
    del models["a", 2]
    assert sizes(content, models, trainings)[2].n_parameters is None, "a member is not known"


def test_an_encoder_counts_once_and_one_that_is_gone_is_no_reason_to_fail(tmp_path: Path) -> None:
    """6 weights in the encoder of both members, 4 statistics beside them."""
    heard = {"kind": "cnn10", "checkpoint": "Cnn10.pth"}
    systems, models = [], {}
    for name, n_parameters in (("a", 100), ("b", 50)):
        folder = tmp_path / name
        (folder / "encoders").mkdir(parents=True)
        model = {"family": "of", "n_parameters": n_parameters, "frontends": {"cnn10": heard}}
        (folder / "model.json").write_text(json.dumps(model))
        weights = {"fc.weight": torch.zeros(2, 3), "bn.running_mean": torch.zeros(4)}
        torch.save({"model": weights}, folder / "encoders/cnn10.pth")
        systems.append(System(name, name, 1, "greedy", model=folder))
        models[name, 1] = model
    systems.append(System("both", "both", 0, "beam"))
    members = [{"system": name, "seed": 1} for name in "ab"]
    content = ReportContent(CORPUS, {"systems": {"both": {"members": members}}}, {}, systems)
    counted = {size.title: size.with_encoders for size in sizes(content, models, {})}
    assert counted == {"a": 106, "b": 56, "both": 156}
    (tmp_path / "b/encoders/cnn10.pth").unlink()
    counted = {size.title: size.with_encoders for size in sizes(content, models, {})}
    assert counted == {"a": 106, "b": None, "both": None}


def write_benchmarks(folder: Path, seconds: dict[str, float]) -> list[Path]:
    folder.mkdir()
    for name, value in seconds.items():
        (folder / f"{name}.tsv").write_text(f"s\tmax_rss\tcpu_time\n{value}\tNA\tNA\n")
    return sorted(folder.iterdir())


def test_speed_over_seeds_and_splits(tmp_path: Path) -> None:
    """Names may hold dots; what was not timed, or has no clips, is left out."""
    systems = [System("a.b", "A", seed, "beam") for seed in (1, 2)] + [System("c", "C", 1, "beam")]
    systems += [System("both", "Both", 0, "beam")]
    decoded = {
        "a.b.seed1.beam.evaluation": 2.0,
        "a.b.seed2.beam.evaluation": 3.0,
        "a.b.seed1.beam.test": 1.0,
        "a.b.seed1.greedy.test": 100.0,
        "c.seed1.beam.empty": 5.0,
        "both.seed0.beam.test": 6.0,
    }
    made = {"mel.44.test.0": 3.0, "mel.44.test.1": 4.0, "mel.44.evaluation.0": 10.0}
    made |= {"cnn.test.0": 20.0, "cnn.development.0": 1000.0}
    benchmarks = {
        "decode_split": write_benchmarks(tmp_path / "decoded", decoded),
        "extract_features": write_benchmarks(tmp_path / "made", made),
    }
    members = [{"system": "a.b", "seed": 1}, {"system": "c", "seed": 1}]
    config = {"systems": {"both": {"members": members}}}
    content = ReportContent(CORPUS, config, {}, systems, benchmarks=benchmarks)
    models = {("a.b", seed): {"frontends": {"mel.44": {}}} for seed in (1, 2)}
    models["c", 1] = {"frontends": {"mel.44": {}, "cnn": {}}}
    durations = {"evaluation": [10.0, 20.0], "test": [30.0], "empty": []}
    speed, both = speeds(content, models, durations)
    assert (speed.label, speed.decoding, speed.n_clips, speed.seconds) == ("A", "beam", 5, 6.0)
    assert speed.real_time_factor == pytest.approx(6 / 90)
    assert speed.real_time_factor_of_all == pytest.approx((6 + 10 + 10 + 7) / 90)
    assert speed.clips_per_s == pytest.approx(5 / 6)
    assert both.real_time_factor_of_all == pytest.approx((6 + 3 + 4 + 20) / 30)
    benchmarks["extract_features"] = []
    assert speeds(content, models, durations)[0].real_time_factor_of_all is None, "not timed here"


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
