"""Every command and every Python line of docs/captions.md runs."""

import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from captioner.cli import main
from captioner.models.checkpoint import save_model
from captioner.settings import read_yaml
from small_models import FRONTEND, small_model


@pytest.fixture
def place(tmp_path, repository, monkeypatch):
    """A folder with the model and the sounds that the page names."""
    settings = read_yaml(repository / "config" / "frontends" / f"{FRONTEND}.yaml")
    loaded = small_model("conv_transformer", settings["n_mels"], settings)
    save_model(tmp_path / "model", loaded.model, loaded.vocabulary, loaded.description)
    (tmp_path / "recordings").mkdir()
    for name in ("rain.wav", "dog.flac", "walk.mp3", "recordings/a.ogg"):
        soundfile.write(tmp_path / name, np.linspace(-0.1, 0.1, 8000), 8000)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands(place, repository, capsys, monkeypatch):
    page = (repository / "docs" / "captions.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    (.*captioner .*)$", page, re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        listed, _, ours = command.rpartition("| ")
        if listed:
            names = subprocess.run(listed, shell=True, stdout=subprocess.PIPE, check=True).stdout
            (place / "names").write_bytes(names)
            monkeypatch.setattr("sys.stdin", (place / "names").open(encoding="utf-8"))
        assert main(shlex.split(ours)[1:]) == 0, capsys.readouterr().err
    assert "recordings/a.ogg" in (place / "captions.csv").read_text(encoding="utf-8")
    assert (place / "walk.vtt").read_text(encoding="utf-8").startswith("WEBVTT\n")


def test_python(place, repository):
    page = (repository / "docs" / "captions.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=place
    )
    assert [line.split()[0] for line in ran.stdout.splitlines()] == ["rain.wav", "dog.flac", "0.0"]
