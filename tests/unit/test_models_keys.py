"""The keys of `model:` as read from sources, against the dataclasses themselves."""

import importlib
import sys
from dataclasses import fields

import pytest

from captioner.errors import InputError
from captioner.models import keys
from captioner.models.dims import Dims
from captioner.models.keys import model_keys
from captioner.models.registry import FAMILIES

OWN = """
from dataclasses import dataclass

from captioner.models import dims
from captioner.models.transformer_captioner import FrameDims


@dataclass(frozen=True, kw_only=True)
class {name}({base}):
    family = "own"
    n_extra: int = 3
    n_needed: int
"""


@pytest.mark.parametrize("family", FAMILIES)
def test_keys_are_the_fields_of_the_dims(family):
    of_data = {field.name for field in fields(Dims)}
    model = importlib.import_module(FAMILIES[family]).MODEL
    expected = {
        field.name: field.default if isinstance(field.default, (int, float)) else None
        for field in fields(model.Dims)
        if field.name not in of_data
    }
    assert model_keys(family) == expected


def read_own(folder, monkeypatch, name="OwnDims", base="dims.Dims"):
    """The keys of a family in a module of its own."""
    (folder / "own_family.py").write_text(OWN.format(name=name, base=base))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setitem(FAMILIES, "own", "own_family")
    keys._parse.cache_clear()
    return model_keys.__wrapped__("own")


def test_a_family_of_the_users_own(tmp_path, monkeypatch):
    own = {"n_extra": 3, "n_needed": None}
    assert read_own(tmp_path, monkeypatch) == own
    assert read_own(tmp_path, monkeypatch, base="FrameDims")["n_layers"] == 6
    assert "own_family" not in sys.modules  # read, not run


def test_a_family_whose_source_does_not_tell(tmp_path, monkeypatch):
    (tmp_path / "silent_family.py").write_text("from elsewhere import MODEL\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(FAMILIES, "silent", "silent_family")
    assert model_keys("silent") is None
    monkeypatch.setitem(FAMILIES, "absent", "captioner.models.absent")
    with pytest.raises(InputError, match=r"family absent: found no module captioner\.models\.abs"):
        model_keys("absent")
