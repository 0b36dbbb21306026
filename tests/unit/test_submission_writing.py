"""Metadata, drafts and packages from small runs that stand as their files on disk."""

import json
import os
import subprocess
import sys
import zipfile
from copy import deepcopy

import pytest
import yaml
from encoder_reference import save_checkpoint

from captioner.corpus.tables import Annotation, Clip, write_annotations, write_clips
from captioner.decoding.captions import write_table
from captioner.errors import InputError
from captioner.models.parameters import total_parameters
from captioner.submission.check import Known, check_package
from captioner.submission.writing import build_metadata, to_yaml, write_package, write_system
from good_package import PDF

METRICS = {"bleu_1": 0.57894, "bleu_2": 0.38, "bleu_3": 0.25, "bleu_4": 0.16, "rouge_l": 0.38,
           "meteor": 0.18, "cider": 0.46, "spice": 0.13, "spider": 0.295}  # fmt: skip
SCORES = {"metrics": METRICS, "n_clips": 1045, "intervals": {"spider": [0.28, 0.31]}}
TRAINING = {
    "optimizer": "adamw",
    "learning_rate": 5e-4,
    "gradient_clip_norm": 1.0,
    "label_smoothing": 0.2,
    "specaugment": {"time_stripes": 2},
    "mixup": {"alpha": 0.4},
    "loss": "cross_entropy",
    "monitor": "cider",
    "batch_size": 512,
    "epochs": 400,
}
DEVELOPMENT = {"corpus": "clotho-v2.1", "split": "development", "n_clips": 3839, "n_leaks": 0}
LOGMEL = {"kind": "logmel", "sample_rate_hz": 44100}
CNN10 = {"kind": "cnn10", "sample_rate_hz": 32000, "checkpoint": "Cnn10_mAP=0.380.pth"}
MODEL = {
    "family": "embedding_transformer",
    "frontends": {"cnn10": CNN10},
    "settings": {"training": TRAINING, "pretrained": {}, "word_embeddings": None},
    "trained_on": [DEVELOPMENT],
    "best": {"epoch": 300, "validation_loss": 2.5},
    "n_parameters": 1000,
}
AUTHOR = {
    "lastname": "Drossos",
    "firstname": "Konstantinos",
    "email": "someone@example.org",
    "corresponding": True,
    "affiliation": {
        "abbreviation": "TAU",
        "institute": "Tampere University",
        "department": None,
        "location": "Tampere, Finland",
    },
}
HISTORY = "epoch,training_loss,validation_loss,learning_rate,seconds\n1,5,4,.1,1\n2,4,3,.1,1\n"


class Run:
    """Model folders on disk, and what is sent of them."""

    def __init__(self, folder, checkpoint):
        self.folder, self.checkpoint = folder, checkpoint
        self.trainings = []

    def model(self, name="model", *, captions=True, published=None, **changes):
        folder = self.folder / name
        (folder / "encoders").mkdir(parents=True)
        model = {**deepcopy(MODEL), **changes}
        (folder / "model.json").write_text(json.dumps(model))
        for frontend, settings in model["frontends"].items():
            if "checkpoint" in settings:
                os.link(self.checkpoint, folder / "encoders" / f"{frontend}.pth")
        history = self.folder / f"{name}.csv"
        history.write_text(HISTORY)
        self.trainings.append(
            {"title": name, "model": str(folder), "published": published, "captions": captions,
             "history": None if published or not model["trained_on"] else str(history)}
        )  # fmt: skip
        return folder

    def content(self, **changes):
        return {
            "author": "drossos", "institute": "tau", "index": 1, "name": "A: system",
            "abbreviation": "A", "authors": [AUTHOR], "source_code": None, "description": {},
            "declared": [], "ensemble": False, "decoding": {"beam_size": 3},
            "corpus": {"name": "clotho-v2.1", "title": "Clotho v2.1"},
            "trainings": self.trainings, "external": [], **changes,
        }  # fmt: skip

    def metadata(self, scores=SCORES, **changes):
        return build_metadata(self.content(**changes), scores)

    def description(self, **changes):
        return self.metadata(**changes)["system"]["description"]

    def write(self, clips=("a.wav", "b.wav"), scores=SCORES, report="own.pdf", **changes):
        """Write a package as the rules do; give its path."""
        if report == "own.pdf":  # a draft takes a second
            report = self.folder / report
            report.write_bytes(PDF)
        stem = "drossos_tau_task6_submission_1_"
        kinds = {"output": "csv", "metadata": "yaml", "report": "pdf"}
        files = {kind: self.folder / f"{stem}{kind}.{end}" for kind, end in kinds.items()}
        write_table(files["output"], dict.fromkeys(clips, "a dog barks"))
        write_clips(self.folder / "test.parquet", [clip("a.wav"), clip("b.wav")])
        given = {}
        if scores is not None:
            given = {1: self.folder / "scores.json"}
            given[1].write_text(json.dumps(scores))
        paths = files["metadata"], files["report"]
        write_system(self.content(**changes), given.get(1), report, *paths)
        package = self.folder / "package.zip"
        write_package(
            {path.name: path for path in files.values()},
            package,
            self.folder / "test.parquet",
            given,
            {1: [training["model"] for training in self.trainings]},
            "clotho-v2.1",
        )
        return package


