"""The scripts of statistics, run on small tables; Java's part is played by a stand-in."""

import csv
import json
import runpy
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from clip_tables import scored_table, sentences

from captioner.corpus.tables import Annotation, Clip, write_annotations, write_clips
from captioner.evaluation.parts_of_speech import Tagged
from captioner.evaluation.references import read_split_references
from captioner.evaluation.score import METRICS

CAPTIONS = {"1.wav": ("a dog", "the dogs", "a cat"), "2.wav": ("birds", "one bird", "rain")}


@pytest.fixture
def tables(tmp_path):
    """Two usable clips and a damaged one."""
    clips = [Clip(name, name, 9, 1.0, 8000, 1) for name in CAPTIONS]
    write_clips(tmp_path / "clips", [*clips, Clip("3.wav", "3.wav", 9, 0.0, 0, 0, fault="empty")])
    captions = {**CAPTIONS, "3.wav": ("nothing", "nothing", "nothing")}
    write_annotations(tmp_path / "annotations", [Annotation(n, c) for n, c in captions.items()])
    return {"clips": tmp_path / "clips", "annotations": tmp_path / "annotations"}


@pytest.fixture
def run(repository, tmp_path):
    def run(name, inputs, outputs, parameters=None, **replaced):
        main = runpy.run_path(str(repository / f"workflow/scripts/{name}.py"))["main"]
        main.__globals__.update(replaced, start_logging=lambda path: None)
        main(
            SimpleNamespace(
                log=[str(tmp_path / "log")],
                threads=1,
                input=SimpleNamespace(**inputs),
                output=SimpleNamespace(**outputs),
                params=SimpleNamespace(**parameters or {}),
                config={"spice_cache": "shared/parses"},
            )
        )

    return run


def test_references_are_those_of_usable_clips(tables):
    found = read_split_references(tables["annotations"], tables["clips"])
    assert found == CAPTIONS


def test_score_ceiling(run, tables, tmp_path):
    asked = []

    def score_captions(predictions, references, *, java_folder, cache_folder, threads):
        assert (java_folder.name, cache_folder, threads) == ("java", "shared/parses", 2)
        asked.append(predictions)
        values = dict.fromkeys(METRICS, 0.1 * len(asked))
        statistics = [[1, 0, 0, 0, 2, 1, 0, 0, 2, 2]], [[2.0, 2.0, *[0.0] * 21]]
        return SimpleNamespace(  # what is read of `Scores`
            corpus=values,
            per_clip=dict.fromkeys(predictions, values),
            bleu_statistics=2 * statistics[0],
            meteor_statistics=2 * statistics[1],
            diversity={"mean_length": len(asked)},
        )

    outputs = {"scores": tmp_path / "people.json", "per_clip": tmp_path / "people.parquet"}
    jars = [str(tmp_path / "java" / "a.jar")]
    run("score_ceiling", {**tables, "jars": jars}, outputs, score_captions=score_captions)
    assert asked == [{n: c[k] for n, c in CAPTIONS.items()} for k in range(3)]
    found = json.loads(outputs["scores"].read_text(encoding="utf-8"))
    assert found["metrics"]["spider"] == pytest.approx(0.2)
    assert found["diversity"] == {"mean_length": 2}
    assert pq.read_table(outputs["per_clip"]).column("file_name").to_pylist() == list(CAPTIONS)


def test_analyse_errors(run, tables, tmp_path):
    def tag_captions(captions, scratch, *, java_folder):
        assert scratch.is_dir()
        assert len(set(captions)) == len(captions)
        assert java_folder.name == "java"
        return [[Tagged(w, w, "NN") for w in caption.split()] for caption in captions]

    with (tmp_path / "captions.csv").open("w", newline="") as file:
        rows = [["1.wav", "a dog"], ["2.wav", "wind"]]  # of two runs, the same
        csv.writer(file).writerows([["file_name", "caption_predicted"], *rows])
    inputs = {**tables, "captions": 2 * [tmp_path / "captions.csv"], "jars": ["java/a.jar"]}
    outputs, names = {"errors": tmp_path / "errors"}, ["one", "two"]
    run("analyse_errors", inputs, outputs, {"runs": names}, tag_captions=tag_captions)
    analyses = json.loads((tmp_path / "errors").read_text(encoding="utf-8"))
    found = analyses["one"]
    assert analyses == {"one": found, "two": found}
    assert found["clips"]["1.wav"] == {
        "right": ["dog"],
        "missed": {"cat": 1, "dogs": 1},
        "invented": [],
    }
    assert found["clips"]["2.wav"]["invented"] == ["wind"]


def test_compare_systems(run, tmp_path):
    flat = sentences(40, 1)
    references = [[caption] for caption in flat[20:]]
    names = [("one", 1), ("one", 2), ("two", 1)]
    paths = [tmp_path / f"{label}{seed}.parquet" for label, seed in names]
    for number, path in enumerate(paths):
        table = scored_table(flat[:20], references, number, shift=0.2 * (number == 2))
        pq.write_table(table, path)
    outputs = {"comparison": tmp_path / "comparison.json"}
    run("compare_systems", {"per_clip": paths}, outputs, {"systems": names})
    found = json.loads(outputs["comparison"].read_text(encoding="utf-8"))
    assert found["best"] == "two"
    assert found["systems"]["one"]["seeds"] == [1, 2]
    assert found["systems"]["one"]["metrics"]["spice"]["interval"] is not None
    assert found["against_best"]["one"]["spice"]["p"] < 0.05
