"""A job or a whole run is killed as it writes: the next run finishes, nothing is half-written."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tiny import CONFIG, Project, make_project

CAPTIONS = "systems/tiny_transformer/seed1/captions/beam3/evaluation.csv"
WEIGHTS = "systems/tiny_transformer/seed1/model/weights.safetensors"
HISTORY = "systems/tiny_transformer/seed1/history.csv"
EPOCHS = 30


@pytest.fixture
def training(repository: Path, tmp_path: Path) -> Project:
    """A project whose one system trains long enough to be killed."""
    project = make_project(repository, tmp_path)
    system = dict(CONFIG["systems"][1], training={"epochs": EPOCHS, "patience": EPOCHS})
    project.configure({**CONFIG, "systems": [system]})
    return project


def start_and_wait(project: Project) -> subprocess.Popen[bytes]:
    """Start a run; give it when its training has closed some epochs."""
    run = subprocess.Popen(
        project.command("decode"),
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    history = project.result(HISTORY)
    while not (history.exists() and len(history.read_text().splitlines()) > 3):
        assert run.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return run


def assert_finishes(project: Project) -> None:
    """A plain run finishes what was begun, and equals an uninterrupted one."""
    assert not project.result(WEIGHTS).exists()
    project.snakemake("decode")
    log = project.result("logs/train_system/tiny_transformer.seed1.log").read_text()
    assert "resum" in log.lower() or "continu" in log.lower()
    assert len(project.result(HISTORY).read_text().splitlines()) == 1 + EPOCHS
    resumed = project.result(WEIGHTS).read_bytes()
    captions = project.result(CAPTIONS).read_bytes()
    assert project.would_run("decode") == {}
    project.snakemake("decode", "--forcerun", "train_system")
    assert project.result(WEIGHTS).read_bytes() == resumed
    assert project.result(CAPTIONS).read_bytes() == captions
    assert not list(project.result("systems").rglob("resume"))


def test_killed_job(training: Project) -> None:
    """As by the system's out-of-memory killer: the job dies, Snakemake ends with an error."""
    run = start_and_wait(training)
    (job,) = [
        child
        for child in psutil.Process(run.pid).children(recursive=True)
        if child.cmdline()[-1].endswith("train_system.py")
    ]
    job.send_signal(signal.SIGKILL)
    assert run.wait(timeout=120) != 0
    assert_finishes(training)


def test_killed_run(training: Project) -> None:
    """As by a power cut: all processes die; Snakemake's lock is left and has to be taken off."""
    run = start_and_wait(training)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    refused = training.snakemake("decode", check=False)
    assert refused.returncode != 0 and "--unlock" in refused.stdout + refused.stderr
    training.snakemake("--unlock")
    assert_finishes(training)


@pytest.mark.slow
def test_starts_anew_where_that_is_asked(training: Project) -> None:
    system = dict(CONFIG["systems"][1], training={"epochs": 8, "patience": 8})
    training.configure({**CONFIG, "systems": [system]})
    run = start_and_wait(training)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    training.snakemake("--unlock")
    states = list(training.result("systems").rglob("resume/*.pt"))
    assert len(states) == 1
    training.snakemake("train", "--config", "resume=false")
    log = training.result("logs/train_system/tiny_transformer.seed1.log").read_text()
    assert "Resumed from" not in log and "Epoch 1 of" in log
    assert len(training.result(HISTORY).read_text().splitlines()) == 1 + 8
    assert not states[0].exists()
