"""A run's own copy of the project."""

import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

from captioner.errors import InputError
from captioner.frozen import POINTER, decided, fingerprint, freeze


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "a checkout"
    for name, text in {
        "src/tool/__init__.py": "",
        "src/tool/work.py": "ANSWER = 1\n",
        "workflow/rules/common.smk": "RULES = 1\n",
        "envs/captioner.yaml": "dependencies: []\n",
        "README.md": "not read by jobs\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize("name", ["src/tool/work.py", "workflow/rules/common.smk"])
def test_the_fingerprint_is_that_of_what_jobs_read(checkout: Path, name: str) -> None:
    before = fingerprint(checkout)
    (checkout / "README.md").write_text("other words\n")
    (checkout / "src/tool/__pycache__").mkdir()
    (checkout / "src/tool/__pycache__/work.pyc").write_bytes(b"compiled")
    assert fingerprint(checkout) == before
    (checkout / name).write_text("ANSWER = 2\n")
    assert fingerprint(checkout) != before


def test_edits_do_not_reach_the_copy(checkout: Path, tmp_path: Path) -> None:
    py_compile.compile(str(checkout / "src/tool/work.py"))
    copy = freeze(checkout, tmp_path / "runs", fingerprint(checkout), {"epochs": 2})
    (checkout / "src/tool/work.py").write_text("ANSWER = 2\n")
    assert decided(copy) == {"epochs": 2}
    assert (tmp_path / "runs" / (tmp_path / "runs" / POINTER).read_text()).resolve() == copy
    assert not (copy / "README.md").exists()
    code = "import tool.work as w; print(w.ANSWER, w.__cached__)"
    environment = {**os.environ, "PYTHONPATH": str(copy / "src")}
    command = [sys.executable, "-v", "-c", code]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    answer, compiled = ran.stdout.split(maxsplit=1)
    assert answer == "1"
    assert f"{compiled.strip()} matches" in ran.stderr  # compiled code of the checkout is used


def test_a_file_may_be_open_in_an_editor(checkout: Path, tmp_path: Path) -> None:
    before = fingerprint(checkout)
    (checkout / "src/tool/.#work.py").symlink_to("somebody@somewhere.1234")  # Emacs's mark
    copy = freeze(checkout, tmp_path / "runs", before, None)
    assert {path.name for path in (copy / "src/tool").iterdir()} == {"__init__.py", "work.py"}


def test_a_later_run_leaves_the_copy_of_an_earlier_one(checkout: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    first = freeze(checkout, runs, fingerprint(checkout), "one")
    assert freeze(checkout, runs, fingerprint(checkout), "one") == first
    other = freeze(checkout, runs, fingerprint(checkout), "two")
    assert (decided(first), decided(other)) == ("one", "two")
    assert (runs / POINTER).read_text() == other.name


def test_an_edit_while_the_graph_is_built_is_refused(checkout: Path, tmp_path: Path) -> None:
    before = fingerprint(checkout)
    (checkout / "src/tool/work.py").write_text("ANSWER = 2\n")
    with pytest.raises(InputError, match="was edited while the graph of jobs was built"):
        freeze(checkout, tmp_path / "runs", before, None)
    assert not (tmp_path / "runs").exists()
