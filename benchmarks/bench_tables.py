"""Tables and checks of a corpus of 400,000 clips: CPU time and memory, against `soundfile.info`.

    PYTHONPATH=src python benchmarks/bench_tables.py --clips 400000 [--keep DIR]

Writes that many wavs of 0.05 s, all different, and a captions CSV with a column `split` (97.5, 0.5
and 2 % development, validation and evaluation); with `--keep` the folder stays, as a corpus for the
workflow (docs/own-corpus.md): `--configfile DIR/config.yaml`. Then every job of the stage runs once
in a process of its own, as the workflow runs it: clips, annotations and checks of each split. The
peers read the same files: `soundfile.info` every header, `csv.DictReader` the captions. So short a
wav is read whole, 800 bytes; of a longer clip it is eight excerpts, 64 kB. Last come two dry runs
of the workflow on the corpus.
"""

import argparse
import csv
import multiprocessing
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import soundfile

from captioner.corpus.checks import SplitTables, check_split, raise_on_errors
from captioner.corpus.expectations import expectations_of
from captioner.corpus.readers.kinds import load_reader
from captioner.corpus.tables import write_annotations, write_clips
from captioner.job import write_json

REPOSITORY = Path(__file__).resolve().parents[1]
SPLITS = ("development", "validation", "evaluation")
HELD_OUT = {"validation": 0.005, "evaluation": 0.02}
RATE_HZ, CLIP_FRAMES = 8000, 400
N_WORDS, CAPTION_WORDS = 20_000, (4, 14)  # of the vocabulary; of a caption

Stage = Callable[[], None]


@dataclass(frozen=True)
class Run:
    """What one process took."""

    cpu_s: float
    wall_s: float
    peak_mb: float


