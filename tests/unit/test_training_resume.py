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
from types import SimpleNamespace

import pytest
import torch
from plain_tokens import use_plain_tokens
from safetensors.torch import load_file
from scaling import grow_often
from training_corpus import TRAINING, make_corpus, make_settings

from captioner.errors import InputError
from captioner.models.registry import FAMILIES
from captioner.training import loop
from captioner.training.resume import ResumeFile, TrainingState, digest
from captioner.training.train import train_system

HERE = Path(__file__).parent
# Runs jobs again and again, each time in a process that kills itself when it has reached `point`
# `count` times; says how each ended and what it left. One start of Python serves all tests.
CHILD = """
import json, os, pickle, signal, sys
sys.path[:0] = sys.argv[1:3]
import torch
from captioner.models import checkpoint
from captioner.training import held_out, loop, step, train
from captioner.training.resume import ResumeFile
from plain_tokens import use_plain_tokens
from scaling import grow_often

use_plain_tokens()
grow_often()
loop.SAVE_INTERVAL_S = 0
torch.optim.Adam([torch.nn.Parameter(torch.ones(1))])  # imports much: once for all runs
PLACES = {
    "step": (step.Stepper, "take"),
    "validation": (held_out.HeldOut, "loss"),
    "epoch": (loop.Trainer, "_close_epoch"),
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

while True:
    job, kills = pickle.load(sys.stdin.buffer)
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
    print(json.dumps(found), flush=True)
"""
NEVER = ("step", 0)
DEAD = -signal.SIGKILL


@pytest.fixture(autouse=True)
def as_in_the_child(monkeypatch):
    use_plain_tokens(monkeypatch.setattr)
    grow_often(monkeypatch.setattr)


