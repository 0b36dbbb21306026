"""`captioner info`: a model folder, alone and in the workflow's results."""

import json
import shutil

import pytest

from captioner.cli import main
from captioner.corpus.tables import Annotation, write_annotations
from captioner.models.checkpoint import save_model
from captioner.settings import read_yaml
from small_models import FRONTEND, small_model


@pytest.fixture
def folder(tmp_path, repository):
    settings = read_yaml(repository / "config" / "frontends" / f"{FRONTEND}.yaml")
    loaded = small_model("conv_transformer", settings["n_mels"], settings)
    description = loaded.description | {
        "title": "A small system",
        "system": "small",
        "trained_on": [
            {"corpus": "ours", "split": "development", "weight": 2, "n_clips": 3, "n_leaks": 1}
        ],
        "seed": 4,
        "best": {"epoch": 7, "validation_loss": 1.25},
    }
    folder = tmp_path / "results" / "ours" / "systems" / "small" / "seed4" / "model"
    save_model(folder, loaded.model, loaded.vocabulary, description)
    licences = ["CC-BY 4.0", "CC0", "CC-BY 4.0", ""]
    table = tmp_path / "results" / "ours" / "annotations" / "development.parquet"
    table.parent.mkdir()
    write_annotations(
        table,
        [Annotation(f"{n}.wav", ("rain",), licence=text) for n, text in enumerate(licences)],
    )
    scores = folder.parent / "scores" / "beam3" / "evaluation.json"
    scores.parent.mkdir(parents=True)
    scores.write_text('{"metrics": {"spider": 0.25}, "n_clips": 3}')
    return folder


def test_in_the_results(folder, capsys):
    assert main(["info", str(folder)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    shown = " | ".join(" ".join(line) for line in lines)
    for told in (
        "title A small system",
        "family conv_transformer",
        "sample rate 44100",
        "trained on ours, development: 3 clips, weight 2 (1 that leak",
        "licence CC-BY 4.0: 2 clips | licence CC0: 1 clips | licence not stated: 1 clips",
        "seed 4",
        "best epoch 7 (validation loss 1.25)",
        "scores beam3 on evaluation: spider 0.25",
        "weights.safetensors",
    ):
        assert told in shown


def change(folder, **changes):
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_it_started_from_is_told_too(folder, tmp_path, capsys):
    """The systems before it, as long as they stand there, and what others trained."""
    before = shutil.copytree(folder.parents[1], folder.parents[2] / "wide") / "seed4" / "model"
    wide = [{"corpus": "wavcaps", "split": "development", "n_clips": 400_000}]
    change(before, trained_on=wide, settings={"pretrained": {"encoder": "/a/Cnn10.pth"}})
    words = {"source": "bert", "path": "bert-base", "frozen": True}
    change(folder, settings={"start": "wide", "word_embeddings": words})

    def told(model):
        assert main(["info", str(model)]) == 0
        lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
        first = lines.index("started from word embeddings bert, bert-base")
        return lines[first : lines.index("seed 4")]

    assert told(folder) == [
        "started from word embeddings bert, bert-base",
        "trained on not known here",
        "started from the system wide",
        "trained on wavcaps, development: 400,000 clips",
        "licences not known here: the corpus is not beside the model",
        "started from encoder Cnn10.pth",
        "trained on not known here",
    ]
    assert told(shutil.copytree(folder, tmp_path / "copy"))[2:] == [
        "started from the system wide",
        "trained on not known here",
    ]


def test_json_of_a_folder_elsewhere(folder, tmp_path, capsys):
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert main(["info", "--json", str(copy)]) == 0
    about = json.loads(capsys.readouterr().out)
    model = small_model("conv_transformer", 64).model
    assert about["parameters"] == about["parameters_with_encoders"] == model.n_parameters()
    assert about["trained_on"][0]["licences"] is None
    assert about["scores"] == {}
    assert about["files"] == {path.name: path.stat().st_size for path in copy.iterdir()}


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"family": 3}'])
def test_what_is_no_model(content, tmp_path, capsys):
    if content is not None:
        (tmp_path / "model.json").write_text(content)
    assert main(["info", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err
