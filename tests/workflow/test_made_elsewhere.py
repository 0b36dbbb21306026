"""What comes from elsewhere, through the rules: word vectors, and published weights of a system."""

import csv
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tiny import SOUNDS, TINY_MODEL, Project, make_project

gensim = pytest.importorskip("gensim", reason="gensim is not installed (Python 3.14)")

VECTORS = "my vectors/glove (16).txt"
WORD2VEC = {"source": "word2vec", "n_values": TINY_MODEL["n_hidden"], "epochs": 20}
BASELINE = {"name": "baseline", "model": {"n_hidden": 8}}
SAVE = """
import sys, torch
from captioner.models.checkpoint import load_model
content = load_model(sys.argv[1]).model
torch.save(content if "whole" in sys.argv[2] else content.state_dict(), sys.argv[2])
"""


def transformer(name: str, word_embeddings: dict) -> dict:
    training = {"epochs": 2, "warmup_epochs": 0, "weight_decay": 0, "specaugment": None}
    system = {"name": "transformer_small", "as": name, "model": TINY_MODEL, "training": training}
    return {**system, "word_embeddings": word_embeddings}


CONFIG = {
    "corpus": "corpus/tiny.yaml",
    "decodings": {"beam3": {"max_length": 8}},
    "systems": [
        transformer("frozen", {**WORD2VEC, "frozen": True}),
        transformer("tuned", {"source": "file", "path": VECTORS}),
        {**BASELINE, "training": {"epochs": 2, "batch_size": 4}},
    ],
}
PUBLISHED = [
    {**BASELINE, "as": "published", "weights": "theirs.pt"},  # of the registry
    {**BASELINE, "as": "unfit", "weights": "my weights/whole.pt"},  # a path
]
MODELS = [f"results/tiny/systems/{name}/seed1/model" for name in ("frozen", "tuned", "baseline")]
CAPTIONS = "results/tiny/systems/{}/captions/greedy/evaluation.csv"


@pytest.fixture(scope="module")
def trained(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two systems with word vectors, and a baseline whose weights are then published."""
    project = make_project(repository, tmp_path_factory.mktemp("elsewhere"))
    generator = np.random.default_rng(5)
    words = sorted({*" ".join(SOUNDS).split(), "heard", "unheard"} - {"door"})
    lines = [" ".join([w, *map(str, generator.standard_normal(16))]) + "\n" for w in words]
    (project.folder / VECTORS).parent.mkdir()
    (project.folder / VECTORS).write_text("".join(lines), encoding="utf-8")
    project.configure(CONFIG)
    project.snakemake(*MODELS, CAPTIONS.format("baseline/seed1"))
    return project


@pytest.fixture(scope="module")
def published(trained: Project) -> Project:
    """The baseline's weights in the published form, known to the registry by a file: address."""
    folder = trained.folder / "my weights"
    folder.mkdir()
    model = trained.result("systems/baseline/seed1/model")
    for name in ("theirs.pt", "whole.pt"):
        subprocess.run(
            [sys.executable, "-c", SAVE, str(model), str(folder / name)],
            env={"PYTHONPATH": str(trained.clone / "src"), "PATH": ""},
            check=True,
        )
    path = folder / "theirs.pt"
    row = ["theirs", "checkpoint", path.name, path.as_uri()]
    md5, size = hashlib.md5(path.read_bytes()).hexdigest(), path.stat().st_size
    with (trained.clone / "config/systems/weights.tsv").open("a", encoding="utf-8") as registry:
        registry.write("\t".join([*row, md5, str(size)]) + "\n")
    trained.configure({**CONFIG, "systems": CONFIG["systems"] + PUBLISHED})
    trained.snakemake(CAPTIONS.format("published/seed0"))
    return trained


@contextmanager
def changed(path: Path, edit: Callable[[str], str]) -> Iterator[None]:
    """Edit a file, and put it back as it was, its date too."""
    text, dates = path.read_text(encoding="utf-8"), path.stat()
    assert edit(text) != text
    path.write_text(edit(text), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(dates.st_atime_ns, dates.st_mtime_ns))


@contextmanager
def configured(project: Project, *keys: str | int, value: object) -> Iterator[None]:
    """Set one value of the config, and put the config back."""
    before = project.folder / project.configfile
    text, part = before.read_text(encoding="utf-8"), deepcopy(CONFIG)
    config = part
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    project.configure(config)
    try:
        yield
    finally:
        before.write_text(text, encoding="utf-8")


def embeddings(project: Project, system: str) -> tuple[dict, np.ndarray, np.ndarray]:
    """Give index by token, the vectors at the model's scale (0: not known), the trained ones."""
    vectors = load_file(project.result(f"word_embeddings/{system}.safetensors"))
    values, known = vectors["values"].astype(float), vectors["known"]
    scale = np.sqrt((values[known] ** 2).mean() * values.shape[1])
    folder = project.result(f"systems/{system}/seed1/model")
    tokens = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))["tokens"]
    trained = load_file(folder / "weights.safetensors")["embedding.weight"]
    return {token: index for index, token in enumerate(tokens)}, values / scale, trained


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_frozen_word2vec_stays_what_it_was(trained: Project) -> None:
    _, vectors, weights = embeddings(trained, "frozen")
    assert np.abs(vectors).max(axis=1).min() > 0  # development has every word, <sos> and <eos>
    np.testing.assert_allclose(weights, vectors, rtol=1e-5)