@pytest.fixture(scope="module")
def run_killed():
    """Runs a job once per kill; gives (exit status, states on disk, whether a model stands)."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(HERE), str(HERE.parents[1] / "src")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )

    def run(job, *kills):
        pickle.dump((job, kills), child.stdin)
        child.stdin.flush()
        return [tuple(run) for run in json.loads(child.stdout.readline())]

    yield run
    child.kill()
    child.communicate()


def job_of(folder, family, **training):
    specaugment = {
        "time_stripes": 1,
        "time_width": 0.3,
        "frequency_stripes": 1,
        "frequency_width": 0.3,
    }
    given = {
        "batching": "clips",
        "batch_size": 2,  # 3 batches an epoch
        "epochs": 5,
        "learning_rate": 0.01,
        "schedule": "cosine",
        "warmup_epochs": 2,
        "specaugment": specaugment,
    }
    settings = make_settings(family, **given | training)
    settings["model"] = settings["model"] | {"dropout": 0.3}
    return {"settings": settings, **make_corpus(folder)}


def result(job):
    with job["history"].open(encoding="utf-8", newline="") as file:
        timed = ("seconds", "clips_per_s")
        rows = [{k: v for k, v in row.items() if k not in timed} for row in csv.DictReader(file)]
    return load_file(job["model_folder"] / "weights.safetensors"), rows


def assert_the_same(whole, killed):
    (weights, history), (weights_killed, history_killed) = result(whole), result(killed)
    assert history_killed == history and len(history) == 5
    assert weights_killed.keys() == weights.keys()
    for name, value in weights.items():
        assert torch.equal(weights_killed[name], value), name
    assert not killed["resume_folder"].exists()


def test_killed_anywhere_and_started_again(tmp_path, run_killed):
    """The baseline, with its random pairs and its shuffled validation."""
    training = {"batching": "pairs", "batch_size": 8, "validation_drop_last": True}
    whole = job_of(tmp_path / "whole", "dcase_baseline", **training)
    killed = job_of(tmp_path / "killed", "dcase_baseline", **training)
    train_system(**whole)
    runs = run_killed(
        killed,
        ("step", 1),  # before anything was saved
        ("step", 3),  # within the first epoch
        ("step", 1),
        ("step", 6),
        ("save", 1),  # half-way through writing the state
        ("save", 4),
        ("validation", 2),
        ("end", 1),  # the model is written, the state not yet removed
        NEVER,
    )
    assert runs == [(DEAD, 0, False), *[(DEAD, 1, False)] * 6, (DEAD, 1, True), (0, 0, True)]
    assert_the_same(whole, killed)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "dcase_baseline"])
def test_every_family(tmp_path, run_killed, family):
    whole, killed = job_of(tmp_path / "whole", family), job_of(tmp_path / "killed", family)
    train_system(**whole)
    runs = run_killed(killed, ("step", 2), ("step", 6), ("validation", 1), NEVER)
    assert [status for status, *_ in runs] == [DEAD, DEAD, DEAD, 0]
    assert_the_same(whole, killed)


OPTIONS = {
    "ema, bfloat16, accumulation, cosine by step, inputs mixed": {
        "averaging": {"kind": "ema", "decay": 0.8},
        "precision": "bfloat16",
        "accumulate": 2,
        "optimizer": "adamw",
        "betas": [0.8, 0.9],
        "weight_decay": 0.1,
        "schedule_step": "step",
        "warmup_epochs": 1.5,
        "captions_per_clip": "all",
        "buckets": 2,
        "mixup": {"alpha": 0.4},
        "word_dropout": 0.2,
        "batches_ahead": 0,
    },
    "mean of epochs, float16, plateau, rates of parts": {
        "averaging": {"kind": "last_epochs", "n": 2},
        "precision": "float16",
        "schedule": "plateau",
        "minimum_delta": 0.5,
        "plateau": {"factor": 0.3, "patience": 2},
        "learning_rates": {"decoder": 0.002, "embedding": 0.0},
    },
    "reinforcement of a mean, in parts": {
        "loss": "self_critical",
        "self_critical": TRAINING["self_critical"]
        | {"baseline": "leave_one_out", "samples": 2, "max_length": 6},
        "accumulate": 2,
        "monitor": "cider",
        "averaging": {"kind": "ema", "decay": 0.8},
    },
    "reinforcement, bfloat16": {
        "loss": "self_critical",
        "self_critical": TRAINING["self_critical"] | {"max_length": 6},
        "precision": "bfloat16",
        "monitor": "cider",
    },
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_killed_with_every_option(tmp_path, run_killed, options):
    whole = job_of(tmp_path / "whole", "conv_transformer", **options)
    killed = job_of(tmp_path / "killed", "conv_transformer", **options)
    train_system(**whole)
    runs = run_killed(
        killed,
        ("step", 2),
        ("step", 4),  # in the second epoch
        ("epoch", 1),  # validated, not yet recorded
        ("step", 3),
        ("save", 3),
        ("validation", 1),
        ("end", 1),
        NEVER,
    )
    assert [status for status, *_ in runs] == [*[DEAD] * 7, 0]
    assert_the_same(whole, killed)


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


@pytest.mark.parametrize(
    "damage", [lambda whole: whole[:-300], lambda _: b"no state", lambda _: b""]
)
def test_a_damaged_state_is_named(tmp_path, damage):
    model = torch.nn.Linear(2, 2)
    resume = ResumeFile(tmp_path / "resume", "abc")
    resume.save(TrainingState(), {"model": model})
    resume.path.write_bytes(damage(resume.path.read_bytes()))
    with pytest.raises(InputError, match=r"abc\.pt: found a file that .*--config resume=false"):
        resume.load({"model": model})


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


@pytest.mark.parametrize(("save_s", "saved"), [(0.0, [1, 2, 3, 4, 5, 6]), (0.12, [1, 4])])
def test_short_epochs_are_not_all_worth_a_state(tmp_path, monkeypatch, save_s, saved):
    """Epochs of a second: one that takes 0.12 s to write is written every third time."""
    now, epochs = [0.0], []

    def save(_, state, __):
        epochs.append(state.epoch - 1)
        now[0] += save_s

    def close(self, state, *rest):
        now[0] += 1
        return original(self, state, *rest)

    original = loop.Trainer._close_epoch
    monkeypatch.setattr(loop.Trainer, "_close_epoch", close)
    monkeypatch.setattr(ResumeFile, "save", save)
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: now[0]))
    train_system(**job_of(tmp_path, "conv_transformer", epochs=6))
    assert epochs == saved
