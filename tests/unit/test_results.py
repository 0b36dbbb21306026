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


def test_a_final_system_is_decoded_but_not_scored(make):
    results = make("nearest_clip", FINAL, score_splits=["validation", "evaluation"])
    folder = f"{FOLDER}/systems/final/seed1"
    assert f"{folder}/scores/beam3/validation.json" in results.scores()
    assert f"{folder}/scores/beam3/evaluation.json" not in results.scores()
    assert results.decoded_splits("final") == ["validation", "test"]
    assert results.scored_runs("evaluation") == [("nearest_clip", 0, "none")]
    rows = results.report_content()["systems"]
    assert [row["unscored"] for row in rows] == [{}, *[{"evaluation": "trained on evaluation"}] * 2]
    assert [list(row["captions"]) for row in rows] == [
        ["validation", "evaluation", "test"],
        *[["validation", "test"]] * 2,
    ]
    assert all(row["captions"].keys() >= row["scores"].keys() for row in rows)


def test_the_report_plays_the_last_split_that_is_scored(make):
    splits = {"score_splits": ["validation", "evaluation"]}
    assert make("nearest_clip", FINAL, **splits).heard == "evaluation"
    results = make(FINAL, **splits)  # it learned from evaluation
    assert results.heard == "validation"
    content = ReportContent.from_dict(results.report_content())
    assert content.scored_splits[-1] == "validation"
    assert list(map(str, content.listening.folders)) == [
        f"{FOLDER}/listening/validation/{shard}" for shard in range(2)
    ]
    assert content.listening.audio == "compressed"


def test_the_report_links_to_no_audio_that_is_removed(make):
    corpus = {"name": "clotho-v2.1", "remove": ["audio"]}
    assert make("nearest_clip", corpus=corpus).heard == "evaluation"
    with pytest.raises(InputError, match=r"remove: \[audio\].* Set report.audio to compressed"):
        make("nearest_clip", corpus=corpus, report={"audio": "original"})


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
