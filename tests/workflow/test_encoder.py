"""A pretrained network as a front-end, through the rules: features, training, captions."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from captioner.store.shards import FeatureStore
from tiny import TINY_MODEL, Project, make_project

CHECKPOINT = "my networks/cnn10 (mine).pth"  # the user's own file, in the published form


@pytest.fixture(scope="module")
def heard(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A system that hears through CNN10 and log-mels, trained on a tiny corpus."""
    project = make_project(repository, tmp_path_factory.mktemp("an encoder"))
    path = project.folder / CHECKPOINT
    path.parent.mkdir()
    save = "import sys; from encoder_reference import save_checkpoint; " + (
        "save_checkpoint(sys.argv[1], 'cnn10')"
    )
    environment = {"PYTHONPATH": f"{repository}/src:{repository}/tests/unit", "PATH": ""}
    subprocess.run([sys.executable, "-c", save, str(path)], env=environment, check=True)
    settings = yaml.safe_load((repository / "config/frontends/cnn10.yaml").read_text())
    frontend = project.folder / "my networks/my_cnn10.yaml"
    frontend.write_text(yaml.safe_dump({**settings, "checkpoint": CHECKPOINT}))
    system = {
        "name": "transformer_small",
        "as": "hearing",
        "frontends": ["my networks/my_cnn10.yaml"],
        "model": TINY_MODEL,
        "training": {"epochs": 1, "warmup_epochs": 0},
    }
    project.configure({"corpus": "corpus/tiny.yaml", "systems": [system]})
    project.snakemake("decode")
    return project


def test_embeddings_and_tags_are_stored(heard: Project) -> None:
    [shard] = heard.result("features").glob("*/evaluation/0.parquet")
    store = FeatureStore([shard])
    assert store.n_features == 512 and len(store.tag_names) == 527
    for name in store:
        assert store[name].shape == (store.n_frames(name), 512)
        tags = store.tags(name)
        assert tags is not None and tags.shape == (527,) and 0 < tags.min() <= tags.max() < 1
    assert "Rain" in store.tag_names


def test_the_model_captions_with_its_own_copy_of_the_network(heard: Project) -> None:
    model = heard.result("systems/hearing/seed1/model")
    description = json.loads((model / "model.json").read_text(encoding="utf-8"))
    assert len(list((model / "encoders").glob("*.pth"))) == len(description["frontends"]) == 1
    captions = heard.result("systems/hearing/seed1/captions/beam3/evaluation.csv")
    rows = captions.read_text(encoding="utf-8").splitlines()[1:]
    wavs = [str(heard.folder / "corpus/wavs" / name) for name in ("bell.two.wav", "bell.three.wav")]
    (heard.folder / CHECKPOINT).rename(heard.folder / "gone.pth")
    try:
        command = [sys.executable, "-m", "captioner.cli", "caption", "--model", str(model)]
        options = ["--beam-size", "3", *wavs]
        done = subprocess.run(
            [*command, *options], capture_output=True, text=True, cwd=heard.clone / "src"
        )
    finally:
        (heard.folder / "gone.pth").rename(heard.folder / CHECKPOINT)
    assert done.returncode == 0, done.stderr
    said = dict(line.split("\t") for line in done.stdout.splitlines())
    expected = dict(row.split(",") for row in rows)
    assert {Path(path).name: text for path, text in said.items()} == expected


def test_another_checkpoint_makes_the_features_anew(heard: Project) -> None:
    assert set(heard.would_run("decode")) == set()
    path = heard.folder / CHECKPOINT
    path.touch()
    found = heard.would_run("decode")
    assert {"extract_features", "train_system", "decode_split"} <= set(found)
    assert "tabulate_clips" not in found
    shard = next(heard.result("features").glob("*/development/0.parquet"))
    made = json.loads(pq.ParquetFile(shard).schema_arrow.metadata[b"captioner"])
    assert len(made["weights_md5"]) == 32
