"""Decoding options: defaults, settings of the config, errors."""

import dataclasses

import pytest

from captioner.decoding.options import DecodingOptions
from captioner.errors import InputError
from captioner.settings import read_yaml


def test_settings_of_a_decoding():
    settings = {"beam_size": 3, "min_length": 3, "max_length": 20, "length_penalty": 0.5}
    options = DecodingOptions.from_settings(settings)
    assert options == DecodingOptions(3, 3, 20, 0.5, n_best=3, batch_size=32)


@pytest.mark.parametrize("n_best", [None, 1, 2])
def test_n_best_is_the_beam_unless_given(n_best):
    options = DecodingOptions.from_settings({"beam_size": 2, "n_best": n_best})
    assert options.n_best == (n_best or 2)


def test_empty_settings_are_greedy():
    assert DecodingOptions.from_settings({}) == DecodingOptions(beam_size=1, n_best=1)


def test_the_schema_of_the_config_says_the_same(repository):
    schema = read_yaml(repository / "workflow" / "schemas" / "config.schema.yaml")
    keys = schema["properties"]["decodings"]["additionalProperties"]["properties"]
    defaults = dataclasses.asdict(DecodingOptions())
    assert set(keys) == set(defaults)
    for name, key in keys.items():
        assert key.get("default", defaults[name]) == defaults[name]


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
    ],
)
def test_an_impossible_option_is_named(settings, message):
    with pytest.raises(InputError, match=message):
        DecodingOptions.from_settings(settings)
