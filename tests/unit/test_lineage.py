from copy import deepcopy

import pytest

from captioner.errors import InputError
from captioner.plan import Plan
from captioner.results import Results

SMALL = "transformer_small"


def plan(repository, *systems, **changes):
    config = {
        "corpus": "clotho-v2.1",
        "systems": [*systems],
        "seeds": [1, 2],
        "decodings": {"beam3": {"beam_size": 3}, "greedy": {}},
        "vocabularies": {"task": {"task_tokens": ["a", "b"]}, "released": {}},
        **changes,
    }
    return Plan(deepcopy(config), repository)


@pytest.fixture
def ensemble(tmp_path):
    """Make the YAML of an ensemble, and give its path."""

    def make(*members, **keys):
        lines = [f"  - {{ {', '.join(f'{k}: {v}' for k, v in m.items())} }}" for m in members]
        keys = {"average": "probability", "decodings": "[beam3]", **keys}
        head = [f"{key}: {value}" for key, value in keys.items()]
        path = tmp_path / "all.yaml"
        path.write_text("\n".join([*head, "members:", *lines, ""]))
        return str(path)

    return make


def variant(name, **keys):
    return {"name": SMALL, "as": name, **keys}


FINAL = variant("final", train=[{"splits": ["development", "validation", "evaluation"]}])


def test_an_ensemble_decodes_with_its_members_and_hears_through_all_their_front_ends(
    repository, ensemble
):
    other = variant("other", frontends=["logmel-panns", "logmel-dcase"])
    path = ensemble({"system": SMALL, "seed": 2}, {"system": "other"})
    made = plan(repository, path, SMALL, other)  # before its members: the order does not count
    assert made.lineage.seeds("all") == [0]
    folder = "results/clotho-v2.1/systems"
    assert made.models("all", 0) == [
        f"{folder}/transformer_small/seed2/model",
        f"{folder}/other/seed1/model",  # no seed named: all of them
        f"{folder}/other/seed2/model",
    ]
    assert made.systems["all"]["frontends"] == ["logmel-dcase", "logmel-panns"]
    assert made.systems["all"]["vocabulary"] == "task"
    assert list(made.trained) == [SMALL, "other"]
    assert list(made.lineage.ensembles) == ["all"]
    assert made.models(SMALL, 1) == [f"{folder}/transformer_small/seed1/model"]


def test_an_ensemble_is_called_by_its_members(repository, ensemble):
    other = variant("other", title="Another")
    path = ensemble({"system": SMALL}, {"system": "other", "seed": 1})
    made = plan(repository, SMALL, other, path)
    assert made.systems["all"]["title"] == "Ensemble: Small Transformer + Another"
    fewer = {"name": path, "as": "fewer", "members": [{"system": "other"}]}
    assert plan(repository, other, fewer).systems["fewer"]["title"] == "Ensemble: Another"
    named = plan(repository, SMALL, other, {"name": path, "title": "All"})
    assert named.systems["all"]["title"] == "All"


def test_a_start_is_the_other_systems_model_of_the_same_seed(repository):
    made = plan(repository, variant("tuned", start=SMALL), SMALL)
    assert made.start("tuned", 2) == "results/clotho-v2.1/systems/transformer_small/seed2/model"
    assert made.start(SMALL, 2) is None


def test_published_weights_are_not_trained_and_stand_at_seed_0(repository):
    released = {"name": "baseline_released", "weights": "dcase_model_baseline_pre_trained.pt"}
    mine = {"name": "baseline_released", "as": "mine", "weights": "my folder/mine.pt"}
    tuned = {"name": "baseline_released", "as": "tuned", "start": "mine", "weights": None}
    made = plan(repository, released, mine, tuned)
    assert list(made.lineage.published) == ["baseline_released", "mine"]
    assert list(made.trained) == ["tuned"]
    assert made.lineage.seeds("mine") == [0]
    assert made.published_weights("mine") == "my folder/mine.pt"
    path = made.published_weights("baseline_released")
    file = "dcase_model_baseline_pre_trained.pt"
    assert path.startswith("results/downloads/") and path.endswith(f"/{file}")
    assert made.registry(path.split("/")[2], file).endswith("config/systems/weights.tsv")
    assert made.start("tuned", 2) == "results/clotho-v2.1/systems/mine/seed0/model"


def test_pretrained_parts_and_word_embeddings(repository):
    named = {"encoder": "Cnn10_mAP=0.380.pth", "decoder": "mine.pth"}
    words = {"source": "file", "path": "glove.txt"}
    made = plan(repository, variant("given", pretrained=named, word_embeddings=words), SMALL)
    assert made.pretrained("given") == {
        "encoder": "results/downloads/bfb1f1f9968938fa8ef4012b8471f5f6/Cnn10_mAP=0.380.pth",
        "decoder": "mine.pth",
    }
    embeddings = "results/clotho-v2.1/word_embeddings/given.safetensors"
    assert made.word_embeddings("given") == embeddings
    assert made.pretrained(SMALL) == {} and made.word_embeddings(SMALL) is None
    assert made.systems["given"]["word_embeddings"]["frozen"] is False


