"""The config: from a fresh clone, and with mistakes in it."""

import subprocess
from copy import deepcopy
from dataclasses import replace

import pytest

from tiny import CONFIG, Project


def dry_run(project: Project, *arguments: str) -> str:
    """Give the output of a dry run of a config as shipped, from the clone."""
    command = [str(project.python), "-m", "snakemake", *arguments]
    options = ["--cores", "8", "--dry-run", "--quiet", "rules"]
    done = subprocess.run([*command, *options], cwd=project.clone, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_full_reproduction_from_a_fresh_clone(project: Project) -> None:
    found = dry_run(project)
    # The eleven files of Clotho v2.1, an encoder's weights and the released baseline's.
    assert "fetch_file                 13" in found
    assert "train_system                2" in found
    assert "import_weights              1" in found


def test_demo_from_a_fresh_clone(project: Project) -> None:
    found = dry_run(project, "--configfile", "config/demo.yaml")
    assert "generate_corpus             1" in found
    assert "train_system                3" in found


def test_every_system_on_clotho(project: Project) -> None:
    """All at once: front-ends, vocabularies and decodings that they name are there."""
    names = sorted(path.stem for path in (project.clone / "config/systems").glob("*.yaml"))
    names.remove("convnext_transformer_multi")  # has a config of its own, and corpora to be placed
    found = dry_run(project, "--config", f"systems={names}")
    made = ("trivial", "members", "weights: ")
    texts = [(project.clone / f"config/systems/{name}.yaml").read_text() for name in names]
    n_trained = sum(not any(f"\n{key}" in text for key in made) for text in texts)
    assert n_trained >= 9
    assert f"train_system {n_trained:16}" in found
    assert "fetch_file                 15" in found  # Clotho, three encoders, the released baseline


@pytest.mark.parametrize("target", ["features", "train", "decode", "evaluate", "report"])
def test_named_targets_exist(project: Project, target: str) -> None:
    assert "total" in dry_run(project, target)


def change(**changes: object) -> dict:
    return {**deepcopy(CONFIG), **changes}


MISTAKES = {
    "typo": (change(sytems=["baseline"]), ["unknown key 'sytems'", "did you mean 'systems'"]),
    "wrong type": (change(seeds="one"), ["seeds", "'one' is not of type 'array'"]),
    "unknown system": (
        change(systems=["baselin"]),
        ["unknown system 'baselin'", "did you mean 'baseline'"],
    ),
    "unknown corpus": (
        change(corpus="clotho-v2.0"),
        ["unknown corpus 'clotho-v2.0'", "known: audiocaps, clotho-v1, clotho-v2, clotho-v2.1"],
    ),
    "absent corpus file": (change(corpus="nowhere.yaml"), ["nowhere.yaml: no such file"]),
    "typo in a system": (
        change(systems=[{"name": "baseline", "training": {"epoch": 3}}]),
        ["training: unknown key 'epoch'", "did you mean 'epochs'"],
    ),
    "typo in a model": (
        change(systems=[{"name": "baseline", "model": {"n_hiden": 8}}]),
        ["system baseline: model: unknown key 'n_hiden'", "did you mean 'n_hidden'"],
    ),
    "wrong type in a system": (
        change(systems=[{"name": "baseline", "training": {"epochs": "ten"}}]),
        ["training.epochs: 'ten' is not of type 'integer'"],
    ),
    "unknown decoding": (
        change(systems=[{"name": "baseline", "decodings": ["beam"]}]),
        ["unknown decoding 'beam'", "beam3"],
    ),
    "system twice": (change(systems=["baseline", "baseline"]), ["stands twice", "`as:`"]),
    "split that the corpus lacks": (
        change(corpus={"name": "corpus/tiny.yaml", "captions": {"development": "one.csv"}}),
        ["unknown split 'evaluation'", "known: development"],
    ),
    "keys of two kinds": (
        change(corpus={"name": "synthetic", "audio": "wavs"}),
        ["audio", "not used together"],
    ),
}


def test_more_gpus_than_there_are(project: Project) -> None:
    """Snakemake itself would give a training fewer, without a word."""
    refused = project.snakemake("train", "--dry-run", "--config", "gpus=4", check=False)
    assert refused.returncode != 0
    assert "--resources gpu=4" in refused.stdout + refused.stderr
    project.snakemake("train", "--dry-run", "--config", "gpus=4", "--resources", "gpu=4")


@pytest.mark.parametrize(("config", "expected"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_named(project: Project, config: dict, expected: list[str]) -> None:
    mistaken = replace(project, configfile="mistaken.yaml")
    mistaken.configure(config)
    one = 'file_name,caption_1\n"rain.heavy.wav",It rains.\n'
    (project.folder / "corpus/one.csv").write_text(one)
    done = mistaken.snakemake("--dry-run", check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    for part in expected:
        assert part in done.stdout + done.stderr
