"""The graph of a training on WavCaps: how many jobs, and that each more costs the same."""

import pstats
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from scale_cluster import read_jobs
from scale_graph import command, count_jobs, pretend_finished, snakemake, write_project

CLOTHO_SHARDS = 14  # of the four splits that a run needs
SYSTEM = "transformer_small"


def calls(folder: Path, n_shards: int) -> tuple[int, dict[str, int]]:
    """Calls of functions that a dry run makes, and its jobs; no clock, so no noise."""
    write_project(folder, SYSTEM, n_shards)
    profile = folder / f"{n_shards}.profile"
    run = command("--dry-run", "--quiet", "rules")
    profiled = [sys.executable, "-m", "cProfile", "-o", str(profile), *run]
    done = subprocess.run(profiled, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return pstats.Stats(str(profile)).total_calls, count_jobs(done.stdout)


def test_a_shard_more_costs_the_same_in_a_larger_graph(tmp_path):
    sizes = (10, 60, 210)
    (few, of_few), (some, of_some), (many, of_many) = (calls(tmp_path, n) for n in sizes)
    for n_shards, jobs in zip(sizes, (of_few, of_some, of_many), strict=True):
        assert jobs.pop("extract_features") == n_shards + CLOTHO_SHARDS
    assert of_few == of_some == of_many  # nothing else grows with the shards
    assert of_few["train_system"] == of_few["check_leakage"] == 1
    assert of_few["compute_statistics"] == 2
    of_a_shard = (some - few) / (sizes[1] - sizes[0])
    assert (many - some) / (sizes[2] - sizes[1]) < 1.1 * of_a_shard


def test_a_finished_graph_has_nothing_to_do_and_a_shard_is_made_alone(tmp_path):
    write_project(tmp_path, SYSTEM, 30)
    pretend_finished(tmp_path)
    assert count_jobs(snakemake(tmp_path, "--dry-run", "--quiet", "rules").output) == {}
    shard = "results/wavcaps/features/logmel-dcase/development/7.parquet"
    (tmp_path / shard).unlink()
    jobs = count_jobs(snakemake(tmp_path, shard, "--dry-run", "--quiet", "rules").output)
    assert jobs == {"extract_features": 1}


@pytest.mark.parametrize("system", ["transformer_small", "convnext_transformer"])
def test_the_simulated_jobs_are_the_graphs(system):
    graph = read_jobs(system, 20)
    features = [job for job in graph.values() if job.rule == "extract_features"]
    assert len(features) == 20 + CLOTHO_SHARDS
    assert all(before in graph for job in graph.values() for before in job.after)
    (statistics,) = (
        key
        for key, job in graph.items()
        if job.rule == "compute_statistics" and len(job.after) == 20  # of WavCaps
    )
    (training,) = (job for job in graph.values() if job.rule == "train_system")
    assert statistics in training.after
    audio_hours = {"transformer_small": 1.17 / 3600, "convnext_transformer": 1 / 16}[system]
    seconds = sum(job.seconds * job.cores for job in features)
    assert seconds == pytest.approx((7567.9 + 43.7) * 3600 * audio_hours, rel=0.1)
