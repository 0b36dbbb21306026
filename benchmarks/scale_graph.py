"""The graph of a training on Clotho and WavCaps: what Snakemake needs for it, and its jobs.

WavCaps is placed by hand and its shards are the config's, so the graph of its 403,050 clips needs
no audio: empty files stand for what would be placed, and for what jobs would have made.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
COLLECTIONS = {
    "AudioSet_SL": "as_final",
    "BBC_Sound_Effects": "bbc_final",
    "FreeSound": "fsd_final",
    "SoundBible": "sb_final",
}
BLACKLISTS = ("blacklist_exclude_all_ac", "blacklist_exclude_test_ac")
TASK_TOKENS = ["clotho", "wavcaps"]
WEIGHT = 0.01  # of WavCaps, as in config/systems/convnext_transformer_multi.yaml
FRONTENDS = {"transformer_small": "logmel-dcase", "convnext_transformer": "convnext_tiny"}


@dataclass(frozen=True)
class Run:
    """What one Snakemake took, and what it said."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    output: str

    def __str__(self) -> str:
        return f"{self.cpu_s:6.1f} CPU s {self.wall_s:6.1f} s wall {self.peak_mb:6.0f} MB"


@dataclass(frozen=True)
class Node:
    """A job of the graph, by what Snakemake shows of it."""

    rule: str
    wildcards: dict[str, str]
    after: frozenset[int]


