"""A training on Clotho and WavCaps on clusters of several sizes: job times, simulation, picture."""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scale_graph import FRONTENDS, Node, read_graph, snakemake, write_project
from scale_picture import draw
from scale_simulation import Cluster, Graph, Job, Outcome, critical_path, grouped, simulate

HOURS = {"wavcaps": 7567.9, "clotho-v2.1": 43.7}  # of audio (Mei et al. 2024; Drossos et al. 2020)
CLIPS = {"wavcaps": 403_050, "clotho-v2.1": 6972}
CLOTHO_SHARDS = {"development": 8, "validation": 2, "evaluation": 2, "test": 2}
CLOTHO_GB = 8.0  # of archives
FETCHED_GB_S, UNPACKED_GB_S = 0.05, 0.1  # assumed: a network, a disk

# Seconds of one core, by the command that measured them (benchmarks/README.md, docs/systems.md).
LOGMEL_S_PER_HOUR = 1.17  # of audio: bench_features.py
ENCODER_S_PER_S = 1 / 16  # of audio, ConvNeXt-Tiny: bench_encoders.py
ENCODER_THREADS = 4  # of the rule
TABULATED_S, ANNOTATED_S, CHECKED_S = 0.38e-3, 0.03e-3, 0.05e-3  # a clip: bench_tables.py
STEP_S = {"transformer_small": 0.17 / 8, "convnext_transformer": 1.9 / 64}  # a clip: bench_steps.py
EPOCHS = {"transformer_small": 60, "convnext_transformer": 400}
EPOCH_CLIPS = 3839 + 0.01 * 403_050  # Clotho's development split, and what WavCaps' weight draws
TRAINING_THREADS = 8  # profiles/slurm: max-threads
DECODED_S = 25.5e-3  # a clip of 1045: bench_decoding.py
SCORED_S = 131.0  # 1045 clips, cold: captioner score
OTHER_S = 10.0  # checks of a kind that take seconds: the report, the package

FOUND_S = 0.35  # a shard finds its clips in the table of 400,000: "stages"
MERGED_S = 15e-6  # a clip whose shard's statistics are read: "stages"

CORES = 16  # of a node
CLUSTER = Cluster(
    nodes=1,
    cores=CORES,
    startup_s=4.0,  # Snakemake 2 CPU s ("graph"), the script's interpreter and imports the rest
    latency_s=3.0,  # slurm.conf: batch_sched_delay
    submissions_per_s=5.0,  # one sbatch after the other
    jobs_at_once=200,  # profiles/slurm: jobs, and cores of all of them together
    cores_at_once=512,
    poll_s=30.0,  # profiles/slurm: slurm-init-seconds-before-status-checks
    poll_step_s=10.0,  # the plugin's, after a look that finds no end, up to
    poll_limit_s=60.0,
)
GROUP = 4  # profiles/slurm: shards of log-mels that are submitted together


def job_of(node: Node, system: str, n_shards: int) -> Job:
    """Give a job of the graph its time and cores."""
    seconds, cores, priority = OTHER_S, 1, 0
    corpus = node.wildcards.get("corpus", "clotho-v2.1")
    split = node.wildcards.get("split", "")
    of_split = CLOTHO_SHARDS.get(split, 1) / sum(CLOTHO_SHARDS.values())
    share = 1.0 if corpus == "wavcaps" else of_split
    clips = CLIPS[corpus] * share
    if node.rule == "extract_features":
        shards = n_shards if corpus == "wavcaps" else sum(CLOTHO_SHARDS.values())
        hours = HOURS[corpus] / shards
        seconds = FOUND_S + LOGMEL_S_PER_HOUR * hours
        if FRONTENDS[system] == "convnext_tiny":
            cores = ENCODER_THREADS
            seconds = FOUND_S + 3600 * hours * ENCODER_S_PER_S / cores
    elif node.rule in ("tabulate_clips", "tabulate_annotations", "check_split"):
        of_clip = {"clips": TABULATED_S, "annotations": ANNOTATED_S, "split": CHECKED_S}
        seconds = clips * of_clip[node.rule.rpartition("_")[2]]
    elif node.rule == "compute_statistics":
        seconds = clips * MERGED_S
    elif node.rule == "train_system":
        cores, priority = TRAINING_THREADS, 1
        seconds = EPOCHS[system] * EPOCH_CLIPS * STEP_S[system] / cores
    elif node.rule == "decode_split":
        seconds = 1045 * DECODED_S
    elif node.rule in ("score_split", "score_ceiling"):
        seconds, priority = SCORED_S, -1
    elif node.rule in ("fetch_file", "extract_archive"):
        is_archive = node.wildcards.get("file", node.wildcards.get("stem", "")).find("audio") >= 0
        rate = FETCHED_GB_S if node.rule == "fetch_file" else UNPACKED_GB_S
        seconds = CLOTHO_GB / 4 / rate if is_archive else 1.0
    return Job(node.rule, seconds, node.after, cores=cores, priority=priority)


