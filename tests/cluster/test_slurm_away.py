"""A controller that is restarted where there is accounting, and one that does not come back."""

import re

import pytest
from cluster_runs import ClusterRun

TARGET = ["results/tiny/features/logmel-dcase/statistics/development.json"]


@pytest.mark.slow
def test_a_restart_loses_nothing_where_there_is_accounting(accounting_cluster, new_project) -> None:
    project = new_project("accounted")
    run = ClusterRun(accounting_cluster, project, [*TARGET, "--slurm-status-command", "sacct"])
    log = project.result("logs/extract_features/logmel-dcase.development.0.log")
    run.wait_for(lambda: log.is_file() and log.stat().st_size)  # the job has its node
    accounting_cluster.stop_controller()
    asked = run.log.count("Finished")
    run.sleep(15)
    accounting_cluster.start_controller()
    assert run.finish() == 0, run.log
    assert run.log.count("Finished") > asked
    assert [job.state for job in run.jobs()] == ["COMPLETED"] * 3  # nothing was submitted again
    states = accounting_cluster.run("sacct", "-X", "-n", "-P", "-o", "State").split()
    assert states == ["COMPLETED"] * 3


@pytest.mark.slow
def test_a_run_whose_slurm_is_gone_ends_with_a_message_and_goes_on_later(
    cluster, new_project
) -> None:
    project = new_project("abandoned")
    rules = project.clone / "workflow/rules/slurm.smk"
    rules.write_text(re.sub(r"(?m)^UNANSWERED = \d+", "UNANSWERED = 3", rules.read_text()))
    run = ClusterRun(cluster, project, TARGET)
    run.wait_for(lambda: run.running("extract_features"))
    cluster.stop_controller()
    assert run.finish() == 1
    assert "SLURM has not answered 3 times, so this run is ended." in run.log
    [name] = set(re.findall(r"scancel --name ([\w-]+)`", run.log))
    cluster.start_controller()
    cluster.run("scancel", "--name", name)
    finished = project.result("clips/development.parquet").stat().st_mtime_ns
    again = ClusterRun(cluster, project, TARGET)
    assert again.finish() == 0, again.log
    assert project.result("clips/development.parquet").stat().st_mtime_ns == finished
    assert (project.folder / TARGET[0]).is_file()
