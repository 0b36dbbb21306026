"""What a user of a cluster meets: runs that end early, refused jobs, no tools of accounting."""

import re
import shutil
import signal
from pathlib import Path

import pytest
import yaml
from cluster_runs import ONE_SYSTEM, ClusterRun
from local_slurm import CLIENTS

CLIPS = "results/tiny/clips/development.parquet"
ACCOUNTING_CLIENTS = ("sacct", "sacctmgr")


def documented_resources(clone: Path) -> list[str]:
    """Give what docs/cluster.md sets for a training on several machines, with 2 GPUs in each."""
    page = (clone / "docs/cluster.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```yaml\n(set-resources:.*?)^```", page, re.M | re.S)
    asked = yaml.safe_load(block)["set-resources"]["train_system"]
    asked["slurm_extra"] = asked["slurm_extra"].replace("=4", "=2")
    return ["--set-resources", *(f"train_system:{name}={value}" for name, value in asked.items())]


@pytest.mark.slow
def test_a_run_that_was_interrupted_and_then_killed_goes_on(cluster, new_project) -> None:
    project = new_project("interrupted", gpus=4)
    run = ClusterRun(cluster, project, ["train", *documented_resources(project.clone)])
    run.wait_for(lambda: run.started("train_system"))
    # These GPUs are none, but SLURM counts them: two of each machine.
    [number] = run.running("train_system")
    asked = cluster.run("scontrol", "show", "job", number)
    assert re.search("NumNodes=2 .*NumTasks=2 ", asked), asked
    assert "TresPerJob=gres:gpu:4" in asked and "TresPerNode=gres:gpu:2" in asked, asked
    run.process.send_signal(signal.SIGINT)
    assert run.finish() == 1
    assert [job.state for job in run.jobs()][-1] == "CANCELLED"
    finished = (project.folder / CLIPS).stat().st_mtime_ns

    project.configure(ONE_SYSTEM)
    run = ClusterRun(cluster, project, ["train"])
    run.wait_for(lambda: run.started("train_system"))
    run.process.kill()
    run.finish()
    [name] = re.findall("SLURM run ID: (.+)", run.log)
    cluster.run("scancel", "--name", name)
    project.snakemake("--unlock")
    run = ClusterRun(cluster, project, ["train"])
    assert run.finish() == 0, run.log
    assert {job.what.split("_wildcards")[0] for job in run.jobs()} == {"rule_train_system"}
    assert (project.folder / CLIPS).stat().st_mtime_ns == finished


@pytest.mark.slow
def test_a_job_larger_than_any_node_is_refused_with_a_message(cluster, new_project) -> None:
    project = new_project("too large")
    large = ["--set-resources", "tabulate_clips:mem_mb=1000000", "--retries", "0"]
    run = ClusterRun(cluster, project, [CLIPS, *large])
    assert run.finish() == 1
    assert "Requested node configuration is not available" in run.log


@pytest.mark.slow
def test_an_unknown_account_is_refused_with_a_message(accounting_cluster, new_project) -> None:
    project = new_project("no such account")
    resources = ["--default-resources", "slurm_account=nobody", "mem_mb=1000", "runtime=9"]
    run = ClusterRun(accounting_cluster, project, [CLIPS, *resources, "--retries", "0"])
    assert run.finish() == 1
    assert "cannot be sent to SLURM: The given account nobody appears to be invalid" in run.log


@pytest.mark.slow
def test_a_cancelled_job_is_sent_again_where_accounting_is_asked(
    accounting_cluster, new_project
) -> None:
    asking = ["--slurm-status-command", "sacct"]
    run = ClusterRun(accounting_cluster, new_project("cancelled"), [CLIPS, *asking])
    run.wait_for(lambda: run.started("tabulate_clips"))
    accounting_cluster.run("scancel", *run.running("tabulate_clips"))
    assert run.finish() == 0, run.log
    assert "SLURM status is: 'CANCELLED'" in run.log  # of a group, which Snakemake would not say
    assert [job.state for job in run.jobs()] == ["CANCELLED", "COMPLETED"]


@pytest.mark.slow
def test_no_tool_of_accounting_is_needed(cluster, new_project, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in CLIENTS:
        if name not in ACCOUNTING_CLIENTS:
            (programs / name).symlink_to(cluster.folder / "bin" / name)
    for name in ("bash", "env", "sh", "which"):
        (programs / name).symlink_to(shutil.which(name))
    run = ClusterRun(cluster, new_project("no accounting"), [CLIPS], path=str(programs))
    assert run.finish() == 0, run.log
    assert [job.state for job in run.jobs()] == ["COMPLETED"]
