"""A training through `--workflow-profile profiles/slurm`, with all that may happen on the way."""

import csv
from pathlib import Path

import pytest
import yaml
from cluster_runs import ONE_SYSTEM, ClusterRun

from tiny import CONFIG, Project

ONE_THREAD = ["--set-threads", "train_system=1"]  # sums of several threads differ in the last bit
LITTLE_MEMORY = ["--set-resources", "compute_statistics:mem_mb=(attempt - 1) * 1500 + 60"]


def learned(project: Project) -> tuple[bytes, list[dict[str, str]]]:
    run = project.result("systems/baseline/seed1")
    with (run / "history.csv").open(encoding="utf-8", newline="") as file:
        history = list(csv.DictReader(file))
    for row in history:
        for key in [key for key in row if "seconds" in key or "per_s" in key]:
            del row[key]
    return (run / "model/weights.safetensors").read_bytes(), history


def finished_files(project: Project) -> dict[Path, int]:
    return {
        path: path.stat().st_mtime_ns
        for folder in ("clips", "annotations", "checks", "features", "vocabulary")
        for path in project.result(folder).rglob("*")
        if path.is_file() and path.suffix != ".log"
    }


def edit(project: Project) -> dict[Path, str]:
    """Break all that a job could read anew; give what it was."""
    before = {}
    package = project.clone / "src/captioner"
    for path in (
        package / "training/train.py",
        package / "plan.py",
        package / "corpus/tables.py",
        project.clone / "workflow/scripts/train_system.py",
        project.clone / "workflow/rules/training.smk",
        project.clone / "config/systems/baseline.yaml",
    ):
        before[path] = path.read_text(encoding="utf-8")
        broken = "family: none\n" if path.suffix == ".yaml" else "raise RuntimeError('edited')\n"
        path.write_text(broken, encoding="utf-8")
    config = project.folder / project.configfile
    before[config] = config.read_text(encoding="utf-8")
    [system] = ONE_SYSTEM["systems"]
    changed = {**system, "training": {"epochs": 7}}
    config.write_text(yaml.safe_dump({**ONE_SYSTEM, "systems": [changed], "unknown": 1}))
    return before


def test_a_run_survives_what_happens_on_a_cluster(cluster, new_project) -> None:
    project = new_project("on the cluster")
    run = ClusterRun(cluster, project, ["train", *ONE_THREAD, *LITTLE_MEMORY])
    run.wait_for(lambda: run.running("train_system"))
    finished = finished_files(project)
    assert finished

    # Everything is edited while the run is under way, and a job is cancelled.
    before = edit(project)
    cancelled = run.running("train_system")
    cluster.run("scancel", *cancelled)
    run.wait_for(lambda: set(run.started("train_system")) - set(cancelled))
    # The controller is away for a while; there is no accounting to ask instead.
    cluster.stop_controller()
    run.wait_for(lambda: "SLURM does not answer" in run.log)
    cluster.start_controller()
    assert run.finish() == 0, run.log

    # Every job was SLURM's; the cancelled one, and the one over its memory, asked for more.
    jobs = run.jobs()
    trainings = [job for job in jobs if "train_system" in job.what]
    assert [(job.state, job.memory) for job in trainings] == [
        ("CANCELLED", "3000M"),
        ("COMPLETED", "6000M"),
    ]
    states = [(job.state, job.memory) for job in jobs if "compute_statistics" in job.what]
    assert states == [("FAILED", "60M"), ("COMPLETED", "1560M")]
    assert {job.what.split("_wildcards")[0] for job in jobs} == {
        "rule_tables_build_vocabulary_check_split_tabulate_annotations_tabulate_clips",
        "rule_features_extract_features",
        "rule_compute_statistics",
        "rule_train_system",
    }
    # What was finished stayed, and nothing that was edited was read.
    assert finished_files(project) == finished
    assert not list((project.folder / ".snakemake").glob("frozen/*"))
    for path, text in before.items():
        path.write_text(text, encoding="utf-8")

    # A second run does nothing, and a local run makes the same files.
    again = ClusterRun(cluster, project, ["train", *ONE_THREAD])
    assert again.finish() == 0
    assert "Nothing to be done" in again.log
    assert again.jobs() == []
    local = new_project("here")
    local.snakemake("train", *ONE_THREAD)
    assert learned(local) == learned(project)


@pytest.mark.slow
def test_the_whole_graph_runs_on_the_cluster(cluster, new_project) -> None:
    project = new_project("the whole graph", systems=CONFIG["systems"])
    wanted = project.would_run()
    run = ClusterRun(cluster, project)
    assert run.finish() == 0, run.log
    jobs = run.jobs()
    assert {job.state for job in jobs} == {"COMPLETED"}
    seen = " ".join(job.what for job in jobs)
    assert [rule for rule in wanted if rule not in seen] == []
    assert len(jobs) < sum(wanted.values())  # small ones went together
    assert project.result("report/index.html").is_file()
    assert project.would_run() == {}