def clip(name):
    return Clip(name, name, 1, 1.0, 44100, 1)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "Cnn10.pth"
    save_checkpoint(path, "cnn10")
    return path


@pytest.fixture
def run(tmp_path, checkpoint):
    return Run(tmp_path, checkpoint)


def codes(package, **known):
    findings = check_package(package, Known(**known))
    return {finding.code for finding in findings.found}


def test_a_package_of_one_system(run):
    run.model()
    package = run.write(report=None)
    assert codes(package, clips=["a.wav", "b.wav"]) == {"draft"}
    with zipfile.ZipFile(package) as archive:
        names = archive.namelist()
        metadata = yaml.safe_load(archive.read(names[0]))
    assert [name.rpartition("_")[2] for name in names] == [
        "metadata.yaml",
        "output.csv",
        "report.pdf",
    ]
    assert metadata["submission"]["label"] == "drossos_tau_task6_1"
    assert metadata["submission"]["name"] == "A: system"
    assert metadata["system"]["description"] == {
        "input_sampling_rate": "32kHz",
        "acoustic_features": "CNN10 embeddings (AudioSet)",
        "word_embeddings": "learned",
        "data_augmentation": "SpecAugment, mixup",
        "machine_learning_method": "encoder-decoder",
        "learning_scheme": "supervised",
        "ensemble": False,
        "audio_modelling": "CNN10 (AudioSet)",
        "word_modelling": "transformer",
        "loss_function": "crossentropy (label smoothing 0.2)",
        "optimizer": "adamw",
        "leasrning_rate": 5e-4,
        "gradient_clipping": 1.0,
        "gradient_norm": "2",
        "metric_monitored": "validation_cider",
    }
    [audioset] = metadata["system"]["external_datasets"]
    assert audioset["name"] == "AudioSet" and audioset["used_for"] == "audio_modelling"
    results = metadata["results"]["development_evaluation"]
    assert results["bleu1"] == 0.5789 and results["spider"] == 0.295 and len(results) == 9


def test_null_is_written_as_the_page_asks():
    text = to_yaml({"a": None, "b": "null", "c": [{"d": None}], "e": "x: null"})
    assert text.splitlines()[1:] == [
        "a: !!null",
        "b: 'null'",
        "c:",
        "- d: !!null",
        "e: 'x: null'",
    ]
    assert yaml.safe_load(text) == {"a": None, "b": "null", "c": [{"d": None}], "e": "x: null"}


def test_parameters_are_those_of_the_papers(run):
    """CNN10 has 5,219,279 (Kong et al. 2020), without the transform to log-mels."""
    first = run.model("first")
    second = run.model("second", n_parameters=500)
    assert total_parameters([first]) == 1000 + 5_219_279
    assert total_parameters([first, second]) == 1500 + 5_219_279  # heard through once
    assert total_parameters([run.model("third", frontends={"logmel": LOGMEL})]) == 1000
    (first / "encoders/cnn10.pth").unlink()
    with pytest.raises(InputError, match="expected the checkpoint Cnn10"):
        total_parameters([first])


def test_a_final_system(run):
    seen = [DEVELOPMENT, {**DEVELOPMENT, "split": "evaluation"}]
    run.model(trained_on=seen, best={"epoch": 2})
    assert run.description()["metric_monitored"] is None  # no validation split was left
    metadata = run.metadata(scores=None)
    assert set(metadata["results"]["development_evaluation"].values()) == {None}
    assert codes(run.write(scores=None, report=None)) == {"draft", "result-missing"}
    with pytest.raises(InputError, match="was trained on development-testing"):
        run.write()


