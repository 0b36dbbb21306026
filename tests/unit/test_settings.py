from pathlib import Path

import pytest
import yaml

from captioner.errors import InputError
from captioner.settings import check_names, complete, merge, resolve

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["title"],
    "then": {"properties": {"unused": {"not": {}}}},
    "if": {"required": ["title"]},
    "properties": {
        "title": {"type": "string"},
        "rate": {"type": "number", "minimum": 0, "default": 0.5},
        "training": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "epochs": {"type": "integer", "minimum": 1, "default": 3},
                "patience": {"type": "integer", "default": 7},
            },
        },
        "unused": {"type": "integer"},
        "named": {
            "type": "object",
            "default": {},
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"size": {"type": "integer", "default": 1}},
            },
        },
    },
}


def write(folder: Path, name: str, settings: object) -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def test_defaults_are_filled_at_every_depth_and_the_input_stays():
    given = {"title": "a", "training": {"epochs": 9}, "named": {"x": {}}}
    assert complete(given, SCHEMA, "here") == {
        "title": "a",
        "rate": 0.5,
        "training": {"epochs": 9, "patience": 7},
        "named": {"x": {"size": 1}},
    }
    assert given == {"title": "a", "training": {"epochs": 9}, "named": {"x": {}}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"title": "a", "rat": 1}, "top level: unknown key 'rat' (did you mean 'rate'?); known:"),
        ({"title": 3}, "title: 3 is not of type 'string'"),
        ({}, "top level: 'title' is a required property"),
        ({"title": "a", "training": {"epochs": 0}}, "training.epochs: 0 is less than the minimum"),
        ({"title": "a", "training": {"epoch": 1}}, "training: unknown key 'epoch'"),
        ({"title": "a", "unused": 1}, "unused: this key is not used together with the others"),
        ({"title": "a", "named": {"x": {"sise": 1}}}, "named.x: unknown key 'sise'"),
    ],
)
def test_every_finding_names_its_key(given, expected):
    with pytest.raises(InputError) as caught:
        complete(given, SCHEMA, "the file")
    assert str(caught.value).startswith("the file: the settings are not as expected:\n")
    assert expected in str(caught.value)


def test_several_findings_stand_in_one_message():
    with pytest.raises(InputError) as caught:
        complete({"title": 3, "rate": -1, "x": 1}, SCHEMA, "the file")
    assert len(str(caught.value).splitlines()) == 4


def test_merge_replaces_lists_and_merges_mappings():
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 4}
    assert merge(base, {"a": {"c": [3]}, "d": {"e": 5}}) == {"a": {"b": 1, "c": [3]}, "d": {"e": 5}}
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": 4}


def test_resolve_by_name_by_path_and_with_overrides(tmp_path):
    write(tmp_path, "small.yaml", {"title": "Small", "training": {"epochs": 5}})
    own = write(tmp_path, "my own.yaml", {"title": "Mine"})
    assert resolve("small", "system", tmp_path, SCHEMA).settings["training"]["patience"] == 7
    assert resolve(str(own), "system", Path("nowhere"), SCHEMA).name == "my own"
    variant = resolve(
        {"name": "small", "as": "long", "training": {"epochs": 50}}, "system", tmp_path, SCHEMA
    )
    assert variant.name == "long"
    assert variant.settings["training"] == {"epochs": 50, "patience": 7}
    assert variant.changes == ["training.epochs: 50 instead of 5"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "null"),
        (True, "true"),
        ("two words", "two words"),
        ("null", "'null'"),
        ([1.5, "é"], "[1.5, é]"),
        ({"a": None}, "{a: null}"),
    ],
)
def test_changes_are_told_in_yaml(tmp_path, value, written):
    write(tmp_path, "small.yaml", {"a": {"b": 5}})
    changed = resolve({"name": "small", "a": {"b": value}}, "system", tmp_path, {})
    assert changed.changes == [f"a.b: {written} instead of 5"]


def test_resolve_names_what_is_known(tmp_path):
    write(tmp_path, "small.yaml", {"title": "Small"})
    write(tmp_path, "large.yaml", {"title": "Large"})
    with pytest.raises(InputError, match=r"unknown system 'smal' \(did you mean 'small'\?\)"):
        resolve("smal", "system", tmp_path, SCHEMA)
    with pytest.raises(InputError, match="known: large, small"):
        resolve("x", "system", tmp_path, SCHEMA)


@pytest.mark.parametrize(
    ("content", "expected"),
    [("- a\n", "a mapping was expected, found list"), ("a: [\n", "not valid YAML")],
)
def test_unusable_yaml(tmp_path, content, expected):
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=expected):
        resolve(str(path), "system", tmp_path, SCHEMA)


def test_check_names():
    check_names(["a"], {"a": 1}, "decoding", "system x")
    with pytest.raises(InputError, match="system x: unknown decoding 'b'; known: a"):
        check_names(["a", "b"], {"a": 1}, "decoding", "system x")


def test_shipped_files_are_as_their_schemas_say(repository):
    for kind, folder in (("corpus", "corpora"), ("system", "systems"), ("frontend", "frontends")):
        schema = yaml.safe_load((repository / f"workflow/schemas/{kind}.schema.yaml").read_text())
        files = sorted((repository / "config" / folder).glob("*.yaml"))
        assert files
        for path in files:
            assert resolve(path.stem, kind, path.parent, schema).settings
