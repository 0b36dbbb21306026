"""Every command's help ends with an example that can be copied, and that the command takes."""

import argparse
import re
import shlex
import tomllib

import pytest

from captioner.cli import COMMANDS, main

NAMES = [command.__name__.split(".")[-1].replace("_", "-") for command in COMMANDS]


def told(capsys, *arguments):
    """Give what a command prints; it ends with exit code 0."""
    with pytest.raises(SystemExit, match=r"^0$"):
        main(arguments)
    return capsys.readouterr().out


@pytest.mark.parametrize(("command", "name"), [*zip(COMMANDS, NAMES, strict=True)], ids=NAMES)
def test_help_has_an_example_that_parses(command, name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    found = re.search(r"^Example: captioner (.+)", told(capsys, name, "--help"), re.M | re.S)
    assert found, f"captioner {name} --help has no example"
    assert all(line.endswith("\\") for line in found[1].strip().splitlines()[:-1])
    words = shlex.split(found[1].replace("\\\n", " "))
    assert words[0] == name
    parser = argparse.ArgumentParser(prog="captioner")
    command.add(parser.add_subparsers())
    parser.parse_args(words)


def test_the_main_help_names_every_command(capsys):
    printed = told(capsys, "--help")
    assert [name for name in NAMES if not re.search(rf"^ +{name}\b", printed, re.M)] == []


def test_the_version_is_the_projects(repository, capsys):
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert told(capsys, "--version") == f"captioner {project['version']}\n"


def test_make_help_names_every_target(repository):
    text = (repository / "Makefile").read_text(encoding="utf-8")
    [phony] = re.findall(r"^\.PHONY: (.+)$", text, re.M)
    assert set(phony.split()) == set(re.findall(r"^([a-z-]+):.*## ", text, re.M))


def test_every_target_of_the_workflow_is_documented(repository):
    """The named targets of the Snakefile, in config/README.md."""
    snakefile = (repository / "Snakefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^rule (\w+):", snakefile, re.M)) - {"all"}
    [line] = re.findall(r".*run a part\?.*", (repository / "config/README.md").read_text("utf-8"))
    assert targets <= set(re.findall(r"\w+", line))