def test_vectors_of_a_file_are_tuned(trained: Project) -> None:
    tokens, vectors, weights = embeddings(trained, "tuned")
    known = {token for token, index in tokens.items() if vectors[index].any()}
    assert known == {*" ".join(SOUNDS).split(), "heard"} - {"door"}
    for token in known:
        start, end = vectors[tokens[token]], weights[tokens[token]]
        cosine = start @ end / np.linalg.norm(start) / np.linalg.norm(end)
        assert 0.9 < cosine < 1 - 1e-6, token
    log = trained.result("logs/embed_words/tuned.log").read_text(encoding="utf-8")
    assert f"vectors of 16 values for {len(known)} of the vocabulary's {len(tokens)} tokens" in log


def test_vectors_are_made_anew_when_their_settings_change(trained: Project) -> None:
    assert trained.would_run(*MODELS) == {}
    with configured(trained, "systems", 0, "word_embeddings", "epochs", value=3):
        assert trained.would_run(*MODELS) == {"embed_words": 1, "train_system": 1}
    with configured(trained, "systems", 0, "word_embeddings", "frozen", value=False):
        assert trained.would_run(*MODELS) == {"train_system": 1}


def test_vectors_are_made_anew_when_their_code_or_file_changes(trained: Project) -> None:
    """Each time those of the other source stay."""
    code = trained.clone / "src/captioner/text/word_embeddings/word2vec.py"
    with changed(code, lambda text: text + "\nEDITED = True\n"):
        assert trained.would_run(*MODELS) == {"embed_words": 1, "train_system": 1}
    with changed(trained.folder / VECTORS, lambda text: text + "more" + " 1" * 16 + "\n"):
        assert trained.would_run(*MODELS) == {"embed_words": 1, "train_system": 1}


def test_no_vector_knows_evaluation_captions(trained: Project) -> None:
    captions = trained.folder / "corpus/captions.csv"
    with changed(
        captions,
        lambda text: text.replace("bell.two.wav,evaluation,The", "bell.two.wav,evaluation,Some"),
    ):
        found = trained.would_run("evaluate")
    assert found["tabulate_annotations"] == 1
    assert not {"build_vocabulary", "embed_words", "train_system"} & set(found)


def test_published_weights_say_what_the_model_says(published: Project) -> None:
    said = rows(published.folder / CAPTIONS.format("published/seed0"))
    assert said == rows(published.folder / CAPTIONS.format("baseline/seed1")) and len(said) == 3
    folder = published.result("systems/published/seed0")
    assert {path.name for path in folder.iterdir()} == {"model", "captions"}  # no history
    described = json.loads((folder / "model/model.json").read_text(encoding="utf-8"))
    assert described["weights"] == "theirs.pt" and described["best"] is None
    [stored] = published.folder.glob("results/downloads/*/theirs.pt")
    assert stored.is_symlink()


def test_a_report_needs_no_history_of_published_weights(published: Project) -> None:
    found = published.would_run("report")
    assert found["build_report"] == 1 and found["import_weights"] == 1  # of `unfit`
    assert "train_system" not in found


def test_weights_that_do_not_fit_say_so(published: Project) -> None:
    done = published.snakemake("results/tiny/systems/unfit/seed0/model", check=False)
    assert done.returncode != 0
    assert "whole.pt: found a checkpoint that needs code to be read (captioner." in done.stderr
    assert "Traceback" not in done.stderr
