"""Configuration: named YAML files and overrides, checked against closed schemas with defaults."""

import copy
import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jsonschema import Draft202012Validator, ValidationError

from captioner.errors import InputError


class Named(NamedTuple):
    """A named entry of the config."""

    name: str
    settings: dict[str, Any]  # with overrides and defaults
    path: Path  # of its YAML file
    changes: list[str]  # what overrides made different: "training.epochs: 10 instead of 300"


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        InputError: the file is absent, is not valid YAML, or does not hold a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: a mapping was expected, found {type(content).__name__}")
    return content


def complete(settings: Mapping[str, Any], schema: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return a copy of `settings` with the schema's defaults filled in.

    Raises:
        InputError: settings against the schema; every finding names its key, what was found and
            what is allowed.
    """
    filled = copy.deepcopy(dict(settings))
    _fill(filled, schema)
    findings = sorted(Draft202012Validator(schema).iter_errors(filled), key=lambda e: str(e.path))
    if findings:
        lines = "\n".join(f"  {line}" for error in findings for line in _explain(error))
        raise InputError(f"{source}: the settings are not as expected:\n{lines}")
    return filled


def resolve(
    item: str | Mapping[str, Any], kind: str, folder: Path, schema: Mapping[str, Any]
) -> Named:
    """Resolve a named entry of the config.

    Args:
        item: the name of a file in `folder`, or the path of the user's own YAML file, or a mapping
            with `name` (either of these), optionally `as` (a name for the variant) and overrides.
        kind: what it is, for messages ("system", "corpus").
        folder: where the project's own files of the kind are.
        schema: JSON Schema of the kind.

    Raises:
        InputError: no such file, or settings against the schema.
    """
    overrides = {} if isinstance(item, str) else dict(item)
    reference = item if isinstance(item, str) else overrides.pop("name")
    path = folder / f"{reference}.yaml"
    if reference.endswith((".yaml", ".yml")):
        path = Path(reference)
    elif not path.is_file():
        known = sorted(p.stem for p in folder.glob("*.yaml"))
        raise InputError(
            f"unknown {kind} {reference!r}{_suggest(reference, known)}; known: {', '.join(known)}; "
            "or give the path of your own YAML file"
        )
    name = overrides.pop("as", path.stem)
    base = read_yaml(path)
    changes = list(_differences(base, overrides))
    settings = complete(merge(base, overrides), schema, f"{kind} {name} ({path.name})")
    return Named(name, settings, path, changes)


def merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `overrides` on top: mappings are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in overrides.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def check_names(names: Iterable[str], known: Collection[str], kind: str, source: str) -> None:
    """Raise an `InputError` for the first of `names` that is not among `known`."""
    for name in names:
        if name not in known:
            raise InputError(
                f"{source}: unknown {kind} {name!r}{_suggest(name, known)}; "
                f"known: {', '.join(sorted(known)) or 'none'}"
            )


def _differences(
    base: Mapping[str, Any], overrides: Mapping[str, Any], prefix: str = ""
) -> Iterator[str]:
    for key, value in overrides.items():
        before = base.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            yield from _differences(before, value, f"{prefix}{key}.")
        elif value != before:
            yield f"{prefix}{key}: {_as_yaml(value)} instead of {_as_yaml(before)}"


def _as_yaml(value: Any) -> str:
    """Write a value on one line, as a config has it: `null`, `true`, `[1, 2]`."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"))
    return text.removesuffix("\n").removesuffix("\n...")


def _fill(settings: Any, schema: Mapping[str, Any]) -> None:
    """Fill defaults in place, depth first: of absent mappings with a default, of items of lists."""
    if isinstance(settings, dict):
        for key, part in schema.get("properties", {}).items():
            if "default" in part and key not in settings:
                settings[key] = copy.deepcopy(part["default"])
            if key in settings:
                _fill(settings[key], part)
        rest = schema.get("additionalProperties")
        if isinstance(rest, Mapping):
            for key in settings.keys() - schema.get("properties", {}).keys():
                _fill(settings[key], rest)
    elif isinstance(settings, list):
        for item in settings:
            _fill(item, schema.get("items", {}))


def _explain(error: ValidationError) -> Iterator[str]:
    where = ".".join(str(part) for part in error.absolute_path) or "top level"
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = sorted(error.schema.get("properties", {}))
        for key in sorted(error.instance.keys() - set(known)):
            yield f"{where}: unknown key {key!r}{_suggest(key, known)}; known: {', '.join(known)}"
    elif error.validator == "not":
        yield f"{where}: this key is not used together with the others here; remove it"
    else:
        yield f"{where}: {error.message}"


def _suggest(word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
