"""Systems made of one another: an ensemble, one that starts from another, a final one."""

import csv
import json
import os
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from tiny import CLIPS, TINY_MODEL, Project, changed_config, make_project

WEIGHTS = "model/weights.safetensors"
TEAM = "author_institute_task6_submission"


def system(name: str, **keys: object) -> dict:
    training = {"epochs": 2, "warmup_epochs": 0, **keys.pop("training", {})}
    return {
        "name": "transformer_small",
        "as": name,
        "model": TINY_MODEL,
        "training": training,
        **keys,
    }


CONFIG = {
    "corpus": "corpus/tiny.yaml",
    "decodings": {"beam3": {"max_length": 8}},
    "systems": [
        {"name": "joined.yaml"},  # before its members
        system("small"),
        system(
            "tuned",
            start="small",
            training={"learning_rate": 1e-12, "weight_decay": 0, "monitor": "cider"},
        ),
        system("final", train=[{"splits": ["development", "validation", "evaluation"]}]),
        {
            "name": "joined.yaml",
            "as": "alone",
            "title": "Alone",
            "members": [{"system": "small", "seed": 1}],
        },
    ],
    "submission": {"systems": ["final", "joined", "small"]},
}
JOINED = {
    "title": "Joined",
    "members": [{"system": "small"}, {"system": "tuned", "seed": 1}],
    "average": "log_probability",
    "decodings": ["beam3"],
}


