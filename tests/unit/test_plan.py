from copy import deepcopy

import pytest

from captioner.errors import InputError
from captioner.plan import Plan
from captioner.settings import merge, read_yaml

CONFIG = {
    "corpus": "clotho-v2.1",
    "systems": ["transformer_small", "nearest_clip"],
    "decodings": {"beam3": {"beam_size": 3}},
    "vocabularies": {"task": {"task_tokens": ["clotho", "macs"], "corpora": []}},
}


def multi(*train: dict, **changes: object) -> dict:
    system = {"name": "transformer_small", "train": list(train)}
    return {**deepcopy(CONFIG), "systems": [system], **changes}


OWN = {"task_token": "clotho"}
MACS = {"corpus": "macs", "weight": 0.5, "task_token": "macs"}


@pytest.mark.parametrize(
    "overlay", [None, "config/demo.yaml", "config/multi.yaml", "benchmarks/learning.yaml"]
)
def test_shipped_configs_resolve(repository, overlay):
    config = read_yaml(repository / "config/config.yaml")
    if overlay:
        config = merge(config, read_yaml(repository / overlay))
    plan = Plan(config, repository)
    assert plan.trained
    for system in plan.trained:
        assert list(plan.training_files(system))


def test_every_system_is_one_of_the_kinds(repository):
    """All at once: what they name of one another, of front-ends, decodings and vocabularies."""
    config = merge(
        read_yaml(repository / "config/config.yaml"), read_yaml(repository / "config/multi.yaml")
    )
    names = sorted(path.stem for path in (repository / "config/systems").glob("*.yaml"))
    plan = Plan({**config, "systems": names}, repository)
    kin = plan.lineage
    kinds = [kin.trained, kin.published, kin.ensembles, kin.trivial]
    assert sorted(name for kind in kinds for name in kind) == names
    assert list(kin.published) == ["baseline_released"] and list(kin.ensembles) == ["ensemble"]
    assert kin.start("convnext_transformer_scst", 1) == ("convnext_transformer", 1)


def test_by_default_a_system_learns_from_the_development_split(repository):
    plan = Plan(deepcopy(CONFIG), repository)
    assert list(plan.trained) == ["transformer_small"]
    [source] = plan.sources("transformer_small")
    assert (source["corpus"], source["split"], source["weight"]) == (
        "clotho-v2.1",
        "development",
        1,
    )
    assert source["leaks"] is None and source["task_token"] is None
    assert source["shards"]["logmel-dcase"] == [
        f"results/clotho-v2.1/features/logmel-dcase/development/{n}.parquet" for n in range(8)
    ]
    validation = plan.validation("transformer_small")
    assert validation is not None and validation["split"] == "validation"
    files = list(plan.training_files("transformer_small"))
    assert len(files) == len(set(files)) == 2 * 3 + 8 + 2
    assert plan.leaks() == {}


def test_several_corpora(repository):
    plan = Plan(multi(MACS, OWN), repository)
    own, other = plan.sources("transformer_small")  # the scored corpus first
    assert [own["corpus"], other["corpus"]] == ["clotho-v2.1", "macs"]
    assert [other["weight"], other["task_token"]] == [0.5, "macs"]
    assert other["leaks"] == "results/clotho-v2.1/leakage/macs.development.json"
    assert plan.leaks() == {"macs, development": other["leaks"]}
    assert other["leaks"] in plan.training_files("transformer_small")
    assert plan.statistics("transformer_small") == {
        "logmel-dcase": [
            f"results/{corpus}/features/logmel-dcase/statistics/development.json"
            for corpus in ("clotho-v2.1", "macs")
        ]
    }
    validation = plan.validation("transformer_small")
    assert validation is not None and validation["task_token"] == "clotho"


def test_no_early_stopping_on_what_is_trained_on(repository):
    plan = Plan(multi({"splits": ["development", "validation"]}), repository)
    assert [s["split"] for s in plan.sources("transformer_small")] == ["development", "validation"]
    assert plan.validation("transformer_small") is None


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (multi({"corpus": "mac"}), "unknown corpus 'mac' .did you mean 'macs'"),
        (multi({"corpus": "macs", "splits": ["evaluation"]}), "unknown split 'evaluation'"),
        (multi({"task_token": "nobodys"}), "unknown task token 'nobodys'.*known: clotho, macs"),
        (multi({"weight": 0}), "train.0.weight: 0 is less than or equal to the minimum of 0"),
        (multi({"tasktoken": "x"}), "train.0: unknown key 'tasktoken' .did you mean 'task_token'"),
        (
            multi({}, {"corpus": {"name": "clotho-v2.1", "damaged": "skip"}}),
            "clotho-v2.1 is described twice",
        ),
        (
            {**CONFIG, "systems": [{"name": "nearest_clip", "train": [{"corpus": "macs"}]}]},
            "train.0.corpus: 'macs' is not of type 'null'",
        ),
        (
            {**CONFIG, "vocabularies": {"task": {"corpora": ["macs"]}}},
            "vocabulary task: unknown corpus 'macs'",
        ),
    ],
)
def test_mistakes(repository, config, told):
    with pytest.raises(InputError, match=told):
        Plan(deepcopy(config), repository)


