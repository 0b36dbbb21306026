"""The keys of a family's `model:` settings, read from its source: no import, so no torch.

Names and defaults alone: types and bounds are the `Dims`' own to check, when a training begins.
"""

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from captioner.errors import InputError
from captioner.models.registry import FAMILIES

FOLLOWED = "captioner.models."  # modules that a family's dataclass may be derived from


@cache
def model_keys(family: str) -> dict[str, Any] | None:
    """Give the fields of a family's `Dims` that its YAML may set, each with its default.

    A default that is no plain constant is None; so is the answer where the source does not tell,
    for want of a dataclass with a class variable `family` of that value. Raises `InputError` for a
    family without a source.
    """
    module = FAMILIES[family]
    if find_spec(module) is None:
        raise InputError(
            f"family {family}: found no module {module}, expected the file that "
            "captioner.models.registry names. Write it there, or take the entry out."
        )
    for node in _parse(module).body:
        if isinstance(node, ast.ClassDef) and _constants(node).get("family") == family:
            return _fields(module, node)
    return None


def _fields(module: str, node: ast.ClassDef) -> dict[str, Any]:
    """Give the fields of a dataclass, those of its bases first; but not what `dims.Dims` has."""
    found: dict[str, Any] = {}
    for base in node.bases:
        if isinstance(base, ast.Name) and (origin := _find(module, base.id)):
            found |= _fields(*origin)
    constants = _constants(node)
    for each in node.body:
        match each:
            case ast.AnnAssign(ast.Name(name), annotation):
                if "ClassVar" not in ast.unparse(annotation):
                    found[name] = constants.get(name)
    return found


def _constants(node: ast.ClassDef) -> dict[str, Any]:
    """Give what the body of a class sets to a plain constant."""
    found = {}
    for each in node.body:
        match each:
            case ast.Assign([ast.Name(name)], ast.Constant(value)) | ast.AnnAssign(
                ast.Name(name), _, ast.Constant(value)
            ):
                found[name] = value
    return found


def _find(module: str, name: str) -> tuple[str, ast.ClassDef] | None:
    """Find a class in a module, or in the one that it is imported from."""
    for node in _parse(module).body:
        match node:
            case ast.ClassDef() if node.name == name:
                return module, node
            case ast.ImportFrom(str(origin), names) if origin.startswith(FOLLOWED):
                if name in [alias.name for alias in names]:
                    return _find(origin, name)
    return None


@cache
def _parse(module: str) -> ast.Module:
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
