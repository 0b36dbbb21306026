"""`captioner serve` as a process: starts, answers, ends with Ctrl-C and leaves nothing."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from captioner.cli import main
from captioner.serving import server as serving_server
from captioner.serving.server import is_local
from serving import running, save_small_model, sound

END_S = 30  # the cores may be busy with something else


@pytest.fixture(scope="module")
def model(tmp_path_factory, repository):
    return save_small_model(tmp_path_factory.mktemp("serve") / "model", repository)


def ask(port, method, address, content=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=END_S)
    connection.request(method, address, content, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def upload_begun(port, content):
    """Send the first bytes of an upload, and no more; give the connection."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(
        b"POST /caption HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 1000000\r\n\r\n" % port
        + content
    )
    return connection


def files_below(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def wait_for(condition):
    until = time.monotonic() + END_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_it_answers_and_ends(model, tmp_path):
    scratch = tmp_path / "scratch"
    with running(model, scratch) as (process, port):
        assert ask(port, "GET", "/")[0] == 200
        status, answer = ask(port, "POST", "/caption?n_best=2", sound())
        assert (status, len(json.loads(answer)["n_best"])) == (200, 2)
        assert ask(port, "POST", "/caption", b"text")[0] == 415
        assert ask(port, "GET", "/%2e%2e/%2e%2e/etc/passwd")[0] == 404
        assert ask(port, "GET", "/../../etc/passwd")[0] == 404
        assert ask(port, "GET", "/about", Host="evil.example")[0] == 400
        (folder,) = scratch.iterdir()  # the server's own, with nothing in it
        assert list(folder.iterdir()) == []
        slow = upload_begun(port, b"RIFF")
        wait_for(lambda: files_below(folder))
        assert ask(port, "POST", "/caption", sound())[0] == 200  # meanwhile
        slow.close()
        wait_for(lambda: not files_below(folder))  # the client is gone, and what it sent
        slow = upload_begun(port, b"RIFF")
        wait_for(lambda: files_below(folder))
        process.send_signal(signal.SIGINT)
        assert process.wait(END_S) == 130
        assert process.stderr.read() == ""
        assert slow.recv(1000).startswith(b"HTTP/1.1 503 ")  # told, not cut off
        slow.close()
    assert list(scratch.iterdir()) == []


def test_sigterm_during_a_captioning(model, tmp_path):
    scratch = tmp_path / "scratch"
    with running(model, scratch, "--max-seconds", "1200") as (process, port):
        long = sound(1100, 2000, form="FLAC")
        asked = threading.Thread(target=lambda: _ignore(ask, port, "POST", "/caption", long))
        asked.start()
        wait_for(lambda: files_below(scratch))
        process.terminate()
        assert process.wait(END_S) == 128 + signal.SIGTERM
        asked.join()
    assert list(scratch.iterdir()) == []


def _ignore(call, *arguments):
    with suppress(http.client.HTTPException, OSError):  # the server is gone
        call(*arguments)


def test_a_port_in_use(model, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--model", str(model), "--port", port]) == 2
    assert f"--port {port}: found it in use" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.1"])
def test_a_host_that_is_not_here(host, model, capsys):
    assert main(["serve", "--model", str(model), "--host", host, "--port", "0"]) == 2
    assert f"--host {host}" in capsys.readouterr().err


def test_no_model(tmp_path, capsys):
    assert main(["serve", "--model", str(tmp_path), "--port", "0"]) == 2
    assert "is no model" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [["--port", "65536"], ["--port", "-1"], ["--max-mb", "0"], ["--max-seconds", "x"]]
)
def test_bad_options(options, model, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["serve", "--model", str(model), *options])
    assert stop.value.code == 2
    assert options[0] in capsys.readouterr().err


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_without_the_extra(package, model, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["serve", "--model", str(model)]) == 2
    assert ".venv/bin/pip install -e '.[serve]'" in capsys.readouterr().err


def test_the_extra_is_asked_for_by_nothing_else(repository):
    code = "import sys, captioner.cli; print({'starlette', 'uvicorn', 'torch'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


@pytest.mark.parametrize("host, known", [("0.0.0.0", False), ("127.0.0.1", True)])
def test_only_asked_for_is_it_open_to_others(host, known, model, monkeypatch, capsys, caplog):
    apps = []
    monkeypatch.setattr(
        serving_server.Server, "run", lambda self, sockets: apps.append(self.config.app)
    )
    assert main(["serve", "--model", str(model), "--host", host, "--port", "0"]) == 0
    assert ("whoever reaches this machine" in caplog.text) == (not known)
    assert apps[0]._known("192.168.0.7:8000") == (not known)
    assert apps[0]._known("localhost:8000")
    assert not apps[0]._known("evil.example")


@pytest.mark.parametrize(
    "host, local",
    [
        ("127.0.0.1", True),
        ("127.0.1.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.7", False),
        ("box", False),
    ],
)
def test_what_is_local(host, local):
    assert is_local(host) == local


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["serve", "--help"])
    assert stop.value.code == 0
    assert "Example: captioner serve --model" in capsys.readouterr().out
