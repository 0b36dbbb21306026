"""What a config sends: names, systems, and the results behind them."""

from copy import deepcopy

import pytest
import yaml

from captioner.errors import InputError
from captioner.plan import Plan
from captioner.results import Results
from captioner.submission.sent import Submission

FOLDER = "results/clotho-v2.1"
SMALL = "transformer_small"
FINAL = {"name": SMALL, "as": "final", "train": [{"splits": ["development", "evaluation"]}]}
SECOND = {"name": SMALL, "as": "second", "start": SMALL}
TWO = {"decodings": ["beam3", "greedy"]}
FOUR = [{"name": SMALL, "as": f"v{number}"} for number in range(4)]


def author(lastname="Labbé", short="IRIT", **keys):
    return {"lastname": lastname, "affiliation": {"abbreviation": short}, **keys}


@pytest.fixture
def make(repository, tmp_path):
    """Make what a config sends; `joined` is an ensemble of `transformer_small`."""
    path = tmp_path / "joined.yaml"
    joined = {"title": "Joined", "average": "probability", "members": [{"system": SMALL}]}
    path.write_text(yaml.safe_dump({**joined, "decodings": ["beam3"]}))

    def submission(*systems, **changes):
        config = {
            "corpus": "clotho-v2.1",
            "systems": [str(path) if name == "joined" else name for name in systems],
            "seeds": [1, 2],
            "decodings": {"beam3": {"beam_size": 3}, "greedy": {}},
            "vocabularies": {"task": {}, "released": {}},
            **changes,
        }
        plan = Plan(deepcopy(config), repository)
        return Submission(plan, Results(plan))

    return submission


def test_of_each_system_the_first_seed_and_decoding_is_sent(make):
    sent = make("nearest_clip", {"name": SMALL, **TWO}, "joined", *FOUR)
    captions = [sent.captions(index).removeprefix(f"{FOLDER}/systems/") for index in sent.indices]
    assert captions == [
        f"{SMALL}/seed1/captions/beam3/test.csv",
        "joined/seed0/captions/beam3/test.csv",
        "v0/seed1/captions/beam3/test.csv",
        "v1/seed1/captions/beam3/test.csv",
    ]
    assert sent.package() == [f"{FOLDER}/submission/author_institute_task6_submission.zip"]
    assert (
        sent.path(2, "metadata")
        == f"{FOLDER}/submission/author_institute_task6_submission_2_metadata.yaml"
    )


def test_what_is_sent_may_be_chosen(make):
    named = {"system": "v3", "name": "Ours", "abbreviation": "Ours", "report": "mine.pdf"}
    sent = make(SMALL, "joined", *FOUR, submission={"systems": [named, "joined"]})
    assert [sent.captions(index).split("/")[3] for index in sent.indices] == ["v3", "joined"]
    assert sent.content(1)["name"] == sent.content(1)["abbreviation"] == "Ours"
    assert sent.report(1) == "mine.pdf" and "mine.pdf" in sent.files(1)
    assert sent.content(2)["name"] == "Joined" and sent.report(2) is None


@pytest.mark.parametrize(
    ("systems", "told"),
    [
        (["nearest_clip"], "submission: unknown system 'nearest_clip'"),
        ([SMALL, {"system": SMALL}], f"the system {SMALL} stands twice"),
        ([{"system": SMALL, "abbreviation": "more than ten"}], "too long"),
        ([{"system": SMALL, "description": {"optimiser": "adam"}}], "did you mean 'optimizer'"),
    ],
)
def test_systems_that_cannot_be_sent(make, systems, told):
    with pytest.raises(InputError, match=told):
        make(SMALL, "nearest_clip", submission={"systems": systems})


def test_files_are_named_after_the_corresponding_author(make):
    authors = [author("Other", "TAU"), author("van der Łabbé-Øst", "I.R.I.T.", corresponding=True)]
    sent = make(SMALL, submission={"authors": authors})
    assert sent.team == "vanderlabbeost_irit"
    assert sent.content(1)["author"] == "vanderlabbeost"


@pytest.mark.parametrize(
    ("authors", "told"),
    [
        ([author()], "found 0 with `corresponding: true`"),
        ([author(corresponding=True)] * 2, "found 2 with"),
        ([author("王", corresponding=True)], "found the lastname '王'.*Latin letters"),
        ([author(short="-", corresponding=True)], r"found the affiliation\.abbreviation '-'"),
        ([author(email="nobody")], "'nobody' does not match"),
    ],
)
def test_authors_that_nothing_can_be_named_after(make, authors, told):
    with pytest.raises(InputError, match=told):
        make(SMALL, submission={"authors": authors})


def test_no_test_split_no_submission(make):
    corpus = {"name": "clotho-v2.1", "on_demand": ["test", "analysis"]}
    assert make(SMALL, corpus=corpus).package() == []


def test_a_final_system_has_no_scores(make):
    sent = make(SMALL, FINAL)
    assert sent.scores(1) == f"{FOLDER}/systems/{SMALL}/seed1/scores/beam3/evaluation.json"
    assert sent.scores(2) is None


def test_an_ensemble_is_all_of_its_models(make):
    sent = make(SMALL, "joined", submission={"systems": ["joined"]})
    folders = [f"{FOLDER}/systems/{SMALL}/seed{seed}" for seed in (1, 2)]
    assert sent.models(1) == [f"{folder}/model" for folder in folders]
    content = sent.content(1)
    assert content["ensemble"] and all(t["captions"] for t in content["trainings"])
    assert [f"{folder}/history.csv" in sent.files(1) for folder in folders] == [True, True]


def test_a_start_is_behind_a_system(make):
    sent = make(SMALL, SECOND, submission={"systems": ["second"]})
    assert [path.split("/")[3] for path in sent.models(1)] == ["second", SMALL]
    assert [t["captions"] for t in sent.content(1)["trainings"]] == [True, False]


def test_other_corpora_are_behind_a_system(make):
    train = [{}, {"corpus": "macs"}]
    sent = make({"name": SMALL, "as": "more", "train": train})
    [external] = sent.content(1)["external"]
    assert (external["corpus"], external["title"]) == ("macs", "MACS")
    assert {"results/macs/clips/development.parquet", external["leaks"]} <= set(sent.files(1))


def test_published_weights_bring_how_they_were_made(make):
    sent = make("baseline_released")
    [training] = sent.content(1)["trainings"]
    assert training["history"] is None and training["published"]["optimizer"] == "adam"


def test_abbreviations_differ(make):
    systems = [{"name": SMALL, "as": f"transformer_{number}"} for number in (1, 2, 3)]
    sent = make(*systems)
    short = [sent.content(index)["abbreviation"] for index in sent.indices]
    assert short == ["transforme", "transfor_2", "transfor_3"]


def test_the_documented_example(make, repository):
    text = (repository / "docs/submission.md").read_text(encoding="utf-8")
    example = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])
    sent = make("baseline", SMALL, **example)
    assert sent.team == "vanderberg_tau" and list(sent.indices) == [1, 2]
    assert sent.report(1) == sent.report(2) == "report.pdf"
    assert sent.content(2)["abbreviation"] == "Small"
