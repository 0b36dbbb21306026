"""A run is killed while its jobs write: the next plain run finishes, nothing is half-written."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tiny import CONFIG, Project, make_project

CAPTIONS = "systems/tiny_transformer/seed1/captions/beam3/evaluation.csv"
WEIGHTS = "systems/tiny_transformer/seed1/model/weights.safetensors"
EPOCHS = 30


@pytest.fixture
def killed(repository: Path, tmp_path: Path) -> Project:
    """A run killed, all processes of it, after some epochs of its training."""
    project = make_project(repository, tmp_path)
    system = dict(CONFIG["systems"][1], training={"epochs": EPOCHS, "patience": EPOCHS})
    project.configure({**CONFIG, "systems": [system]})
    run = subprocess.Popen(
        project.command("decode"),
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    history = project.result("systems/tiny_transformer/seed1/history.csv")
    deadline = time.monotonic() + 300
    while not (history.exists() and len(history.read_text().splitlines()) > 3):
        assert run.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    return project


def test_killed_run_finishes_and_equals_an_uninterrupted_one(killed: Project) -> None:
    model = killed.result(WEIGHTS)
    assert not model.exists()
    killed.snakemake("decode")  # no --unlock, no --rerun-incomplete
    log = killed.result("logs/train_system/tiny_transformer.seed1.log").read_text()
    assert "resum" in log.lower() or "continu" in log.lower()
    history = killed.result("systems/tiny_transformer/seed1/history.csv").read_text()
    assert len(history.splitlines()) == 1 + EPOCHS
    resumed, captions = model.read_bytes(), killed.result(CAPTIONS).read_bytes()
    killed.snakemake("decode", "--forcerun", "train_system")
    assert model.read_bytes() == resumed
    assert killed.result(CAPTIONS).read_bytes() == captions
    assert not list(killed.folder.rglob(".writing-*"))