def read_jobs(system: str, n_shards: int) -> dict[int, Job]:
    """Give the jobs of the graph that Snakemake builds, with their times; without its target."""
    with tempfile.TemporaryDirectory() as scratch:
        write_project(Path(scratch), system, n_shards)
        nodes = read_graph(snakemake(Path(scratch), "--dag", "dot").output)
    return {
        number: job_of(node, system, n_shards)
        for number, node in nodes.items()
        if node.rule != "all"
    }


def report(outcome: Outcome) -> str:
    """Describe a simulated run in a line."""
    cluster = outcome.cluster
    return (
        f"{cluster.nodes:5} nodes: {outcome.makespan_s / 3600:7.2f} h; node hours "
        f"{outcome.charged_hours:.1f} of the cores that jobs held, {outcome.node_hours:.1f} of "
        f"nodes kept to the end, {outcome.efficiency:.0%} of them work"
    )


def measure_cluster(n_shards: int, nodes: Sequence[int], picture: Path | None) -> None:
    """Simulate the runs of both systems on each number of nodes, print and draw what they take."""
    curves = {}
    counts = sorted({2**k for k in range(math.ceil(math.log2(max(nodes))) + 1)} | set(nodes))
    for system, frontend in FRONTENDS.items():
        graph = read_jobs(system, n_shards)
        print(f"{system} on {frontend}: {describe(graph)}")
        if frontend == "logmel-dcase":
            graph = grouped(graph, ["extract_features"], GROUP, CORES)
            print(f"  {len(graph)} submissions")
        outcomes = {n: simulate(graph, replace(CLUSTER, nodes=n)) for n in counts}
        free = {n: replace(CLUSTER, nodes=n, jobs_at_once=math.inf, cores_at_once=math.inf)
                for n in counts}  # fmt: skip
        unlimited = {n: simulate(graph, cluster) for n, cluster in free.items()}
        for n in nodes:
            print(f"  as profiles/slurm:  {report(outcomes[n])}")
            print(f"  without its limits: {report(unlimited[n])}")
            print(f"  features alone:     {report(simulate(features_of(graph), free[n]))}")
        curves[f"{system}, whole run"] = [(n, unlimited[n].makespan_s / 3600) for n in counts]
        curves[f"{frontend}, features"] = [
            (n, simulate(features_of(graph), free[n]).makespan_s / 3600) for n in counts
        ]
    if picture:
        draw(picture, curves, nodes)


def describe(graph: Graph) -> str:
    """Describe the work of a graph, and its longest chain."""
    chain = [graph[key] for key in critical_path(graph)]
    work_s = sum(job.seconds * job.cores for job in graph.values())
    longest = sorted(chain, key=lambda job: -job.seconds)[:3]
    parts = ", ".join(f"{job.rule} {job.seconds / 3600:.2f}" for job in longest)
    chain_h = sum(job.seconds for job in chain) / 3600
    return (
        f"{len(graph)} jobs, {work_s / 3600:.1f} core hours; the longest chain of jobs "
        f"{chain_h:.2f} h: {parts}"
    )


def features_of(graph: Graph) -> dict[int, Job]:
    """Give the jobs that extract features, as if all else were done."""
    return {
        key: replace(job, after=frozenset())
        for key, job in graph.items()
        if job.rule == "extract_features"
    }