def test_what_is_fetched_and_unpacked(repository):
    config = multi(OWN, MACS)
    config["corpus"] = {"name": "clotho-v2.1", "remove": ["archives"]}
    plan = Plan(config, repository)
    key, name = "c8b05bc7acdb13895bb3c6a29608667e", "clotho_audio_development.7z"
    assert plan.registry(key, name).endswith("config/corpora/clotho-v2.1.tsv")
    assert plan.archive(key, "clotho_audio_development") == f"results/downloads/{key}/{name}"
    assert key in plan.passing_keys("archives") and len(plan.passing_keys("archives")) == 5
    assert plan.passing_keys("audio") == []
    with pytest.raises(InputError, match="no archive"):
        plan.archive(key, "nothing")
    checkpoint = ("bfb1f1f9968938fa8ef4012b8471f5f6", "Cnn10_mAP=0.380.pth")
    assert plan.registry(*checkpoint).endswith("config/frontends/weights.tsv")


def test_an_encoder_is_fetched_and_goes_with_the_model(repository):
    config = deepcopy(CONFIG)
    config["systems"] = [{"name": "transformer_small", "frontends": ["logmel-dcase", "cnn10"]}]
    plan = Plan(config, repository)
    path = "results/downloads/bfb1f1f9968938fa8ef4012b8471f5f6/Cnn10_mAP=0.380.pth"
    assert plan.encoders("transformer_small") == {"cnn10": path}
    assert [plan.weights(name) for name in plan.frontends] == [None, path]


def test_an_unknown_kind_of_front_end_is_named_before_its_keys(repository, tmp_path):
    (tmp_path / "mine.yaml").write_text("kind: logmell\nhop: 3\n")
    config = deepcopy(CONFIG)
    config["systems"] = [{"name": "nearest_clip", "frontends": [str(tmp_path / "mine.yaml")]}]
    with pytest.raises(InputError, match=r"unknown kind 'logmell' \(did you mean 'logmel'\?\)"):
        Plan(config, repository)


def test_a_front_end_with_overrides_or_of_ones_own(repository, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_bytes((repository / "config/frontends/logmel-dcase.yaml").read_bytes())
    config = deepcopy(CONFIG)
    narrow = {"name": "logmel-dcase", "as": "narrow", "n_mels": 40}
    config["systems"] = [{"name": "transformer_small", "frontends": [narrow, str(mine)]}]
    plan = Plan(config, repository)
    assert list(plan.frontends) == ["narrow", "mine"]
    assert plan.frontends["narrow"] == {**plan.frontends["mine"], "n_mels": 40}
    assert plan.changes["front-end narrow"] == ["n_mels: 40 instead of 64"]
    [source] = plan.sources("transformer_small")
    assert source["shards"]["mine"][0].startswith("results/clotho-v2.1/features/mine/")
    del narrow["as"]
    config["systems"][0]["frontends"] = [narrow]
    config["systems"].append("baseline")
    config["decodings"]["greedy"] = {}
    with pytest.raises(InputError, match="front-end logmel-dcase is described twice"):
        Plan(config, repository)


def varied(**changes: object) -> dict:
    return {**deepcopy(CONFIG), "systems": [{"name": "crnn_attention", "as": "mine", **changes}]}


def test_keys_that_a_family_does_not_take_are_named_before_anything_runs(repository):
    said = r"system mine: model: unknown key 'n_hiden' \(did you mean 'n_hidden'\?\); known: d"
    with pytest.raises(InputError, match=said):
        Plan(varied(model={"n_hiden": 512}, decodings=["beam3"]), repository)


@pytest.mark.parametrize(
    ("model", "vectors", "found", "expected"),
    [
        ({}, {}, 128, 256),  # word2vec's default, and the system's n_hidden
        ({"n_word_values": 64}, {}, 128, 64),
        ({"n_word_values": 64, "n_hidden": 128}, {"n_values": 32}, 32, 64),
    ],
)
def test_word2vec_of_another_size_than_the_models_words(
    repository, model, vectors, found, expected
):
    config = varied(
        model=model, word_embeddings={"source": "word2vec", **vectors}, decodings=["beam3"]
    )
    with pytest.raises(
        InputError,
        match=f"system mine: .*word2vec: found vectors of {found} values, expected {expected}",
    ):
        Plan(config, repository)
    config["systems"][0]["model"] = {**model, "n_word_values": found}
    assert Plan(config, repository).word_values("mine") == found


def test_what_a_word_has_in_a_model(repository):
    of_file = {"word_embeddings": {"source": "file", "path": "glove.txt"}, "decodings": ["beam3"]}
    assert Plan(varied(**of_file), repository).word_values("mine") == 256  # told by the file's rule
    by_default = varied(**of_file)
    by_default["systems"][0]["name"] = "convnext_transformer"
    assert Plan(by_default, repository).word_values("mine") == 256


REINFORCED = {"training": {"loss": "self_critical"}}
FINAL = {"train": [{"splits": ["development", "validation"]}]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (REINFORCED, "system mine: start: found none with `loss: self_critical`, expected the na"),
        (
            {"start": "transformer_small", **REINFORCED},
            "system mine: training: label_smoothing: found 0.1 with `loss: self_critical`",
        ),
        (
            {**FINAL, "training": {"schedule": "plateau"}},
            "system mine: training: schedule: found plateau without a validation split",
        ),
    ],
)
def test_trainings_that_make_no_sense_are_named_before_anything_runs(repository, changes, message):
    config = deepcopy(CONFIG)
    config["systems"].append({"name": "transformer_small", "as": "mine", **changes})
    with pytest.raises(InputError, match=message):
        Plan(config, repository)


def test_options_of_a_decoding_that_contradict_are_named_before_anything_runs(repository):
    config = {**deepcopy(CONFIG), "decodings": {"beam3": {"beam_size": 3, "n_best": 4}}}
    said = "decoding beam3: decoding option n_best: found 4, expected at most beam_size"
    with pytest.raises(InputError, match=said):
        Plan(config, repository)
