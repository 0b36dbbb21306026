"""A training killed with SIGKILL and started again gives the weights of one that was not."""

import csv
import json
import logging
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_corpus import make_corpus, make_settings

from captioner.models.registry import FAMILIES
from captioner.training.resume import ResumeFile, TrainingState, digest
from captioner.training.train import train_system

HERE = Path(__file__).parent
# Runs a job again and again, each time in a process that kills itself when it has reached `point`
# `count` times; says how each ended and what it left. One start of Python serves them all.
CHILD = """
import json, os, pickle, signal, sys
sys.path[:0] = sys.argv[1:3]
import torch
from captioner.models import checkpoint
from captioner.training import loop, step, train
from captioner.training.resume import ResumeFile

job, kills = pickle.load(sys.stdin.buffer)
loop.SAVE_INTERVAL_S = 0
torch.optim.Adam([torch.nn.Parameter(torch.ones(1))])  # imports much: once for all runs
PLACES = {
    "step": (step.Stepper, "take"),
    "validation": (loop.Trainer, "_loss_of"),
    "save": (torch, "save"),
    "end": (ResumeFile, "remove"),
}

def kill_at(point, count):
    owner, name = PLACES[point]
    original, calls = getattr(owner, name), 0

    def killing(*arguments, **keywords):
        nonlocal calls
        calls += 1
        if calls == count:
            if point == "save":
                arguments[1].write_bytes(b"half of a state")
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **keywords)

    setattr(owner, name, killing)

found = []
for point, count in kills:
    pid = os.fork()
    if pid == 0:
        try:
            kill_at(point, count)
            train.train_system(**job)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    states = [path.name for path in job["resume_folder"].glob("*.pt")]
    found.append((status, len(states), job["model_folder"].exists()))
print(json.dumps(found))
"""
NEVER = ("step", 0)


def run_killed(job, *kills):
    """Run a job once per kill; give (exit status, states on disk, whether a model stands)."""
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(HERE), str(HERE.parents[1] / "src")],
        input=pickle.dumps((job, kills)),
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert child.returncode == 0, child.stderr.decode()
    return [tuple(run) for run in json.loads(child.stdout)]


def job_of(folder, family):
    specaugment = {
        "time_stripes": 1,
        "time_width": 0.3,
        "frequency_stripes": 1,
        "frequency_width": 0.3,
    }
    settings = make_settings(
        family,
        batching="clips" if family == "conv_transformer" else "pairs",
        batch_size=2 if family == "conv_transformer" else 8,  # 3 or 4 batches an epoch
        epochs=5,
        learning_rate=0.01,
        schedule="cosine",
        warmup_epochs=2,
        validation_drop_last=True,
        specaugment=specaugment,
    )
    settings["model"] = settings["model"] | {"dropout": 0.3}
    return {"settings": settings, **make_corpus(folder)}


def result(job):
    with job["history"].open(encoding="utf-8", newline="") as file:
        timed = ("seconds", "clips_per_s")
        rows = [{k: v for k, v in row.items() if k not in timed} for row in csv.DictReader(file)]
    return load_file(job["model_folder"] / "weights.safetensors"), rows


@pytest.mark.parametrize("family", FAMILIES)
def test_killed_anywhere_and_started_again(tmp_path, family):
    whole, killed = job_of(tmp_path / "whole", family), job_of(tmp_path / "killed", family)
    train_system(**whole)
    runs = run_killed(
        killed,
        ("step", 1),  # before anything was saved
        ("step", 3),  # within the first epoch
        ("step", 1),
        ("step", 6),
        ("save", 1),  # half-way through writing the state
        ("save", 4),
        ("validation", 4),  # two try the longest captions
        ("end", 1),  # the model is written, the state not yet removed
        NEVER,
    )
    dead = -signal.SIGKILL
    assert runs == [(dead, 0, False), *[(dead, 1, False)] * 6, (dead, 1, True), (0, 0, True)]
    (weights, history), (weights_killed, history_killed) = result(whole), result(killed)
    assert history_killed == history and len(history) == 5
    assert weights_killed.keys() == weights.keys()
    for name, value in weights.items():
        assert torch.equal(weights_killed[name], value), name
    assert not killed["resume_folder"].exists()


def test_the_state_of_other_inputs_is_left_alone(tmp_path, caplog):
    job = job_of(tmp_path, "conv_transformer")
    state = job["resume_folder"] / "0123456789abcdef.pt"
    state.parent.mkdir(parents=True)
    state.write_bytes(b"never read")
    with caplog.at_level(logging.INFO):
        train_system(**job)
    assert f"Ignored {state}" in caplog.text and "Resumed" not in caplog.text
    assert len(result(job)[1]) == 5


def test_the_digest_knows_every_input(tmp_path, monkeypatch):
    """Each change alone gives another name to the state."""
    names = []

    def spy(inputs):
        names.append(digest(inputs))
        return names[-1]

    monkeypatch.setattr("captioner.training.train.digest", spy)
    job = job_of(tmp_path / "a", "conv_transformer")
    settings = job["settings"] | {"training": job["settings"]["training"] | {"epochs": 1}}
    other_model = settings | {"model": settings["model"] | {"dropout": 0.1}}
    without_validation = make_corpus(tmp_path / "b", validation=False)
    for change in (
        {},
        {"settings": settings | {"title": "Another title"}},
        {"seed": 2},
        {"settings": other_model},
        {"code": "other"},
        {"validation": without_validation["validation"]},
    ):
        train_system(**{**job, "settings": settings, **change})
    assert names[0] == names[1]
    assert len(set(names)) == len(names) - 1


def test_generators_are_restored(tmp_path):
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters())
    resume = ResumeFile(tmp_path / "resume", "abc")
    parts = {"model": model, "optimizer": optimizer}
    resume.save(TrainingState(epoch=3, n_batches=2, loss=1.5), parts)
    expected = torch.rand(3)
    state = resume.load(parts)
    assert torch.equal(torch.rand(3), expected)
    assert (state.epoch, state.n_batches, state.loss) == (3, 2, 1.5)
