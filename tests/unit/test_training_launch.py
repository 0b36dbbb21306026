"""Two processes on gloo: the training of one, in shares; deaths, errors and continuation."""

import csv
import logging
import os
import pickle
import signal
import stat
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_corpus import NAMES, make_corpus, make_settings

from captioner.corpus.tables import Annotation, write_annotations
from captioner.errors import InputError
from captioner.training.launch import launch_training
from captioner.training.train import train_system

HERE = Path(__file__).resolve().parent
SPECAUGMENT = {
    "time_stripes": 1,
    "time_width": 0.3,
    "frequency_stripes": 1,
    "frequency_width": 0.3,
}


def job_of(folder, family="conv_transformer", dropout=0.0, validation=True, **training):
    settings = make_settings(family, **{"epochs": 3, "learning_rate": 0.01, **training})
    settings["model"] = settings["model"] | {"dropout": dropout}
    return {"settings": settings, **make_corpus(folder, validation=validation)}


def with_mappings(job):
    """The job as the rule's params have it."""
    validation = job["validation"] and asdict(job["validation"])
    return {**job, "sources": [asdict(each) for each in job["sources"]], "validation": validation}


def launch(n_processes, n_nodes=1, **job):
    launch_training(n_processes=n_processes, n_nodes=n_nodes, **with_mappings(job))


def result(job):
    with job["history"].open(encoding="utf-8", newline="") as file:
        timed = ("seconds", "clips_per_s")
        rows = [{k: v for k, v in row.items() if k not in timed} for row in csv.DictReader(file)]
    return load_file(job["model_folder"] / "weights.safetensors"), rows


CASES = {
    # Batches of 4 and 2 clips, of which some parts are empty, with all that is drawn.
    "clips": (
        "conv_transformer",
        {
            "batching": "clips",
            "captions_per_clip": "all",
            "accumulate": 2,
            "specaugment": SPECAUGMENT,
            "mixup": {"alpha": 0.4},
            "word_dropout": 0.2,
            "label_smoothing": 0.1,
            "optimizer": "adamw",
            "weight_decay": 0.1,
            "averaging": {"kind": "ema", "decay": 0.9},
        },
    ),
    # Batches of 7, 7, ... and 2 pairs; padding in front, and in the loss.
    "pairs": (
        "dcase_baseline",
        {"batch_size": 7, "padding_in_loss": True, "validation_drop_last": True},
    ),
    # One clip a batch: a process of two never has a part.
    "one clip": ("conv_transformer", {"batching": "clips", "batch_size": 1}),
}


@pytest.mark.parametrize(
    "case",
    [
        "clips",
        pytest.param("pairs", marks=pytest.mark.slow),
        pytest.param("one clip", marks=pytest.mark.slow),
    ],
)
def test_two_processes_train_as_one(tmp_path, case, monkeypatch):
    """The same loss curve, to 1e-5 of its values, and the same weights to 1e-4."""
    family, training = CASES[case]
    alone, together = (job_of(tmp_path / name, family, **training) for name in ("1", "2"))
    train_system(**alone)
    (tmp_path / "system").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "system"))
    launch(n_processes=2, **together)
    assert list((tmp_path / "system").iterdir()) == []  # nothing is left there
    (weights, rows), (found, rows_found) = result(alone), result(together)
    assert len(rows) == len(rows_found) == 3
    for row, row_found in zip(rows, rows_found, strict=True):
        for column, value in row.items():
            assert (value == "") == (row_found[column] == "")
            if value:
                assert float(row_found[column]) == pytest.approx(float(value), rel=1e-5), column
    for name, values in weights.items():
        if not name.endswith("key_value.bias"):  # keys' have no gradient but rounding, which Adam
            assert torch.allclose(found[name], values, atol=1e-4), name  # makes as large as others
    assert sorted(path.name for path in together["history"].parent.iterdir()) == [
        "history.csv",
        "model",
    ]


KILL = """
import os
if os.environ.get("RANK") == "1":
    import signal
    from captioner.training import step
    take, calls = step.Stepper.take, []
    def killing(*arguments):
        calls.append(1)
        if len(calls) == {call}:
            os.kill(os.getpid(), signal.SIGKILL)
        return take(*arguments)
    step.Stepper.take = killing
if "RANK" in os.environ:
    from captioner.training import loop
    loop.SAVE_INTERVAL_S = 0.0
"""


