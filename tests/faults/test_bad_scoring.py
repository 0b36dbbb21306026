"""Scoring that is stopped from outside: no Java process and no temporary file stays."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from captioner.errors import InputError
from captioner.evaluation.java import fetch_spice_jars

SCORING = """
import sys
from captioner.evaluation.score import score_captions
from captioner.job import exit_on_sigterm
exit_on_sigterm()
captions = {f"{n}.wav": f"a dog barks {n} times while the rain falls" for n in range(3000)}
references = {name: [text] for name, text in captions.items()}
score_captions(captions, references, java_folder=sys.argv[1], threads=1)
"""


@pytest.fixture
def scoring(repository, tmp_path):
    """A scoring job in which SPICE parses."""
    folder = repository / "resources" / "java"
    try:
        fetch_spice_jars(folder, offline=True)
    except InputError as error:
        pytest.skip(f"SPICE's jars are not there: {error}")
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(repository / "src")}
    job = subprocess.Popen([sys.executable, "-c", SCORING, str(folder)], env=environment)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and job.poll() is None:
        java = psutil.Process(job.pid).children(recursive=True)
        if any("spice.js" in part for child in java for part in command_line(child)):
            break
        time.sleep(0.1)
    yield job, java
    for process in [job, *java]:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    job.wait()


def command_line(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_job_told_to_end_takes_its_tools_along(scoring, tmp_path):
    job, java = scoring
    assert java
    job.send_signal(signal.SIGTERM)
    assert job.wait(60) == 128 + signal.SIGTERM
    _, alive = psutil.wait_procs(java, timeout=10)
    assert alive == []
    assert list(tmp_path.glob("captioner-scores-*")) == []


@pytest.mark.slow
def test_the_tools_of_a_killed_job_end_by_themselves(scoring):
    """Nothing can be done at SIGKILL: they find nobody at the other end, after a batch."""
    job, java = scoring
    job.kill()
    job.wait()
    _, alive = psutil.wait_procs(java, timeout=300)
    assert alive == []
