from copy import deepcopy

import pytest
import yaml

from captioner.errors import InputError
from captioner.plan import Plan
from captioner.reporting.content import ReportContent
from captioner.results import Results

FOLDER = "results/clotho-v2.1"
SMALL = "transformer_small"
FINAL = {"name": SMALL, "as": "final", "train": [{"splits": ["development", "evaluation"]}]}
DECODINGS = {"decodings": ["beam3", "greedy"]}


@pytest.fixture
def make(repository, tmp_path):
    """Make the results of a config; `joined.yaml` is an ensemble of `transformer_small`."""
    path = tmp_path / "joined.yaml"
    joined = {"title": "Joined", "average": "probability", "members": [{"system": SMALL}]}
    path.write_text(yaml.safe_dump({**joined, "decodings": ["beam3"]}))

    def results(*systems, **changes):
        config = {
            "corpus": "clotho-v2.1",
            "systems": [str(path) if name == "joined" else name for name in systems],
            "seeds": [1, 2],
            "decodings": {"beam3": {"beam_size": 3}, "greedy": {}},
            "vocabularies": {"task": {}, "released": {}},
            **changes,
        }
        return Results(Plan(deepcopy(config), repository))

    return results


def test_runs_are_systems_by_seeds_by_decodings(make):
    results = make("nearest_clip", {"name": SMALL, **DECODINGS}, "joined")
    assert results.runs == [
        ("nearest_clip", 0, "none"),
        (SMALL, 1, "beam3"),
        (SMALL, 1, "greedy"),
        (SMALL, 2, "beam3"),
        (SMALL, 2, "greedy"),
        ("joined", 0, "beam3"),
    ]
    assert results.models() == [f"{FOLDER}/systems/{SMALL}/seed{seed}/model" for seed in (1, 2)]
    assert len(results.captions()) == 2 * len(results.runs)  # evaluation and test
    assert len(results.scores()) == len(results.runs) + 1  # and people
    assert f"{FOLDER}/systems/joined/seed0/scores/beam3/evaluation.json" in results.scores()


def test_a_final_system_is_decoded_and_sent_but_not_scored(make):
    results = make("nearest_clip", FINAL, score_splits=["validation", "evaluation"])
    folder = f"{FOLDER}/systems/final/seed1"
    assert f"{folder}/scores/beam3/validation.json" in results.scores()
    assert f"{folder}/scores/beam3/evaluation.json" not in results.scores()
    assert results.decoded_splits("final") == ["validation", "test"]
    assert results.scored_runs("evaluation") == [("nearest_clip", 0, "none")]
    assert len(results.submission()) == 1
    rows = results.report_content()["systems"]
    assert [row["unscored"] for row in rows] == [{}, *[{"evaluation": "trained on evaluation"}] * 2]
    assert [list(row["captions"]) for row in rows] == [
        ["validation", "evaluation", "test"],
        *[["validation", "test"]] * 2,
    ]
    assert all(row["captions"].keys() >= row["scores"].keys() for row in rows)


def test_the_reports_content_is_what_a_report_reads(make):
    results = make("nearest_clip", SMALL, "joined", FINAL)
    content = ReportContent.from_dict(results.report_content())
    joined = next(system for system in content.systems if system.name == "joined")
    assert joined.model is None and joined.history is None and not joined.trivial
    assert content.scored_splits == ["evaluation"]
    files = results.report_files()
    assert len(files) == len(set(files))
    assert all(path.startswith(f"{FOLDER}/") for path in files)
    assert f"{FOLDER}/systems/{SMALL}/seed2/history.csv" in files
    assert f"{FOLDER}/systems/joined/seed0/captions/beam3/test.csv" in files


def test_of_each_system_the_first_seed_and_decoding_is_sent(make):
    four = [{"name": SMALL, "as": f"v{number}"} for number in range(4)]
    results = make("nearest_clip", {"name": SMALL, **DECODINGS}, "joined", *four)
    sent = [path.removeprefix(f"{FOLDER}/systems/") for path in results.submitted()]
    assert sent == [
        f"{SMALL}/seed1/captions/beam3/test.csv",
        "joined/seed0/captions/beam3/test.csv",
        "v0/seed1/captions/beam3/test.csv",
        "v1/seed1/captions/beam3/test.csv",
    ]
    stem = f"{FOLDER}/submission/author_institute_task6_submission"
    assert results.submission() == [f"{stem}_{index}_output.csv" for index in (1, 2, 3, 4)]


def test_what_is_sent_may_be_chosen(make):
    four = [{"name": SMALL, "as": f"v{number}"} for number in range(4)]
    results = make(SMALL, "joined", *four, submission={"systems": ["v3", "joined"]})
    assert [path.split("/")[3] for path in results.submitted()] == ["v3", "joined"]
    assert len(results.submission()) == 2
    with pytest.raises(InputError, match="submission: unknown system 'nearest_clip'"):
        make(SMALL, "nearest_clip", submission={"systems": ["nearest_clip"]})


def test_no_test_split_no_submission(make):
    corpus = {"name": "clotho-v2.1", "on_demand": ["test", "analysis"]}
    assert make(SMALL, corpus=corpus).submission() == []
