"""What a finished run leaves behind: files, names, contracts."""

import csv
import json
import zipfile

import pyarrow.parquet as pq

from captioner.evaluation.metrics import METRIC_SETS
from captioner.models.checkpoint import load_model
from captioner.store.shards import FeatureStore
from captioner.submission.check import Known, check_package
from captioner.text.normalisation import tokenize
from tiny import CLIPS, Project

RUNS = {
    "systems/baseline/seed1": "greedy",
    "systems/tiny_transformer/seed1": "beam3",
    "systems/nearest_clip/seed0": "none",
}


def rows(path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_captions_are_keyed_by_file_name(finished: Project) -> None:
    for run, decoding in RUNS.items():
        for split in ("evaluation", "test"):
            header, *found = rows(finished.result(f"{run}/captions/{decoding}/{split}.csv"))
            assert header == ["file_name", "caption_predicted"]
            assert sorted(name for name, _ in found) == sorted(CLIPS[split])
        assert not finished.result(f"{run}/captions/{decoding}/development.csv").exists()


def test_scores_hold_the_nine_metrics(finished: Project) -> None:
    for run, decoding in RUNS.items():
        path = finished.result(f"{run}/scores/{decoding}/evaluation.json")
        scores = json.loads(path.read_text())
        assert tuple(scores["metrics"]) == METRIC_SETS["dcase2021"]
        assert all(isinstance(value, float) for value in scores["metrics"].values())
        assert scores["n_clips"] == len(CLIPS["evaluation"])
        per_clip = pq.read_table(path.with_suffix(".parquet"))
        statistics = ["bleu_statistics", "meteor_statistics"]
        assert per_clip.column_names == ["file_name", *METRIC_SETS["dcase2021"], *statistics]
        for metric, (low, high) in scores["intervals"].items():
            assert low <= scores["metrics"][metric] <= high


def test_the_split_without_captions_is_never_scored_nor_trained_on(finished: Project) -> None:
    assert not list(finished.folder.glob("results/tiny/systems/*/*/scores/*/test.*"))
    for run in list(RUNS)[:2]:
        description = json.loads(finished.result(f"{run}/model/model.json").read_text())
        [source] = description["trained_on"]
        assert (source["corpus"], source["split"], source["n_clips"]) == ("tiny", "development", 4)


def test_features_hold_every_clip_once(finished: Project) -> None:
    for split, names in CLIPS.items():
        store = FeatureStore([finished.result(f"features/logmel-dcase/{split}/0.parquet")])
        assert sorted(store) == sorted(names)
        assert store.n_features == 64


def test_statistics_are_of_development_only(finished: Project) -> None:
    folder = finished.result("features/logmel-dcase/statistics")
    assert [path.name for path in folder.iterdir()] == ["development.json"]


def test_model_folders_need_nothing_else(finished: Project) -> None:
    for run in list(RUNS)[:2]:
        loaded = load_model(finished.result(f"{run}/model"))
        assert loaded.description["frontends"]["logmel-dcase"]["n_fft"] == 2048
        assert "rain" in loaded.vocabulary.tokens
        assert not finished.result(f"{run}/resume").exists()


def test_submission_has_every_test_clip_in_order(finished: Project) -> None:
    header, *found = rows(
        finished.result("submission/author_institute_task6_submission_1_output.csv")
    )
    assert header == ["file_name", "caption_predicted"]
    assert [name for name, _ in found] == sorted(CLIPS["test"])
    assert all(caption == " ".join(tokenize(caption, "task")) for _, caption in found)


def test_the_package_is_whole_and_passes_the_check(finished: Project) -> None:
    package = finished.result("submission/author_institute_task6_submission.zip")
    with zipfile.ZipFile(package) as archive:
        assert len(archive.namelist()) == 2 * 3
    scores = {
        index: finished.result(f"{run}/scores/{decoding}/evaluation.json")
        for index, (run, decoding) in enumerate(list(RUNS.items())[:2], 1)
    }
    models = {i: [finished.result(f"{run}/model")] for i, run in enumerate(list(RUNS)[:2], 1)}
    clips = finished.result("clips/test.parquet")
    known = Known.read(clips, scores, models, "tiny", allow_empty=True)
    findings = check_package(package, known)
    assert findings.errors == [] and findings.not_checked == []
    assert {finding.code for finding in findings.warnings} <= {"empty", "email", "draft"}


def test_report_stands(finished: Project) -> None:
    page = finished.result("report/index.html").read_text(encoding="utf-8")
    assert "training.epochs: 2 instead of 300" in page  # what the config changed is told
    clips = finished.result("report/data/clips.js").read_text(encoding="utf-8")
    assert "bell.two.wav" in clips and "bell.three.wav" in clips
    media = [path.suffix for path in finished.result("report/media").glob("clip-*")]
    assert sorted(media) == [".mp3", ".mp3", ".webp", ".webp"]
    table = finished.result("report/scores.txt").read_text()
    assert "SPIDEr" in table and "Nearest clip" in table


def test_every_job_has_a_log_and_a_benchmark(finished: Project) -> None:
    made = {"tabulate_clips", "check_split", "extract_features", "train_system", "decode_split"}
    made |= {"prepare_listening"}
    for folder in ("logs", "benchmarks"):
        assert made <= {path.name for path in finished.result(folder).iterdir()}
    log = finished.result("logs/train_system/baseline.seed1.log").read_text()
    assert "epoch" in log.lower()
