"""Families by name; settings that a family does not take are errors that name them."""

import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from captioner.errors import InputError
from captioner.models.registry import FAMILIES, build_model, restore_model


def build(family: str = "dcase_baseline", **settings):
    return build_model(family, settings, {"logmel": 16}, 20, 0, 1)


def test_unknown_family():
    with pytest.raises(
        InputError, match=r"unknown system family 'dcase'; expected one of .*dcase_b"
    ):
        build("dcase")
    with pytest.raises(InputError, match="unknown system family 'dcase'"):
        restore_model("dcase", {})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_hiden": 8}, r"unknown key 'n_hiden'.*dcase_baseline.*n_hidden, n_steps, dropout"),
        ({"n_tokens": 9}, r"unknown key 'n_tokens'.*known keys: n_hidden"),
        ({"n_hidden": "8"}, r"dcase_baseline.*n_hidden is '8' \(str\); expected int"),
        ({"n_hidden": True}, r"n_hidden is True \(bool\); expected int"),
        ({"n_hidden": 8.0}, r"n_hidden is 8.0 \(float\); expected int"),
        ({"dropout": "1e-1"}, r"dropout is '1e-1' \(str\); expected float.*1.0e-4 for 1e-4"),
        ({"n_steps": 0}, r"n_steps is 0; expected 1 or more"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(InputError, match=message):
        build(**settings)


def test_wrong_type_of_a_list():
    with pytest.raises(InputError, match=r"n_channels is 8 \(int\); expected a list"):
        build("conv_transformer", n_channels=8)
    with pytest.raises(InputError, match=r"n_channels is '8' \(str\); expected int"):
        build("conv_transformer", n_channels=["8"])


CONFIG = Path(__file__).resolve().parents[2] / "config"
SHIPPED = {
    path.stem: system
    for path in sorted((CONFIG / "systems").glob("*.yaml"))
    if "family" in (system := yaml.safe_load(path.read_text(encoding="utf-8")))
}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_systems_can_be_built(name):
    family, settings = SHIPPED[name]["family"], SHIPPED[name]["model"]
    assert build_model(family, settings, {"logmel": 64}, 500, 0, 1).n_parameters() > 0


def test_missing_dims_are_named():
    dims = asdict(build().dims)
    del dims["n_tokens"]
    with pytest.raises(InputError, match=r"the key 'n_tokens' of the family dcase_baseline is mis"):
        restore_model("dcase_baseline", dims)


def test_whole_numbers_are_floats_too():
    assert build(dropout=0).dims.dropout == 0.0


@pytest.mark.parametrize("family", FAMILIES)
def test_restored_dims_are_the_same(family):
    model = build(family)
    assert restore_model(family, asdict(model.dims)).dims == model.dims


@pytest.mark.parametrize("family", FAMILIES)
def test_building_one_family_imports_no_other(family):
    others = [module for name, module in FAMILIES.items() if name != family]
    for module in others:
        sys.modules.pop(module, None)
    build(family)
    assert not any(module in sys.modules for module in others)