@pytest.mark.slow
def test_a_process_that_dies_ends_all_and_the_training_goes_on_exactly(tmp_path, monkeypatch):
    """Killed in the second epoch, dropout on: bit for bit the weights of an uninterrupted run."""
    training = {"batching": "clips", "batch_size": 3, "specaugment": SPECAUGMENT, "dropout": 0.3}
    whole, killed = job_of(tmp_path / "whole", **training), job_of(tmp_path / "killed", **training)
    launch(n_processes=2, **whole)
    (tmp_path / "hook").mkdir()
    hook = tmp_path / "hook" / "sitecustomize.py"
    hook.write_text(KILL.format(call=4))
    monkeypatch.setenv("PYTHONPATH", str(hook.parent))
    with pytest.raises(RuntimeError, match=r"process 1 of the 2 .* died with exit code -9"):
        launch(n_processes=2, **killed)
    assert not killed["model_folder"].exists()
    assert len(list(killed["resume_folder"].glob("*.pt"))) == 1
    hook.write_text("")
    launch(n_processes=2, **killed)
    (weights, rows), (found, rows_found) = result(whole), result(killed)
    assert rows_found == rows and len(rows) == 3
    assert all(torch.equal(found[name], values) for name, values in weights.items())


@pytest.mark.slow
def test_processes_drop_out_differently(tmp_path):
    """One process's dropout is not another's: with all else equal, losses differ from one's."""
    rows = []
    for n in (1, 2):
        job = job_of(tmp_path / str(n), dropout=0.5, epochs=1, batching="clips", batch_size=6)
        launch(n_processes=n, **job)
        rows.append(result(job)[1][0])
    assert float(rows[0]["training_loss"]) == pytest.approx(
        float(rows[1]["training_loss"]), rel=0.2
    )
    assert rows[0]["training_loss"] != rows[1]["training_loss"]


def test_what_the_training_refuses_is_said_as_by_one_process(tmp_path, caplog):
    job = job_of(tmp_path, "dcase_baseline")
    long = [Annotation(NAMES[0], ("rain " * 15,))]
    write_annotations(job["sources"][0].annotations, long)
    with (
        caplog.at_level(logging.INFO),
        pytest.raises(InputError, match="set `n_steps` in `model:`"),
    ):
        launch(n_processes=2, **job)
    assert "Training in 2 processes on 1 machines" in caplog.text
    assert not list(job["resume_folder"].parent.glob(".processes-*"))


@pytest.mark.slow
def test_what_one_process_meets_is_told_with_its_trace(tmp_path, monkeypatch):
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(
        "import os\n"
        'if os.environ.get("RANK") == "1":\n'
        "    from captioner.training import loop\n"
        "    def broken(*_, **__): raise OSError('the disk is gone')\n"
        "    loop.make_batch = broken\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hook"))
    with pytest.raises(RuntimeError, match=r"(?s)process 1 of 2 .*the disk is gone"):
        launch(n_processes=2, **job_of(tmp_path / "corpus"))


SRUN = """#!/bin/sh
# As SLURM would: the command once on each of two nodes, with what follows srun's own options.
echo "$@" > "{seen}"
while [ "$1" != "{python}" ]; do shift; done
"$@" & first=$!
"$@" & second=$!
wait $first && wait $second
"""


@pytest.mark.slow
def test_two_nodes_of_a_slurm_job(tmp_path, monkeypatch):
    """With an `srun` that starts both nodes' part here."""
    srun = tmp_path / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text(SRUN.format(seen=tmp_path / "seen", python=sys.executable))
    srun.chmod(srun.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{srun.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_NTASKS", "1")  # of the step that runs the rule
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("SLURMD_NODENAME", "localhost")
    alone, together = (job_of(tmp_path / name, batching="clips") for name in ("1", "2"))
    train_system(**alone)
    launch(n_processes=1, n_nodes=2, **together)
    losses = [[float(row["training_loss"]) for row in result(job)[1]] for job in (alone, together)]
    assert np.allclose(*losses, rtol=1e-5)
    assert "--nodes 2 --ntasks 2 --ntasks-per-node 1" in (tmp_path / "seen").read_text()


@pytest.mark.slow
def test_told_to_end_no_process_stays(tmp_path):
    job = job_of(tmp_path, epochs=10_000)
    code = (
        "import pickle, sys\n"
        "from captioner.job import exit_on_sigterm\n"
        "from captioner.training.launch import launch_training\n"
        "exit_on_sigterm()\n"
        "launch_training(n_processes=2, **pickle.load(sys.stdin.buffer))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1] / "src")},
    ) as parent:
        pickle.dump(with_mappings(job), parent.stdin)
        parent.stdin.close()
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not list(job["resume_folder"].glob("*.pt")):
            time.sleep(0.1)
        assert len(running(tmp_path)) >= 3  # torchrun and its two
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(60) == 128 + signal.SIGTERM
    assert running(tmp_path) == []
    assert not list(job["resume_folder"].parent.glob(".processes-*"))


def running(folder):
    """Processes whose command names the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if str(folder).encode() in command and b"worker" in command:
            found.append(command)
    return found