@pytest.fixture(scope="module")
def made(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """All models trained, all captions decoded."""
    project = make_project(repository, tmp_path_factory.mktemp("kin"))
    (project.folder / "joined.yaml").write_text(yaml.safe_dump(JOINED), encoding="utf-8")
    # A word that only validation and evaluation have: a final system meets it.
    captions = project.folder / "corpus/captions.csv"
    text = captions.read_text(encoding="utf-8").replace("a bell can be heard", "a gong is heard")
    assert text.count("gong") == 3
    captions.write_text(text.replace("a gong is heard", "a bell can be heard", 1), encoding="utf-8")
    project.configure(CONFIG)
    project.snakemake("decode", "submission")
    return project


configured = partial(changed_config, CONFIG)


def captions(project: Project, run: str, split: str) -> list[list[str]]:
    path = project.result(f"systems/{run}/captions/beam3/{split}.csv")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_an_ensemble_stands_at_seed_0_without_a_model(made: Project) -> None:
    assert sorted(p.name for p in made.result("systems/joined").iterdir()) == ["seed0"]
    assert sorted(p.name for p in made.result("systems/joined/seed0").iterdir()) == [
        "captions",
        "scores",
    ]
    for split in ("evaluation", "test"):
        said = captions(made, "joined/seed0", split)
        assert sorted(name for name, _ in said[1:]) == sorted(CLIPS[split])


def test_an_ensemble_of_one_says_what_that_one_says(made: Project) -> None:
    for split in ("evaluation", "test"):
        assert captions(made, "alone/seed0", split) == captions(made, "small/seed1", split)


def test_a_start_begins_with_the_other_systems_weights(made: Project) -> None:
    """So slow a training ends where it starts."""
    start = load_file(made.result(f"systems/small/seed1/{WEIGHTS}"))
    end = load_file(made.result(f"systems/tuned/seed1/{WEIGHTS}"))
    assert start.keys() == end.keys()
    for name, values in start.items():
        np.testing.assert_allclose(end[name], values, atol=1e-9, err_msg=name)


def test_a_final_system_is_packaged_and_not_scored(made: Project) -> None:
    described = json.loads(made.result("systems/final/seed1/model/model.json").read_text())
    learned = [(part["split"], part["n_clips"]) for part in described["trained_on"]]
    assert learned == [("development", 4), ("validation", 2), ("evaluation", 2)]
    assert described["best"]["epoch"] == 2 and not described["best"].get("validation_loss")
    first = made.result(f"submission/{TEAM}_1_output.csv")
    with first.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == captions(made, "final/seed1", "test")
    with zipfile.ZipFile(made.result(f"submission/{TEAM}.zip")) as package:
        metadata = [
            yaml.safe_load(package.read(f"{TEAM}_{index}_metadata.yaml")) for index in (1, 2, 3)
        ]
    final, joined, small = (of["results"]["development_evaluation"] for of in metadata)
    assert set(final.values()) == {None}
    assert None not in {*joined.values(), *small.values()}
    described = [of["system"]["description"] for of in metadata]
    assert [of["ensemble"] for of in described] == [False, True, False]
    assert described[1]["metric_monitored"] == "validation_loss, validation_cider"
    counted = [of["system"]["complexity"]["total_parameters"] for of in metadata]
    assert counted[1] == 2 * counted[2] == 2 * counted[0]
    scores = "results/tiny/systems/final/seed1/scores/beam3/evaluation.json"
    assert not made.result("systems/final/seed1/captions/beam3/evaluation.csv").exists()
    found = made.would_run("evaluate")
    assert found["score_split"] == 2  # the others are sent, with their scores
    refused = made.snakemake(scores, "--dry-run", check=False)
    assert refused.returncode != 0
    assert (
        "final is not scored on evaluation: it trained on evaluation"
        in refused.stdout + refused.stderr
    )


def test_nothing_is_left_to_make(made: Project) -> None:
    assert made.would_run("decode", "submission") == {}


def test_an_ensemble_is_made_anew_with_its_members_only(made: Project) -> None:
    with configured(made, "systems", 3, "training", "learning_rate", value=0.01):
        found = made.would_run("decode")  # of the final system, no member
    assert found == {"train_system": 1, "decode_split": 1, "decode": 1}
    with configured(made, "systems", 2, "training", "learning_rate", value=0.01):
        found = made.would_run("decode")  # of `tuned`, a member
    assert found == {"train_system": 1, "decode_split": 2 + 2, "decode": 1}


def test_a_start_is_made_anew_with_what_it_starts_from(made: Project) -> None:
    with configured(made, "systems", 1, "training", "learning_rate", value=0.01):
        found = made.would_run("decode")  # of `small`: a start and a member of both ensembles
    assert found == {"train_system": 2, "decode_split": 2 + 2 + 2 + 2, "decode": 1}
    with configured(made, "systems", 2, "start", value=None):
        found = made.would_run("decode")
    assert found == {"train_system": 1, "decode_split": 2 + 2, "decode": 1}


def test_keys_of_an_ensemble_train_nothing(made: Project) -> None:
    with configured(made, "systems", 0, "average", value="probability"):
        assert made.would_run("decode") == {"decode_split": 2, "decode": 1}
    with configured(made, "systems", 0, "members", value=[{"system": "tuned"}]):
        assert made.would_run("decode") == {"decode_split": 2, "decode": 1}
    with configured(made, "systems", 0, "title", value="Another"):
        assert made.would_run("decode") == {}


def test_code_that_selects_weights_trains_again_where_it_does(made: Project) -> None:
    """Greedy captions and CIDEr choose the epoch of `tuned`; the others only show them."""
    beam = made.clone / "src/captioner/decoding/beam.py"
    text, status = beam.read_text(encoding="utf-8"), beam.stat()
    beam.write_text(text + "\n\nADDED = 1\n", encoding="utf-8")
    try:
        found = made.would_run("train")
    finally:
        beam.write_text(text, encoding="utf-8")
        os.utime(beam, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert found == {"train_system": 1, "train": 1}


@pytest.mark.slow
def test_the_report_shows_them_all(made: Project) -> None:
    made.snakemake()
    table = made.result("report/scores.txt").read_text(encoding="utf-8")
    page = made.result("report/index.html").read_text(encoding="utf-8")
    for text in (table, page):
        assert "Joined" in text and "Alone" in text
        assert "trained on evaluation: not scored" in text
    assert made.would_run() == {}
    assert not made.result("systems/final/seed1/scores").exists()
