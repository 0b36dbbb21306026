"""The benchmark of training steps runs, and what it compares is equal."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks/bench_training.py"


@pytest.mark.slow
def test_small_run():
    options = ["--rounds=1", "--frames=12", "--batch-size=2", "--clips=2", "--threads=1"]
    run = subprocess.run(
        [sys.executable, BENCHMARK, *options], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    pattern = r"logits differ by (\S+), gradients by (\S+) of the largest"
    differences = re.findall(pattern, run.stdout)
    assert len(differences) == 2
    assert all(float(value) < 2e-6 for pair in differences for value in pair)
    rows = re.findall(r"^  (.+?) {2,}[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+$", run.stdout, re.M)
    assert len(rows) == 7, run.stdout
