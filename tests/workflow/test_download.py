"""Downloads by real runs: shared by workflows, interrupted, checked; never twice over the wire."""

import base64
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from captioner.corpus.download.registry import Entry, write_registry
from captioner.corpus.layout import download
from tiny import Project, empty_project

sys.path.append(str(Path(__file__).parents[1] / "faults"))
from faulty_server import Behaviour, serve

PAYLOAD = random.Random(5).randbytes(3_000_000)
MD5 = hashlib.md5(PAYLOAD, usedforsecurity=False).hexdigest()
ARCHIVE = "development audio.7z"
STORED = f"resources/downloads/{MD5}/{ARCHIVE}"
LINK = download(MD5, ARCHIVE)
OTHER_LINK = download(MD5, "evaluation audio_archive.7z")


@pytest.fixture
def server() -> Behaviour:
    return Behaviour(PAYLOAD, chunk_bytes=1 << 15)


@pytest.fixture
def url(server: Behaviour, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve(server) as url:
        yield url


@pytest.fixture
def project(repository: Path, tmp_path: Path, url: str) -> Project:
    project = empty_project(repository, tmp_path)
    name_files(project, url)
    (project.folder / "resources").mkdir()
    return project


def name_files(project: Project, url: str, corpus: str = "remote", **config: object) -> None:
    """Write a config, a corpus and its registry: `url` gives any file the same content."""
    folder = project.folder / "corpus"
    folder.mkdir(exist_ok=True)
    entries = [Entry("development", "audio_archive", ARCHIVE, f"{url}/a.7z", MD5, len(PAYLOAD))]
    for number, (split, kind) in enumerate(
        [("development", "captions"), ("evaluation", "audio_archive"), ("evaluation", "captions")]
    ):
        file = f"{split} {kind}.{'7z' if kind == 'audio_archive' else 'csv'}"
        md5 = MD5 if kind == "audio_archive" else f"{number}" * 32
        entries.append(Entry(split, kind, file, f"{url}/other/{number}", md5, None))
    write_registry(folder / f"{corpus}.tsv", entries)
    settings = {
        "title": "Remote",
        "kind": "clotho",
        "registry": f"{corpus}.tsv",
        "n_captions": 5,
        "shards": {"development": 1, "evaluation": 1},
    }
    (folder / f"{corpus}.yaml").write_text(yaml.safe_dump(settings))
    given = {"corpus": f"corpus/{corpus}.yaml", "systems": ["nearest_clip"]}
    project.configure({**given, **config})


@pytest.fixture
def other(repository: Path, tmp_path: Path, project: Project, url: str) -> Project:
    """A second clone and working folder that shares `resources/`."""
    other = empty_project(repository, tmp_path / "other")
    name_files(other, url, corpus="other_name")
    (other.folder / "resources").symlink_to(project.folder / "resources")
    return other


def start(project: Project, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        project.command(LINK, *arguments),
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_until(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def log_of(project: Project) -> str:
    (path,) = project.folder.glob("results/*/logs/fetch_file/*development*.log")
    return path.read_text()


def assert_there(project: Project) -> None:
    assert (project.folder / LINK).read_bytes() == PAYLOAD
    assert (project.folder / LINK).is_symlink()
    assert (project.folder / STORED).read_bytes() == PAYLOAD
    beside = [path.name for path in (project.folder / STORED).parent.iterdir()]
    assert beside == [ARCHIVE]


def test_two_workflows_at_once(project: Project, other: Project, server: Behaviour) -> None:
    """Both want the file before it is there: one fetches it, the other waits for it."""
    server.delay_s = 0.05  # 3 MB in 5 s at least
    runs = [start(project), start(other)]
    output = [run.communicate(timeout=120)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], output
    assert server.n_bytes_sent == len(PAYLOAD)
    assert_there(project)
    assert_there(other)
    logs = [log_of(project), log_of(other)]
    assert sum("another process is at it; waiting" in log for log in logs) == 1


def test_a_file_that_appears_meanwhile_stays(
    project: Project, other: Project, server: Behaviour
) -> None:
    """One workflow plans to fetch a file, is busy with another one, and comes to find it there."""
    stored = project.folder / STORED
    stored.parent.mkdir(parents=True)
    stored.with_name(ARCHIVE + ".part").write_bytes(PAYLOAD)
    server.delay_s = 1
    busy = start(other, OTHER_LINK, "--prioritize", OTHER_LINK, "--set-threads", "fetch_file=2")
    wait_until(lambda: server.requests)
    project.snakemake(LINK)
    written = stored.stat()
    server.delay_s = 0
    output, _ = busy.communicate(timeout=120)
    assert busy.returncode == 0, output
    now = stored.stat()
    assert (now.st_ino, now.st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert (other.folder / LINK).read_bytes() == PAYLOAD
    assert (other.folder / OTHER_LINK).read_bytes() == PAYLOAD
    assert len(server.requests) == 1


def test_a_killed_run_goes_on_where_it_was(project: Project, server: Behaviour) -> None:
    server.delay_s = 0.05
    run = start(project)
    part = project.folder / f"{STORED}.part"
    wait_until(lambda: part.exists() and part.stat().st_size > 500_000)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    there = part.stat().st_size
    server.delay_s = 0
    project.snakemake("--unlock")
    project.snakemake(LINK)
    assert_there(project)
    assert server.requests[-1] == ("/a.7z", f"bytes={there}-")
    assert server.n_bytes_sent <= len(PAYLOAD) + server.chunk_bytes


def test_what_is_there_is_not_fetched_again(
    project: Project, other: Project, server: Behaviour, url: str
) -> None:
    project.snakemake(LINK)
    assert server.n_bytes_sent == len(PAYLOAD)
    written = (project.folder / STORED).stat()
    # Another corpus, another config.
    name_files(project, url, corpus="renamed")
    assert project.would_run(LINK) == {}
    # Marked incomplete, as after a power cut at the wrong moment.
    incomplete = project.folder / ".snakemake/incomplete"
    incomplete.mkdir(exist_ok=True)
    (incomplete / base64.b64encode(LINK.encode()).decode()).touch()
    assert project.would_run(LINK) == {"fetch_file": 1}
    project.snakemake(LINK)
    # From another checkout.
    other.snakemake(LINK)
    assert "is there already" in log_of(other)
    assert_there(project)
    assert_there(other)
    now = (project.folder / STORED).stat()
    assert (now.st_ino, now.st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert len(server.requests) == 1


def test_a_file_put_there_by_hand_is_checked(project: Project, server: Behaviour) -> None:
    stored = project.folder / STORED
    stored.parent.mkdir(parents=True)
    stored.write_bytes(PAYLOAD[:-1])
    done = project.snakemake(LINK)
    assert f"{ARCHIVE}.corrupt and fetched anew" in done.stdout + done.stderr
    assert stored.with_name(ARCHIVE + ".corrupt").read_bytes() == PAYLOAD[:-1]
    assert (project.folder / LINK).read_bytes() == PAYLOAD
    assert len(server.requests) == 1


def test_offline_lists_all_that_is_missing(project: Project, server: Behaviour, url: str) -> None:
    name_files(project, url, offline=True)
    done = project.snakemake(LINK, check=False)
    shown = done.stdout + done.stderr
    assert done.returncode != 0
    assert "4 files are missing and `offline` is on" in shown
    assert (
        f"url: {url}/a.7z" in shown and f"md5: {MD5}" in shown and f"put it at: {STORED}" in shown
    )
    for number in range(3):
        assert f"url: {url}/other/{number}" in shown
    assert server.requests == []


def test_an_archive_that_is_not_kept(project: Project, server: Behaviour) -> None:
    """The archive itself is the output, which `temp()` removes once it is unpacked."""
    path = project.folder / "corpus/remote.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "remove": ["archives"]}))
    project.snakemake(LINK, "--notemp")
    assert (project.folder / LINK).read_bytes() == PAYLOAD
    assert not (project.folder / LINK).is_symlink()
    assert not (project.folder / STORED).exists()
    assert len(server.requests) == 1
