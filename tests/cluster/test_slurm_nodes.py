"""A training in a process on each of two nodes: what one process learns, to rounding."""

import csv
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from cluster_runs import ClusterRun
from safetensors.numpy import load_file

from tiny import CONFIG, Project

RUN = "systems/tiny_transformer/seed1"
TWO_NODES = ["--set-resources", *(f"train_system:{r}" for r in ("nodes=2", "tasks=2", "mpi=srun"))]


def learned(project: Project) -> tuple[dict[str, np.ndarray], list[float]]:
    with project.result(f"{RUN}/history.csv").open(encoding="utf-8", newline="") as file:
        losses = [float(row["training_loss"]) for row in csv.DictReader(file)]
    return load_file(project.result(f"{RUN}/model/weights.safetensors")), losses


@pytest.mark.slow
def test_two_nodes_learn_what_one_process_does(cluster, new_project, tmp_path: Path) -> None:
    system = deepcopy(CONFIG["systems"][1])
    system["model"] = {**system["model"], "dropout": 0}  # each process draws its own
    system["training"]["specaugment"] = None
    scratch = tmp_path / "disk"
    project = new_project("two nodes", systems=[system], scratch=str(scratch))
    run = ClusterRun(cluster, project, ["train", *TWO_NODES])
    assert run.finish() == 0, run.log
    log = project.result("logs/train_system/tiny_transformer.seed1.log").read_text()
    assert "Training in 1 processes on 2 machines: ['srun'" in log
    assert list((scratch / "captioner").glob("*.parquet"))  # read from each machine's own disk
    alone = new_project("alone", systems=[system])
    alone.snakemake("train")
    weights, losses = learned(alone)
    weights_of_two, losses_of_two = learned(project)
    np.testing.assert_allclose(losses_of_two, losses, rtol=1e-4)
    for name, values in weights.items():
        np.testing.assert_allclose(weights_of_two[name], values, atol=1e-4, err_msg=name)