def test_published_weights(run):
    released = {**TRAINING, "optimizer": "adam", "monitor": "loss"}
    run.model(
        family="dcase_baseline", trained_on=[], best=None, frontends={"released": LOGMEL},
        settings={"weights": "published.pt"}, published=released,
    )  # fmt: skip
    described = run.description()
    assert described["optimizer"] == "adam" and described["metric_monitored"] == "validation_loss"
    assert described["word_embeddings"] == "one-hot" and described["audio_modelling"] == "rnn"
    assert run.metadata()["system"]["external_datasets"] is None
    assert codes(run.write(report=None)) == {"draft"}
    run.trainings[0]["published"] = None  # nothing is told of how they were made
    assert run.description()["optimizer"] is None
    assert codes(run.write()) == set()


def test_an_ensemble(run):
    run.model("one")
    slower = {**TRAINING, "learning_rate": 1e-4, "mixup": None}
    logmel = {"logmel": LOGMEL}
    run.model("two", family="crnn_attention", frontends=logmel, settings={"training": slower})
    described = run.description(ensemble=True)
    assert described["ensemble"] is True
    assert described["input_sampling_rate"] == "32kHz, 44.1kHz"
    assert described["audio_modelling"] == "CNN10 (AudioSet), cnn, rnn"
    assert described["leasrning_rate"] == [5e-4, 1e-4]
    assert described["gradient_clipping"] == 1.0
    assert run.metadata()["system"]["complexity"]["total_parameters"] == 2000 + 5_219_279
    assert codes(run.write(ensemble=True)) == set()


def test_a_reinforced_system(run):
    reward = {"cider": 1, "bleu_4": 0}
    training = {**TRAINING, "loss": "self_critical", "self_critical": {"reward": reward}}
    run.model("second", settings={"training": {**training, "learning_rate": 1e-5}})
    run.model("first", captions=False, n_parameters=7)
    described = run.description()
    assert described["learning_scheme"] == "supervised, reinforcement"
    assert described["loss_function"] == (
        "crossentropy (label smoothing 0.2), self-critical (cider)"
    )
    assert described["leasrning_rate"] == 1e-5
    assert run.metadata()["system"]["complexity"]["total_parameters"] == 1000 + 5_219_279


@pytest.mark.parametrize(
    ("words", "told", "declared"),
    [
        ({"source": "word2vec"}, "learned (Word2Vec)", []),
        ({"source": "bert", "path": "some/bert", "frozen": True}, "BERT, frozen", ["bert"]),
        ({"source": "file", "path": "glove.txt"}, "glove.txt", ["glove.txt"]),
    ],
)
def test_word_embeddings(run, words, told, declared):
    settings = {"training": TRAINING, "word_embeddings": words}
    run.model(frontends={"logmel": LOGMEL}, settings=settings)
    metadata = run.metadata()
    assert metadata["system"]["description"]["word_embeddings"] == told
    datasets = metadata["system"]["external_datasets"] or []
    assert [item["name"].split()[-1] for item in datasets] == declared
    assert codes(run.write()) == set()


def external(folder):
    """Three clips of another corpus: one leaks, one has two captions."""
    write_clips(folder / "clips.parquet", [clip(name) for name in ("a", "b", "c")])
    rows = [Annotation("a", ("x",)), Annotation("b", ("x", "y")), Annotation("c", ("x",))]
    write_annotations(folder / "text.parquet", rows)
    (folder / "leaks.json").write_text('{"n_clips": 3, "excluded": {"c": "is held out"}}')
    return {
        "corpus": "macs",
        "title": "MACS",
        "clips": str(folder / "clips.parquet"),
        "annotations": str(folder / "text.parquet"),
        "leaks": str(folder / "leaks.json"),
    }


def test_other_corpora_are_declared_and_counted(run, tmp_path):
    macs = {"corpus": "macs", "split": "development", "n_clips": 2, "n_leaks": 1}
    run.model(trained_on=[DEVELOPMENT, macs])
    parts = [external(tmp_path)]
    metadata = run.metadata(external=parts)
    own, audioset = metadata["system"]["external_datasets"]
    assert own == {
        "name": "MACS",
        "url": "https://doi.org/10.5281/zenodo.5114771",
        "has_audio": True,
        "has_images": False,
        "has_video": False,
        "has_captions": True,
        "nb_captions_per_audio": 1.5,
        "total_audio_length": 3,
        "used_for": "audio_and_word_modelling",
    }
    assert audioset["name"] == "AudioSet"
    assert "macs" in metadata["system"]["description"]["clotho_metadata"]
    assert codes(run.write(external=parts)) == set()
    with pytest.raises(InputError, match="the system was trained on macs"):
        run.write()


