"""Several corpora in one training: what is learned from, what is left out, what the model says."""

import csv
import json
import shutil
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from tiny import SAMPLE_RATE_HZ, TINY_MODEL, Project, make_project

CLIPS = ["rain.heavy.wav", "bell.two.wav", "stolen.wav"]  # two names that the scored corpus has too


def write_other_corpus(folder: Path, stolen_from: Path) -> None:
    """Write a corpus whose last clip has the samples of an evaluation clip, in another format."""
    (folder / "wavs").mkdir(parents=True)
    generator = np.random.default_rng(5)
    for name in CLIPS[:-1]:
        noise = 0.1 * generator.standard_normal(SAMPLE_RATE_HZ)
        soundfile.write(folder / "wavs" / name, noise, SAMPLE_RATE_HZ, subtype="PCM_16")
    shutil.copy(stolen_from, folder / "wavs" / CLIPS[-1])
    with (folder / "captions.csv").open("w", encoding="utf-8", newline="") as file:
        rows = [[name, "development", "A bell and the rain are heard"] for name in CLIPS]
        csv.writer(file).writerows([["file_name", "split", "caption_1"], *rows])
    settings = {"title": "Other", "kind": "folder", "audio": "wavs", "captions": "captions.csv"}
    (folder / "other.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def config(**train: object) -> dict:
    system = {
        "name": "transformer_small",
        "as": "multi",
        "vocabulary": "multi",
        "model": TINY_MODEL,
        "training": {"epochs": 2, "warmup_epochs": 0},
        "train": [
            {"task_token": "tiny"},
            {"corpus": "other/other.yaml", "weight": 2, "task_token": "other", **train},
        ],
    }
    vocabulary = {"corpora": ["tiny", "other"], "task_tokens": ["tiny", "other"]}
    return {
        "corpus": "corpus/tiny.yaml",
        "systems": [system],
        "vocabularies": {"multi": vocabulary},
    }


@pytest.fixture(scope="module")
def combined(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A model trained on two corpora."""
    project = make_project(repository, tmp_path_factory.mktemp("two corpora"))
    write_other_corpus(project.folder / "other", project.folder / "corpus/wavs/bell.three.wav")
    project.configure(config())
    project.snakemake("decode")
    return project


def test_the_model_says_what_it_learned_from(combined: Project) -> None:
    path = combined.result("systems/multi/seed1/model/model.json")
    description = json.loads(path.read_text(encoding="utf-8"))
    assert description["task_token"] == "tiny"
    told = [
        (part["corpus"], part["split"], part["weight"], part["n_clips"], part["n_leaks"])
        for part in description["trained_on"]
    ]
    assert told == [("tiny", "development", 1, 4, 0), ("other", "development", 2, 2, 1)]


def test_clips_that_are_held_out_are_refused_by_sound_not_by_name(combined: Project) -> None:
    path = combined.result("leakage/other.development.json")
    excluded = json.loads(path.read_text(encoding="utf-8"))["excluded"]
    assert list(excluded) == ["stolen.wav"]
    assert "bell.three.wav" in excluded["stolen.wav"] and "evaluation" in excluded["stolen.wav"]


def test_the_vocabulary_counts_both_corpora_and_says_so(combined: Project) -> None:
    path = combined.result("vocabulary/multi.json")
    vocabulary = json.loads(path.read_text(encoding="utf-8"))
    assert [counted["corpus"] for counted in vocabulary["corpora"]] == ["tiny", "other"]
    assert {"and", "are", "<task:tiny>", "<task:other>"} <= set(vocabulary["tokens"])


def test_features_stay_with_their_corpus(combined: Project) -> None:
    assert (combined.folder / "results/other/features/logmel-dcase/development/0.parquet").is_file()
    assert not (combined.folder / "results/other/systems").exists()


def test_a_weight_retrains_and_computes_no_feature(combined: Project) -> None:
    assert combined.would_run("decode") == {}
    combined.configure(config(weight=3))
    try:
        found = combined.would_run("decode")
    finally:
        combined.configure(config())
    assert set(found) - {"decode"} == {"train_system", "decode_split"}


def test_what_was_trained_on_is_decoded_where_it_is_sent_but_not_scored(combined: Project) -> None:
    final = deepcopy(config())
    final["systems"][0]["train"][0]["splits"] = ["development", "evaluation"]
    combined.configure(final)
    try:
        assert "score_split" not in combined.would_run("evaluate")
        found = combined.would_run("decode")
    finally:
        combined.configure(config())
    assert found["train_system"] == 1
    assert found["decode_split"] == 1  # test


def test_damaged_clips_stop_the_run_or_are_left_out_with_a_record(
    repository: Path, tmp_path: Path
) -> None:
    """One clip to train on and one to score are no audio."""
    project = make_project(repository, tmp_path)
    damaged = {"development": "rain.heavy.wav", "evaluation": "bell.two.wav"}
    for name in damaged.values():
        (project.folder / "corpus/wavs" / name).write_text("no audio")
    system = {"name": "transformer_small", "as": "tiny", "model": TINY_MODEL}
    system["training"] = {"epochs": 1, "warmup_epochs": 0}
    project.configure({"corpus": "corpus/tiny.yaml", "systems": [system, "nearest_clip"]})
    stopped = project.snakemake("features", "--keep-going", check=False)
    assert stopped.returncode != 0
    shown = stopped.stdout + stopped.stderr
    assert all(name in shown for name in damaged.values())

    corpus = {"name": "corpus/tiny.yaml", "damaged": "skip"}
    project.configure({"corpus": corpus, "systems": [system, "nearest_clip"]})
    project.snakemake()
    for run in ("tiny/seed1/scores/beam3", "nearest_clip/seed0/scores/none"):
        scores = json.loads(project.result(f"systems/{run}/evaluation.json").read_text())
        assert scores["n_clips"] == 1
    model = json.loads(project.result("systems/tiny/seed1/model/model.json").read_text())
    assert model["trained_on"][0]["n_clips"] == 3
    page = project.result("report/index.html").read_text(encoding="utf-8")
    assert all(name in page for name in damaged.values())


def test_people_are_not_scored_where_clips_have_one_caption(combined: Project) -> None:
    """Nothing is left to score a caption against."""
    corpus = {"name": "other/other.yaml"}
    one_split = {"corpus": corpus, "systems": ["typical_caption"], "score_splits": ["development"]}
    combined.configure(one_split)
    try:
        found = combined.would_run()
    finally:
        combined.configure(config())
    assert found["score_split"] == 1 and "score_ceiling" not in found