def test_what_was_learned_from_is_not_scored_through_any_number_of_hands(repository, ensemble):
    path = ensemble({"system": SMALL, "seed": 1}, {"system": "last", "seed": 1})
    systems = [SMALL, variant("last", start="tuned"), variant("tuned", start="final"), FINAL, path]
    made = plan(repository, *systems, "nearest_clip", score_splits=["validation", "evaluation"])
    told = {
        "final": "trained on evaluation",
        "tuned": "started from final, which trained on evaluation",
        "last": "started from tuned, which trained on evaluation",
        "all": "its member last trained on evaluation",
    }
    unscored = Results(made).unscored
    assert {s: w for (s, split), w in unscored.items() if split == "evaluation"} == told
    assert {system for system, split in unscored if split == "validation"} == told.keys()
    assert made.lineage.seen("final", "test") is None
    # Nothing is left to stop on, not even for those that only started from such a system.
    assert [made.validation(name) is None for name in (SMALL, "last", "tuned", "final")] == [
        False, True, True, True,
    ]  # fmt: skip


def test_another_corpus_is_not_the_scored_one(repository):
    macs = [{"task_token": "a"}, {"corpus": "macs", "task_token": "b"}]
    made = plan(repository, variant("multi", train=macs))
    assert Results(made).unscored == {}
    assert made.lineage.task_token("multi") == "a"


def test_booleans_and_numbers_of_the_command_line(repository):
    """Snakemake hands `--config resume=false 'seeds=[1, 2]'` on as strings."""
    config = {
        "corpus": "clotho-v2.1", "systems": ["nearest_clip"], "resume": "false", "offline": "true",
        "seeds": ["1", "20"],
    }  # fmt: skip
    Plan(config, repository)
    assert config["resume"] is False and config["offline"] is True
    assert config["seeds"] == [1, 20]
    with pytest.raises(InputError, match="resume: 'no' is not of type 'boolean'"):
        Plan({**config, "resume": "no"}, repository)


def words(**keys):
    return variant("given", word_embeddings=keys)


@pytest.mark.parametrize(
    ("systems", "told"),
    [
        ([variant("tuned", start="smal")], "tuned: start: unknown system .* 'smal'.*known: tuned"),
        ([variant("tuned", start="nearest_clip"), "nearest_clip"], "unknown system with a model"),
        ([variant("a", start="b"), variant("b", start="a")], "a starts from b starts from a"),
        ([variant("a", start="a")], "a starts from a: a circle"),
        (
            [{"name": "baseline", "start": SMALL}, SMALL],
            "found family dcase_baseline in baseline and conv_transformer in transformer_small",
        ),
        (
            [variant("a", start=SMALL, vocabulary="released"), SMALL],
            "found vocabulary released in a and task in transformer_small",
        ),
        (
            [variant("a", start=SMALL, frontends=["logmel-panns"]), SMALL],
            "found frontends .'logmel-panns'. in a",
        ),
        ([variant("a", start=SMALL, weights="a.pt"), SMALL], "start: 'transformer_small' is not"),
        ([{"name": "nearest_clip", "start": SMALL}, SMALL], "start: 'transformer_small' is not"),
        ([variant("a", average="probability")], "average: this key is not used together"),
        ([variant("a", pretrained={"encoder": 3})], "pretrained.encoder: 3 is not of type"),
        ([words(source="elmo")], "word_embeddings.source: 'elmo' is not one of"),
        ([words(source="file")], "word_embeddings: 'path' is a required property"),
        ([words(source="file", path="a", windows=2)], "did you mean 'window'"),
        ([words(source="bert", path="a", epochs=2)], "word_embeddings.epochs: this key is not"),
    ],
)
def test_mistakes(repository, systems, told):
    with pytest.raises(InputError, match=told):
        plan(repository, *systems)


@pytest.mark.parametrize(
    ("members", "others", "told"),
    [
        ([{"system": "other"}], [], "all: members: unknown system with a model .* 'other'"),
        ([{"system": "all"}], [], "all: members: unknown system with a model of its own 'all'"),
        ([{"system": SMALL, "seed": 7}], [], "transformer_small has no seed 7; it has 1, 2"),
        ([{"system": SMALL}, {"system": SMALL, "seed": 2}], [], "seed 2, stands twice"),
        (
            [{"system": SMALL}, {"system": "o"}],
            [variant("o", vocabulary="released")],
            r"found more than one vocabulary: task \(transformer_small\), released \(o\)",
        ),
        (
            [{"system": SMALL}, {"system": "o"}],
            [variant("o", train=[{"task_token": "a"}])],
            r"more than one task token: None \(transformer_small\), a \(o\)",
        ),
        ([{"seed": 1}], [], "members.0: 'system' is a required property"),
    ],
)
def test_mistakes_in_ensembles(repository, ensemble, members, others, told):
    with pytest.raises(InputError, match=told):
        plan(repository, SMALL, ensemble(*members), *others)


def test_an_ensemble_has_nothing_of_its_own(repository, ensemble):
    for key, value in {"family": "x", "vocabulary": "task", "training": "{}"}.items():
        with pytest.raises(InputError, match=f"{key}: this key is not used together"):
            plan(repository, SMALL, ensemble({"system": SMALL}, **{key: value}))
    with pytest.raises(InputError, match="frontends"):
        plan(repository, SMALL, ensemble({"system": SMALL}, frontends="[logmel-dcase]"))
