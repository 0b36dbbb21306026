import json
import logging
import os
import signal
import subprocess
import sys

import pytest

from captioner.job import Progress, atomic_path, start_logging, write_json


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    target = tmp_path / "folder" / "out.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert [path.name for path in target.parent.iterdir()] == ["out.txt"]


def test_a_failure_leaves_the_old_file_and_no_temporary_one(tmp_path):
    target = tmp_path / "out.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_replaces_a_folder(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    (target / "stale").touch()
    with atomic_path(target) as temporary:
        temporary.mkdir()
        (temporary / "fresh").touch()
    assert [path.name for path in target.iterdir()] == ["fresh"]
    assert list(tmp_path.iterdir()) == [target]


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"value": float("nan")})
    assert not list(tmp_path.iterdir())
    write_json(tmp_path / "x.json", {"é": 1})
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == {"é": 1}


JOB = """
from captioner.errors import InputError
from captioner.job import start_logging
start_logging({log!r})
raise {error}
"""


@pytest.mark.parametrize(
    ("error", "traceback"), [("InputError('mend it')", False), ("ValueError('mend it')", True)]
)
def test_an_uncaught_error_reaches_log_and_terminal(tmp_path, repository, error, traceback):
    log = tmp_path / "logs" / "job.log"
    done = subprocess.run(
        [sys.executable, "-c", JOB.format(log=str(log), error=error)],
        capture_output=True,
        text=True,
        cwd=repository / "src",
    )
    assert done.returncode == 1
    for text in (log.read_text(), done.stderr):
        assert "mend it" in text
        assert ("Traceback" in text) == traceback


ENDLESS = """
import pathlib, time
from captioner.job import atomic_path, start_logging
start_logging("job.log")
with atomic_path("out.txt") as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_a_job_told_to_end_leaves_nothing_half_written(tmp_path, repository):
    job = subprocess.Popen(
        [sys.executable, "-c", ENDLESS],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repository / "src")},
        stdout=subprocess.PIPE,
    )
    assert job.stdout.readline() == b"writing\n"
    job.terminate()
    assert job.wait(timeout=30) == 128 + signal.SIGTERM
    assert [path.name for path in tmp_path.iterdir()] == ["job.log"]


def test_progress_writes_a_line_a_minute_where_no_terminal_shows_it(caplog):
    seconds = iter([0, 30, 59, 61, 61, 62, 130, 130])
    with (
        caplog.at_level(logging.INFO),
        Progress(10, "Clips", "clip", clock=lambda: next(seconds)) as progress,
    ):
        for _ in range(5):
            progress.advance(loss=1.5)
    lines = [record.message for record in caplog.records]
    assert len(lines) == 3  # after 61 s, after 130 s, at the end
    assert all("Clips" in line and "loss=1.5" in line for line in lines)
    assert "5/10" in lines[-1]


def test_log_is_started_anew(tmp_path):
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, sys.excepthook
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        for text in ("first", "second"):
            start_logging(tmp_path / "job.log")
            logging.getLogger("captioner.test").info(text)
        assert "second" in (tmp_path / "job.log").read_text()
        assert "first" not in (tmp_path / "job.log").read_text()
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        sys.excepthook = hook
        signal.signal(signal.SIGTERM, on_sigterm)
        logging.captureWarnings(False)
