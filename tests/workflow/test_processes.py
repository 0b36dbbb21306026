"""A training in two processes, started by the rule: what one process learns, to rounding."""

import csv
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tiny import CONFIG, Project, make_project

RUN = "systems/tiny_transformer/seed1"


def learned(project: Project) -> tuple[dict[str, np.ndarray], list[float]]:
    with project.result(f"{RUN}/history.csv").open(encoding="utf-8", newline="") as file:
        losses = [float(row["training_loss"]) for row in csv.DictReader(file)]
    return load_file(project.result(f"{RUN}/model/weights.safetensors")), losses


@pytest.mark.slow
def test_two_processes_learn_what_one_does(repository: Path, tmp_path: Path) -> None:
    project = make_project(repository, tmp_path)
    system = deepcopy(CONFIG["systems"][1])
    system["model"] = {**system["model"], "dropout": 0}  # each process draws its own
    system["training"]["specaugment"] = None
    project.configure({**CONFIG, "systems": [system]})
    project.snakemake("train", "--config", "tensorboard=true")
    assert list(project.result(f"{RUN}/tensorboard").glob("events.out.tfevents*"))
    weights, losses = learned(project)
    two = ["--config", "gpus=2", "--resources", "gpu=2"]
    assert project.would_run("train", *two) == {}
    project.snakemake("train", "--forcerun", "train_system", *two)
    log = project.result("logs/train_system/tiny_transformer.seed1.log").read_text()
    assert "Training in 2 processes" in log
    again, losses_again = learned(project)
    np.testing.assert_allclose(losses_again, losses, rtol=1e-4)
    for name, values in weights.items():
        np.testing.assert_allclose(again[name], values, atol=1e-4, err_msg=name)
