"""Real recordings and their official captions, learned by heart: the whole chain works on sound."""

import csv
import json
from pathlib import Path

import pytest
import yaml

from captioner.text.normalisation import tokenize
from tiny import Project, empty_project

SYSTEMS = ("transformer_small", "crnn_attention")
DECODING = "beam3"
WITHOUT_REGULARISATION = {
    "epochs": 300,
    "patience": 300,
    "label_smoothing": 0,
    "specaugment": None,
    "captions_per_clip": 1,
}


@pytest.fixture(scope="module")
def memorised(
    repository: Path, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """A run that is trained and scored on the same seven clips of Clotho."""
    project = empty_project(repository, tmp_path_factory.mktemp("real clips"))
    folder = project.folder / "corpus"
    folder.mkdir()
    clips = shared_data / "clips"
    names = {path.name for path in clips.glob("*.wav")}
    assert len(names) == 7
    with (shared_data / "clotho_captions_evaluation.csv").open(encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    with (folder / "captions.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *(row for row in rows if row[0] in names)])
    settings = {
        "title": "Seven clips of Clotho, learned by heart",
        "kind": "folder",
        "audio": dict.fromkeys(["development", "evaluation"], str(clips)),
        "captions": dict.fromkeys(["development", "evaluation"], "captions.csv"),
    }
    (folder / "seven.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    systems = [
        {
            "name": name,
            "decodings": [DECODING],
            "model": {"dropout": 0},
            "training": WITHOUT_REGULARISATION,
        }
        for name in SYSTEMS
    ]
    project.configure({"corpus": "corpus/seven.yaml", "systems": systems})
    java = repository / "resources/java"
    if java.is_dir():
        (project.folder / "resources").mkdir()
        (project.folder / "resources/java").symlink_to(java)
    project.snakemake("train")
    project.snakemake("report")
    return project


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_seven_clips_are_learned_by_heart(memorised: Project, system: str) -> None:
    """Six of seven word for word; CIDEr above 2.5, where the clips' first captions score 3.17."""
    folder = memorised.folder / f"results/seven/systems/{system}/seed1"
    with (folder / f"captions/{DECODING}/evaluation.csv").open(encoding="utf-8") as file:
        predicted = {row["file_name"]: row["caption_predicted"] for row in csv.DictReader(file)}
    with (memorised.folder / "corpus/captions.csv").open(encoding="utf-8") as file:
        published = {row.pop("file_name"): list(row.values()) for row in csv.DictReader(file)}
    assert predicted.keys() == published.keys()
    exact = [
        name
        for name, caption in predicted.items()
        if caption.split() in [tokenize(text, "task") for text in published[name]]
    ]
    assert len(exact) >= 6, predicted
    scores = json.loads((folder / f"scores/{DECODING}/evaluation.json").read_text("utf-8"))
    assert scores["metrics"]["cider"] > 2.5
