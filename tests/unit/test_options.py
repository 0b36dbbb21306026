"""Decoding options: defaults, settings of the config, errors."""

import dataclasses

import pytest

from captioner.decoding.options import RERANKINGS, DecodingOptions
from captioner.errors import InputError
from captioner.settings import read_yaml


def test_settings_of_a_decoding():
    settings = {"beam_size": 3, "min_length": 3, "max_length": 20, "length_penalty": 0.5}
    options = DecodingOptions.from_settings(settings)
    assert options == DecodingOptions(3, 3, 20, 0.5, n_best=3)


@pytest.mark.parametrize("n_best", [None, 1, 2])
def test_n_best_is_the_beam_unless_given(n_best):
    options = DecodingOptions.from_settings({"beam_size": 2, "n_best": n_best})
    assert options.n_best == (n_best or 2)


@pytest.mark.parametrize("n_best", [None, 4])
def test_n_best_is_the_samples_unless_given(n_best):
    assert DecodingOptions.from_settings({"samples": 9, "n_best": n_best}).n_best == (n_best or 9)


def test_lists_of_words_become_tuples():
    options = DecodingOptions.from_settings({"banned_words": ["unknown", "something"]})
    assert options.banned_words == ("unknown", "something")
    hash(options)


def test_empty_settings_are_greedy():
    assert DecodingOptions.from_settings({}) == DecodingOptions(beam_size=1, n_best=1)


def test_the_schema_of_the_config_says_the_same(repository):
    schema = read_yaml(repository / "workflow" / "schemas" / "config.schema.yaml")
    keys = schema["properties"]["decodings"]["additionalProperties"]["properties"]
    defaults = dataclasses.asdict(DecodingOptions())
    assert set(keys) == set(defaults)
    for name, key in keys.items():
        default = defaults[name]
        default = list(default) if isinstance(default, tuple) else default
        assert key.get("default", default) == default
        assert type(key.get("default", default)) is type(default)
        assert key["description"].endswith(".") or name == "rerank"
    assert tuple(keys["rerank"]["enum"]) == RERANKINGS


def test_the_defaults_of_the_schema_are_options(repository):
    """What `validate` fills in does not clash with what is given."""
    schema = read_yaml(repository / "workflow" / "schemas" / "config.schema.yaml")
    keys = schema["properties"]["decodings"]["additionalProperties"]["properties"]
    filled = {name: key["default"] for name, key in keys.items() if "default" in key}
    assert DecodingOptions.from_settings(filled) == DecodingOptions()
    assert DecodingOptions.from_settings({**filled, "samples": 5, "top_p": 0.9}).n_best == 5
    assert DecodingOptions.from_settings({**filled, "beam_size": 4, "beam_groups": 2}).n_best == 4


def test_options_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DecodingOptions().beam_size = 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beam": 3}, "decoding option 'beam': not known, expected one of beam_size, min_length"),
        ({"beam_size": 0}, "decoding option beam_size: found 0, expected at least 1"),
        ({"batch_size": 0}, "decoding option batch_size: found 0, expected at least 1"),
        ({"min_length": -1}, "decoding option min_length: found -1, expected at least 0"),
        ({"min_length": 9, "max_length": 8}, "max_length: found 8, expected at least min_length"),
        ({"beam_size": 2, "n_best": 3}, r"n_best: found 3, expected at most beam_size \(2\)"),
        ({"n_best": 0}, "n_best: found 0, expected at least 1"),
        ({"no_repeat_ngram": -1}, "no_repeat_ngram: found -1, expected at least 0"),
        ({"rerank": "cider"}, "rerank: found 'cider', expected one of none, mbr"),
        (
            {"banned_words": ["a", "a"]},
            r"banned_words: found \['a', 'a'\], expected every word once",
        ),
        (
            {"beam_size": 4, "forced_words": ["dog", "cat"], "banned_words": ["cat"]},
            r"forced_words: found \['dog', 'cat'\], expected no banned word \(also banned: cat\)",
        ),
        (
            {"beam_size": 4, "forced_words": ["a", "b", "c"], "max_length": 2},
            r"forced_words: .* expected at most max_length \(2\) words",
        ),
        ({"forced_words": ["a"]}, r"beam_size: found 1, expected more hypotheses .* words \(1\)"),
        (
            {"beam_size": 4, "beam_groups": 2, "forced_words": ["a", "b"]},
            r"beam_size: found 4, expected more .* \(per group: 2\) than forced words \(2\)",
        ),
        (
            {"beam_size": 4, "beam_groups": 3},
            r"beam_groups: found 3, .* divisor of beam_size \(4\)",
        ),
        ({"beam_groups": 0}, "beam_groups: found 0, expected at least 1"),
        ({"diversity": -0.1}, "diversity: found -0.1, expected at least 0"),
        ({"length_penalty": float("nan")}, "length_penalty: found nan, expected a finite number"),
        ({"top_k": 5}, "top_k: found 5, expected 0 for a search .`samples: N` samples instead"),
        ({"temperature": 0.7}, "temperature: found 0.7, expected 1.0 for a search"),
        ({"top_p": 0.9, "beam_size": 2}, "top_p: found 0.9, expected 1.0 for a search"),
        ({"samples": -1}, "samples: found -1, expected at least 0"),
        ({"samples": 3, "n_best": 4}, r"n_best: found 4, expected at most samples \(3\)"),
        ({"samples": 3, "beam_size": 2}, r"beam_size: found 2, expected 1 with samples \(3\)"),
        ({"samples": 3, "beam_groups": 2}, "beam_groups: found 2, expected 1 with samples"),
        ({"samples": 3, "forced_words": ["a"]}, "forced_words: .* expected none with samples"),
        ({"samples": 3, "temperature": 0}, "temperature: found 0, expected more than 0"),
        ({"samples": 3, "top_p": 0}, "top_p: found 0, expected more than 0 and at most 1"),
        ({"samples": 3, "top_p": 1.5}, "top_p: found 1.5, expected more than 0 and at most 1"),
    ],
)
def test_an_impossible_option_is_named(settings, message):
    with pytest.raises(InputError, match=message):
        DecodingOptions.from_settings(settings)