def test_a_corpus_whose_title_does_not_tell_its_name(run, tmp_path):
    mine = {"corpus": "lab7", "split": "development", "n_clips": 2, "n_leaks": 1}
    run.model(trained_on=[DEVELOPMENT, mine], frontends={"logmel": LOGMEL})
    parts = [{**external(tmp_path), "corpus": "lab7", "title": "Our sounds"}]
    declared = [{"name": "Our sounds", "url": "https://example.org"}]
    [entry] = run.metadata(external=parts, declared=declared)["system"]["external_datasets"]
    assert entry["name"] == "Our sounds (lab7)" and entry["url"] == "https://example.org"
    assert entry["total_audio_length"] == 3
    assert codes(run.write(external=parts, declared=declared)) == set()


def test_what_the_config_declares(run):
    run.model()
    declared = [{"name": "audioset", "total_audio_length": 5}, {"name": "Mine", "has_audio": True}]
    first, second = run.metadata(declared=declared)["system"]["external_datasets"]
    assert first["name"] == "AudioSet" and first["total_audio_length"] == 5 and first["has_video"]
    assert second["name"] == "Mine" and second["url"] is None
    described = run.description(description={"optimizer": "my own", "clotho_metadata": "keywords"})
    assert described["optimizer"] == "my own" and described["clotho_metadata"] == "keywords"


def test_the_teams_own_report(run, tmp_path):
    run.model()
    (tmp_path / "mine.pdf").write_bytes(PDF)
    assert codes(run.write(report=tmp_path / "mine.pdf")) == set()
    (tmp_path / "mine.pdf").write_bytes(b"a text")
    with pytest.raises(InputError, match=r"mine\.pdf is no PDF"):
        run.write(report=tmp_path / "mine.pdf")


def test_a_package_with_errors_does_not_appear(run, tmp_path):
    run.model()
    with pytest.raises(InputError, match=r"is not written:\nErrors:\n.*no caption for 1 of 2"):
        run.write(clips=["a.wav"])
    assert not (tmp_path / "package.zip").exists()


def test_empty_captions_are_warnings(run, caplog):
    run.model()
    original = run.write()
    assert original.exists()
    output = run.folder / "drossos_tau_task6_submission_1_output.csv"
    write_table(output, {"a.wav": "", "b.wav": "rain"})
    files = {path.name: path for path in run.folder.glob("drossos_*")}
    write_package(files, original, run.folder / "test.parquet", {}, {}, "clotho-v2.1")
    assert "no caption of 'a.wav'" in caplog.text


def test_the_same_run_gives_the_same_bytes(run, tmp_path):
    """In other processes too, whose hashes differ."""
    run.model("one", frontends={"logmel": LOGMEL})  # no encoder: torch is not imported
    run.model("two", frontends={"logmel": LOGMEL})
    content = tmp_path / "content.json"
    content.write_text(json.dumps([run.content(ensemble=True), SCORES]))
    code = (
        "import json, sys; from pathlib import Path\n"
        "from captioner.submission.writing import build_metadata, to_yaml\n"
        "from captioner.submission.draft import write_draft\n"
        "content, scores = json.loads(Path(sys.argv[1]).read_text())\n"
        "metadata = build_metadata(content, scores)\n"
        "Path(sys.argv[2] + '.yaml').write_text(to_yaml(metadata))\n"
        "write_draft(sys.argv[2] + '.pdf', content, metadata, scores)\n"
    )
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", code, str(content), str(tmp_path / seed)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
        )
    for end in (".yaml", ".pdf"):
        assert (tmp_path / f"1{end}").read_bytes() == (tmp_path / f"2{end}").read_bytes()


def test_a_draft_says_so_on_each_page(run, monkeypatch):
    from matplotlib.figure import Figure

    run.model("one")
    pages = []
    save = Figure.savefig

    def seen(figure, *arguments, **keys):
        pages.append([text.get_text() for text in figure.texts])
        return save(figure, *arguments, **keys)

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", seen)
    run.write(report=None, name="A $name$ with {odd} signs")
    assert len(pages) == 2  # text and curves
    assert all({"DRAFT", f"Draft, page {n} of 2"} <= set(page) for n, page in enumerate(pages, 1))
    assert "A $name$ with {odd} signs" in pages[0] and "0.295" in pages[0]
    assert any("3,839 clips of clotho-v2.1, development" in text for text in pages[0])