def write_project(folder: Path, system: str, n_shards: int) -> Path:
    """Write the config of a training of `system` on both corpora, and WavCaps' empty files."""
    placed = folder / "resources/placed/wavcaps/json_files"
    names = [f"{collection}/{name}" for collection, name in COLLECTIONS.items()]
    for name in [*names, *(f"blacklist/{name}" for name in BLACKLISTS)]:
        (placed / name).parent.mkdir(parents=True, exist_ok=True)
        (placed / f"{name}.json").touch()
    (placed.parent / "audio").mkdir(exist_ok=True)
    wavcaps = {"name": "wavcaps", "shards": {"development": n_shards}}
    config = {
        "corpus": "clotho-v2.1",
        "vocabularies": {
            "both": {"corpora": ["clotho-v2.1", "wavcaps"], "task_tokens": TASK_TOKENS}
        },
        "systems": [
            {
                "name": system,
                "vocabulary": "both",
                "train": [
                    {"task_token": "clotho"},
                    {"corpus": wavcaps, "weight": WEIGHT, "task_token": "wavcaps"},
                ],
            }
        ],
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def command(*arguments: str) -> list[str]:
    """Give the command line of Snakemake, the interpreter left out, for a written project."""
    options = ["--snakefile", str(REPOSITORY / "Snakefile"), "--cores", "2"]
    return ["-m", "snakemake", *arguments, *options, "--configfile", "config.yaml"]


def snakemake(folder: Path, *arguments: str) -> Run:
    """Run Snakemake in `folder`; `SystemExit` with what it said if it fails."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *command(*arguments)],
            cwd=folder,
            env=environment,
            stdout=said,
            stderr=complained,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.monotonic() - started
        said.seek(0)
        complained.seek(0)
        output = said.read().decode()
        if status:
            raise SystemExit(
                f"snakemake {' '.join(arguments)} failed:\n{output}\n{complained.read().decode()}"
            )
    return Run(used.ru_utime + used.ru_stime, wall_s, used.ru_maxrss / 1024, output)


def count_jobs(output: str) -> dict[str, int]:
    """Read rule -> number of jobs from what a dry run says; {} where there is nothing to do."""
    table = re.search(r"^job +count\n[- ]+\n(.*?)^total", output, re.M | re.S)
    rows = (row.rsplit(maxsplit=1) for row in table[1].splitlines()) if table else ()
    return {rule: int(count) for rule, count in rows}


def read_graph(dot: str) -> dict[int, Node]:
    """Read what `snakemake --dag dot` prints: jobs by number.

    Snakemake shows no wildcard that a job shares with one of those that it waits for; there it is
    taken from them, where they agree.
    """
    shown: dict[int, tuple[str, dict[str, str]]] = {}
    after: dict[int, set[int]] = {}
    for number, label in re.findall(r'^\s*(\d+)\[label = "(.*?)", color', dot, re.M):
        rule, *lines = label.split("\\n")
        shown[int(number)] = rule, dict(line.split(": ", 1) for line in lines)
        after[int(number)] = set()
    for first, second in re.findall(r"^\s*(\d+) -> (\d+)$", dot, re.M):
        after[int(second)].add(int(first))
    found: dict[int, dict[str, str]] = {}

    def wildcards(number: int) -> dict[str, str]:
        if number not in found:
            values: dict[str, set[str]] = {}
            for before in after[number]:
                for name, value in wildcards(before).items():
                    values.setdefault(name, set()).add(value)
            agreed = {name: min(of) for name, of in values.items() if len(of) == 1}
            found[number] = agreed | shown[number][1]
        return found[number]

    return {
        number: Node(rule, wildcards(number), frozenset(after[number]))
        for number, (rule, _) in shown.items()
    }


def pretend_finished(folder: Path, targets: Sequence[str] = ()) -> Run:
    """Make every file of the graph, empty, and let Snakemake record all jobs as done.

    What is returned is that recording, which each job of a real run costs as well.
    """
    summary = snakemake(folder, *targets, "--summary").output.splitlines()
    paths = [Path(row.split("\t")[0]) for row in summary if row.startswith("results/")]
    paths += [Path(row.split("\t")[0]) for row in summary if row.startswith("resources/")]
    for path in paths:
        # A folder has no suffix; the name of an archive's folder is a version number at most.
        is_file = bool(path.suffix) and path.parent.name != "audio"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch() if is_file else (folder / path).mkdir(exist_ok=True)
    return snakemake(folder, *targets, "--touch", "--forceall", "--quiet", "all")


def count_files(folder: Path) -> tuple[int, int]:
    """Give the number of files below a folder, and the largest number in one folder."""
    sizes = [len(files) for _, _, files in os.walk(folder)]
    return sum(sizes), max(sizes)


def measure_graph(shards: Sequence[int], system: str) -> None:
    """Print what dry runs of an empty and of a finished project cost, by the number of shards."""
    print(f"snakemake --dry-run of a training of {system} on Clotho and WavCaps")
    for n_shards in shards:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            write_project(folder, system, n_shards)
            snakemake(folder, "--dry-run", "--quiet", "rules")  # compiles the bytecode
            fresh = snakemake(folder, "--dry-run", "--quiet", "rules")
            n_jobs = sum(count_jobs(fresh.output).values())
            print(f"  {n_shards:5} shards, {n_jobs} jobs: nothing done {fresh}", flush=True)
            if n_shards == max(shards):
                measure_finished(folder, system, n_jobs)


def measure_finished(folder: Path, system: str, n_jobs: int) -> None:
    """Print what a project costs in which everything is done."""
    recording = pretend_finished(folder)
    print(
        f"  recording all jobs as done {recording}, {1e3 * recording.cpu_s / n_jobs:.1f} ms a job"
    )
    finished = snakemake(folder, "--dry-run", "--quiet", "rules")
    if left := count_jobs(finished.output):
        raise SystemExit(f"a finished project would run {left}")
    print(f"  all done {finished}")
    metadata = list((folder / ".snakemake/metadata").rglob("*"))
    sizes = sorted(path.stat().st_size for path in metadata if path.is_file())
    print(
        f"  .snakemake/metadata: {len(sizes)} files, median {sizes[len(sizes) // 2]} bytes, the "
        f"largest {sizes[-1] / 1e3:.0f} kB, all {sum(sizes) / 1e6:.1f} MB"
    )
    n_files, largest = count_files(folder / "results")
    print(f"  results: {n_files} files, at most {largest} in a folder")
    frontend = FRONTENDS[system]
    for rule, job in (
        ("extract_features", f"corpus=wavcaps,frontend={frontend},split=development,shard=7"),
        ("train_system", f"corpus=clotho-v2.1,system={system},seed=1"),
    ):
        # As an executor starts it on a node, but for the script itself.
        start = snakemake(
            folder, "--dry-run", "--quiet", "all", "--force", "--nolock", "--mode", "remote",
            "--allowed-rules", rule, "--target-jobs", f"{rule}:{job}",
        )  # fmt: skip
        print(f"  start of a job of {rule} {start}")
