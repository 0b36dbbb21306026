"""The lock, the conda environment and the project's own files agree."""

import os
import re
import subprocess
import sys
import tomllib

import pytest
import yaml


def pins(repository) -> dict[str, str]:
    lock = (repository / "requirements.lock").read_text()
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", lock, re.M))


def test_lock_has_one_version_and_a_hash_for_every_package(repository):
    lock = (repository / "requirements.lock").read_text()
    names = re.findall(r"^([A-Za-z0-9_.-]+)==", lock, re.M)
    assert len(names) == len(set(names)) > 50
    blocks = re.split(r"^(?=[A-Za-z0-9_.-]+==)", lock, flags=re.M)[1:]
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in lock


def test_conda_environment_pins_the_locks_versions(repository):
    environment = yaml.safe_load((repository / "envs/captioner.yaml").read_text())
    (by_pip,) = [part["pip"] for part in environment["dependencies"] if isinstance(part, dict)]
    found = dict(entry.split("==") for entry in by_pip)
    locked = pins(repository)
    assert found == {name: locked[name] for name in found}
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[<>=\[]", entry)[0] for entry in project["dependencies"]}
    assert set(found) == wanted


def test_every_rule_names_the_environment(repository):
    for path in sorted((repository / "workflow/rules").glob("*.smk")):
        text = path.read_text()
        rules = re.findall(r"^rule (\w+):", text, re.M)
        assert text.count('"../../envs/captioner.yaml"') == len(rules), path.name
        for rule in rules:
            assert (repository / "workflow/scripts" / f"{rule}.py").is_file()


def test_scripts_are_thin(repository):
    for path in (repository / "workflow/scripts").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 50, path.name


@pytest.mark.parametrize("folder", ["src", "workflow/scripts", "benchmarks"])
def test_modules_stay_readable(repository, folder):
    for path in (repository / folder).rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 350, path


@pytest.mark.parametrize(
    "script",
    ["extract_features", "compute_statistics", "build_vocabulary", "embed_words", "tabulate_clips"],
)
def test_data_stages_do_not_pay_for_torch(repository, script):
    code = f"import sys, runpy; runpy.run_path({f'workflow/scripts/{script}.py'!r}); "
    code += "print(sorted({'torch', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(repository / "src")}
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert found.stdout.strip() == "[]", found.stdout + found.stderr