def main() -> None:
    """Build the corpus, measure every job and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clips", type=int, default=400_000, help="default 400000")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write the corpus here, keep it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() if not options.keep else nullcontext(options.keep) as folder:
        corpus = Path(folder).resolve()
        start = time.perf_counter()
        write_corpus(corpus, options.clips)
        print(f"{options.clips} clips written in {time.perf_counter() - start:.0f} s", flush=True)
        with tempfile.TemporaryDirectory() as tables:
            measure_all(corpus, Path(tables), options.clips)


def measure_all(corpus: Path, tables: Path, n_clips: int) -> None:
    """Measure the peers and every job; print a row for each stage."""
    settings = settings_of(corpus)
    peer = measure(partial(read_headers, corpus / "wavs"))
    report("soundfile.info of each", [peer], peer, n_clips)
    jobs = [partial(tabulate_clips, settings, tables, split) for split in SPLITS]
    report("clips", list(map(measure, jobs)), peer, n_clips)
    report("csv.DictReader", [measure(partial(read_rows, corpus / "captions.csv"))], peer, n_clips)
    jobs = [partial(tabulate_annotations, settings, tables, split) for split in SPLITS]
    report("annotations", list(map(measure, jobs)), peer, n_clips)
    jobs = [partial(check, settings, tables, split) for split in SPLITS]
    report("checks", list(map(measure, jobs)), peer, n_clips)
    for what in ("dry run, first", "dry run, second"):
        report(what, [dry_run(corpus)], peer, n_clips)


def dry_run(corpus: Path) -> Run:
    """Build the graph of the features of this corpus, as a user's dry run does."""
    command = [sys.executable, "-m", "snakemake", "features", "--dry-run", "--quiet", "all"]
    options = ["--snakefile", str(REPOSITORY / "Snakefile"), "--cores", "2", "--configfile"]
    start = time.perf_counter()
    started = subprocess.Popen(
        [*command, *options, str(corpus / "config.yaml")], cwd=corpus, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(started.pid, 0)
    if status:
        raise SystemExit(f"the dry run failed with status {status}")
    wall_s = time.perf_counter() - start
    return Run(used.ru_utime + used.ru_stime, wall_s, used.ru_maxrss / 1024)


def report(stage: str, runs: list[Run], peer: Run, n_clips: int) -> None:
    """Print the sum of the times and the highest peak of a stage's jobs."""
    cpu_s = sum(run.cpu_s for run in runs)
    wall_s = sum(run.wall_s for run in runs)
    print(
        f"{stage:24s}{cpu_s:7.1f} CPU s{wall_s:7.1f} s{1e6 * cpu_s / n_clips:8.1f} CPU ms per 1000"
        f" clips{cpu_s / peer.cpu_s:7.2f} x soundfile.info{max(r.peak_mb for r in runs):7.0f} MB",
        flush=True,
    )


def write_corpus(folder: Path, n_clips: int) -> None:
    """Write wavs, captions.csv, corpus.yaml and config.yaml."""
    generator = random.Random(1)
    words = [f"word{number}" for number in range(N_WORDS)]
    often = list(accumulate(1 / (1 + number) for number in range(N_WORDS)))  # Zipf's law
    (folder / "wavs").mkdir(parents=True, exist_ok=True)
    with (folder / "captions.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["file_name", "split", "caption_1"])
        for number in range(n_clips):
            name = f"clip [{number:06d}], field recording.wav"
            write_wav(folder / "wavs" / name, generator)
            draw = generator.random()
            split = "validation" if draw < HELD_OUT["validation"] else "development"
            split = "evaluation" if draw > 1 - HELD_OUT["evaluation"] else split
            length = generator.randint(*CAPTION_WORDS)
            caption = generator.choices(words, cum_weights=often, k=length)
            rows.writerow([name, split, " ".join(caption)])
    corpus = "title: As many clips as WavCaps\nkind: folder\naudio: wavs\ncaptions: captions.csv\n"
    (folder / "corpus.yaml").write_text(corpus, encoding="utf-8")
    config = f"corpus: {folder / 'corpus.yaml'}\nsystems: [nearest_clip]\n"
    (folder / "config.yaml").write_text(config, encoding="utf-8")


def write_wav(path: Path, generator: random.Random) -> None:
    """Write noise as 16-bit mono; the header of 44 bytes by hand, for speed."""
    size = 2 * CLIP_FRAMES
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
    header = struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + form
    header += struct.pack("<4sI", b"data", size)
    path.write_bytes(header + generator.randbytes(size))


def settings_of(corpus: Path) -> dict[str, Any]:
    """Give the corpus's settings as the workflow hands them to its jobs."""
    paths = {"audio": str(corpus / "wavs"), "captions": str(corpus / "captions.csv")}
    return {"kind": "folder", "damaged": "error", "n_captions": None, "expected": {}, **paths}


def read_headers(folder: Path) -> None:
    """Do what a plain script would: read every header, keep nothing."""
    for name in os.listdir(folder):  # noqa: PTH208, the fastest way
        soundfile.info(f"{folder}/{name}")


def read_rows(path: Path) -> None:
    """Read the captions by the standard library, keep nothing."""
    with path.open(newline="", encoding="utf-8") as file:
        for _ in csv.DictReader(file):
            pass


def tabulate_clips(settings: dict[str, Any], tables: Path, split: str) -> None:
    """Do the work of the script of the same name."""
    clips = load_reader("folder").tabulate_clips(settings, split, {})
    write_clips(tables / f"{split}.clips.parquet", clips)


def tabulate_annotations(settings: dict[str, Any], tables: Path, split: str) -> None:
    """Do the work of the script of the same name."""
    annotations = load_reader("folder").read_annotations(settings, split, {})
    write_annotations(tables / f"{split}.annotations.parquet", annotations)


def check(settings: dict[str, Any], tables: Path, split: str) -> None:
    """Do the work of the script check_split."""
    held = {
        name: SplitTables.read(
            tables / f"{name}.clips.parquet", tables / f"{name}.annotations.parquet"
        )
        for name in SPLITS
    }
    expected = expectations_of(settings, split, captioned=True)
    report = check_split(split, held.pop(split), held, expected)
    raise_on_errors(report)
    write_json(tables / f"{split}.checks.json", report)


def measure(stage: Stage) -> Run:
    """Run a stage in a process of its own."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    start = time.perf_counter()
    process = context.Process(target=run, args=(stage, sender))
    process.start()
    sender.close()
    cpu_s, peak_mb = receiver.recv()
    process.join()
    return Run(cpu_s, time.perf_counter() - start, peak_mb)


def run(stage: Stage, sender: Connection) -> None:
    """Run a stage; send the CPU seconds and peak MB (of Linux: since the process began)."""
    stage()
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak_kb = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    sender.send((used.ru_utime + used.ru_stime, int(peak_kb) / 1e3))


if __name__ == "__main__":
    main()
