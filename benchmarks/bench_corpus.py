"""The target `features` over a corpus of Clotho's size: wall time, CPU seconds, memory of the jobs.

    python benchmarks/bench_corpus.py FOLDER --clips 6972

Writes 16-bit noise of 15 to 30 s at 44.1 kHz into FOLDER (14 GB for all of Clotho if every file is
its own, `--distinct 6972`; by default some files stand there under many names, so that the page
cache holds what it would not hold of Clotho), then runs the workflow there. A second run on clips
of 20 ms has the same jobs and nothing to transform: what it takes is start-up, graph and tables.
"""

import argparse
import csv
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
SAMPLE_RATE_HZ = 44100
SPLITS = {"development": 3839, "validation": 1045, "evaluation": 1045, "test": 1043}  # Clotho's
CLOTHO_CLIPS = sum(SPLITS.values())
UNCAPTIONED = "test"
N_CORES = 2


class Run(NamedTuple):
    """What a run of the workflow took."""

    wall_s: float
    cpu_s: float
    peak_mb: float  # of the largest process, Snakemake's own included


def main() -> None:
    """Write the corpora, run the workflow on both, print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="new; what is written stays")
    parser.add_argument("--clips", type=int, default=CLOTHO_CLIPS, help="default: Clotho's 6972")
    parser.add_argument("--distinct", type=int, default=48, help="different files (default 48)")
    parser.add_argument("--systems", nargs="+", default=["baseline"], help="default: baseline")
    arguments = parser.parse_args()
    rng = np.random.default_rng(1)
    n_distinct = min(arguments.distinct, arguments.clips)
    durations_s = {"whole": rng.uniform(15, 30, n_distinct), "empty": np.full(1, 0.02)}
    runs = {}
    for name, lengths_s in durations_s.items():
        folder = arguments.folder / name
        hours = write_corpus(folder, arguments.clips, lengths_s, arguments.systems)
        runs[name] = run_features(folder)
        if name == "whole":
            print(f"{arguments.clips} clips, {n_distinct} distinct files, {hours:.1f} h of audio")
            report_jobs(folder)
    whole, empty = runs["whole"], runs["empty"]
    print(f"whole run on {N_CORES} cores: {whole.wall_s:.0f} s wall, {whole.cpu_s:.0f} CPU s")
    print(f"largest process: {whole.peak_mb:.0f} MB")
    print(
        f"start-up, graph and tables: {empty.wall_s:.0f} s wall, {empty.cpu_s:.0f} CPU s, "
        f"{empty.cpu_s / whole.cpu_s:.0%} of the whole run's"
    )


def write_corpus(folder: Path, n_clips: int, lengths_s: np.ndarray, systems: list[str]) -> float:
    """Write a folder corpus and a config; give the hours of audio."""
    rng = np.random.default_rng(2)
    sources = []
    (folder / "sources").mkdir(parents=True)
    for index, length_s in enumerate(lengths_s):
        source = folder / "sources" / f"{index}.wav"
        noise = rng.integers(-8000, 8000, round(length_s * SAMPLE_RATE_HZ), dtype=np.int16)
        soundfile.write(source, noise, SAMPLE_RATE_HZ)
        sources.append(source)
    total_s = 0.0
    for split, of_clotho in SPLITS.items():
        audio = folder / "audio" / split
        audio.mkdir(parents=True)
        rows = []
        for index in range(max(1, round(of_clotho * n_clips / CLOTHO_CLIPS))):
            place = int(rng.integers(len(sources)))
            name = f"{split} clip {index}.wav"
            (audio / name).hardlink_to(sources[place])
            total_s += lengths_s[place]
            rows.append([name, *(f"Noise of kind {k}, {index}" for k in range(5))])
        if split != UNCAPTIONED:
            with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
                header = ["file_name", *(f"caption_{k}" for k in range(1, 6))]
                csv.writer(file).writerows([header, *rows])
    corpus = {
        "title": "Noise",
        "kind": "folder",
        "audio": {split: f"audio/{split}" for split in SPLITS},
        "captions": {s: None if s == UNCAPTIONED else f"{s}.csv" for s in SPLITS},
    }
    (folder / "noise.yaml").write_text(yaml.safe_dump(corpus), encoding="utf-8")
    config = {"corpus": str(folder.resolve() / "noise.yaml"), "systems": systems}
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return total_s / 3600


def run_features(folder: Path) -> Run:
    """Run the target `features` in `folder`."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [
        *(sys.executable, "-m", "snakemake", "features"),
        *("--snakefile", str(REPOSITORY / "Snakefile")),
        *("--directory", str(folder), "--configfile", str(folder / "config.yaml")),
        *("--cores", str(N_CORES), "--quiet", "all"),
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    subprocess.run(command, env=environment, check=True)
    wall_s = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall_s, cpu_s, after.ru_maxrss / 1024)


def report_jobs(folder: Path) -> None:
    """Print, rule by rule, what Snakemake measured of the jobs."""
    print(f"{'rule':24} {'jobs':>5} {'wall s':>8} {'slowest':>8} {'peak MB':>8}")
    for rule in sorted((folder / "results/noise/benchmarks").iterdir()):
        jobs = []
        for path in rule.rglob("*.tsv"):
            with path.open(encoding="utf-8", newline="") as file:
                jobs.append(next(csv.DictReader(file, delimiter="\t")))
        walls = [float(job["s"]) for job in jobs]
        peak = max((float(job["max_rss"]) for job in jobs if job["max_rss"] not in ("-", "NA")),
                   default=0.0)  # fmt: skip
        print(f"{rule.name:24} {len(jobs):5} {sum(walls):8.1f} {max(walls):8.1f} {peak:8.0f}")


if __name__ == "__main__":
    main()
