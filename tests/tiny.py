"""A clone of the project, with a space in its path, and a tiny folder corpus to run it on."""

import csv
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

SAMPLE_RATE_HZ = 16000  # resampled by the front-ends
CLIPS = {  # odd names on purpose; two differ only after the first dot
    "development": ["rain.heavy.wav", "rain.light.wav", "bell (1) [far].wav", 'a "howl".wav'],
    "validation": ["été, forêt.wav", "door 1.2.3.wav"],
    "evaluation": ["bell.two.wav", "bell.three.wav"],
    "test": ["unseen & unheard.wav"],
}
SOUNDS = ["rain", "a bell", "wind", "a door"]
TINY_MODEL = {
    "n_channels": [4],
    "n_hidden": 16,
    "n_heads": 2,
    "n_encoder_layers": 1,
    "n_decoder_layers": 1,
    "n_feedforward": 16,
    "dropout": 0.1,
}
CONFIG = {
    "corpus": "corpus/tiny.yaml",
    "systems": [
        {
            "name": "baseline",
            "model": {"n_hidden": 8},
            "training": {"epochs": 2, "batch_size": 4},
        },
        {
            "name": "transformer_small",
            "as": "tiny_transformer",
            "model": TINY_MODEL,
            "training": {"epochs": 2, "warmup_epochs": 0},
        },
        "nearest_clip",
    ],
}


@dataclass
class Project:
    """A clone and a working folder beside it."""

    clone: Path
    folder: Path
    python: Path
    configfile: str = "config.yaml"

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run Snakemake as a user would, in the working folder."""
        done = subprocess.run(
            self.command(*arguments), cwd=self.folder, capture_output=True, text=True, timeout=900
        )
        if check and done.returncode:
            pytest.fail(f"snakemake {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}")
        return done

    def command(self, *arguments: str) -> list[str]:
        """Give the command line of a Snakemake run with this project's config."""
        start = [str(self.python), "-m", "snakemake", "--snakefile", str(self.clone / "Snakefile")]
        return [*start, *arguments, "--cores", "2", "--configfile", self.configfile]

    def would_run(self, *arguments: str) -> dict[str, int]:
        """Give rule -> number of jobs of a dry run; target rules do not count."""
        done = self.snakemake(*arguments, "--dry-run", "--quiet", "rules")
        table = re.search(r"^job +count\n[- ]+\n(.*?)^total", done.stdout, re.M | re.S)
        if table is None:
            assert "Nothing to be done" in done.stdout, done.stdout
            return {}
        jobs = dict(row.split() for row in table[1].splitlines())
        return {rule: int(n) for rule, n in jobs.items() if rule != "all"}

    def configure(self, config: dict) -> None:
        """Write the config."""
        (self.folder / self.configfile).write_text(yaml.safe_dump(config), encoding="utf-8")

    def result(self, path: str) -> Path:
        """Give the path of a result of the corpus."""
        return self.folder / "results/tiny" / path


@contextmanager
def changed_config(
    config: dict, project: Project, *keys: str | int, value: object
) -> Iterator[None]:
    """Set one value of the project's config, and put the config back."""
    changed = deepcopy(config)
    part = changed
    for key in keys[:-1]:
        part = part.setdefault(key, {}) if isinstance(part, dict) else part[key]
    part[keys[-1]] = value
    project.configure(changed)
    try:
        yield
    finally:
        project.configure(config)


def clone_project(repository: Path, target: Path) -> None:
    """Copy what git tracks, or would track."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=repository, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0"):
        if name and (repository / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(repository / name, target / name)


def write_corpus(folder: Path) -> None:
    """Write a tiny corpus of the kind `folder`: wavs, one CSV with a column `split`, its YAML."""
    generator = np.random.default_rng(1)
    (folder / "wavs").mkdir(parents=True)
    rows = []
    for split, names in CLIPS.items():
        for number, name in enumerate(names):
            n_samples = int(SAMPLE_RATE_HZ * (1 + 0.25 * number))
            noise = 0.1 * generator.standard_normal(n_samples)
            soundfile.write(folder / "wavs" / name, noise, SAMPLE_RATE_HZ, subtype="PCM_16")
            sound = SOUNDS[number]
            captions = [f"The sound of {sound} is heard nearby.", f"{sound} can be heard outside"]
            rows.append([name, split, *(captions if split != "test" else ["", ""])])
    with (folder / "captions.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["file_name", "split", "caption_1", "caption_2"], *rows])
    settings = {"title": "Tiny", "kind": "folder", "audio": "wavs", "captions": "captions.csv"}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def empty_project(repository: Path, base: Path) -> Project:
    """Clone the project below `base`, and give it an interpreter whose path has a space."""
    project = Project(base / "a clone", base / "the work", base / "an environment/bin/python")
    clone_project(repository, project.clone)
    project.folder.mkdir()
    project.python.parent.mkdir(parents=True)
    project.python.symlink_to(sys.executable)
    for name in ("pyvenv.cfg", "lib"):
        (project.python.parents[1] / name).symlink_to(Path(sys.prefix) / name)
    return project


def make_project(repository: Path, base: Path) -> Project:
    """Clone the project below `base` and give it a config and a corpus; nothing has run."""
    project = empty_project(repository, base)
    write_corpus(project.folder / "corpus")
    project.configure(CONFIG)
    java = repository / "resources/java"
    if java.is_dir():  # 387 MB that need not be fetched again
        (project.folder / "resources").mkdir()
        (project.folder / "resources/java").symlink_to(java)
    return project
