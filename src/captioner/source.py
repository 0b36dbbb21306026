"""Digest of the code that a job runs: an edit reruns what depends on it, and nothing else."""

import ast
import hashlib
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


def source_digest(*entries: str | Path, without: Collection[str] = ()) -> str:
    """Return a hex digest of the code reachable by imports from `entries`.

    An entry is the path of a script or the name of a module of this package. Imports are followed
    at every depth of the code, inside functions too, within this package only (other packages are
    pinned by the lock). Registries, dicts whose values are names of modules, stop the walk and do
    not count, nor do tuples of their keys, so that a new entry makes nothing stale: name the one
    module that a job uses as an entry of its own. Comments, docstrings and layout do not count:
    what is hashed is `ast.unparse` without docstrings, equal on Python 3.11 to 3.13. A file beside
    a module that the module names in a string (another language's code, a list of names) counts.
    Modules named by `without` count as if nothing imported them: what the job leaves unused.

    Raises:
        FileNotFoundError: an entry is neither a file nor a module of the package.
    """
    left_out = {_locate(name) for name in without}
    found: dict[str, str] = {}
    waiting = [_locate(entry) for entry in entries]
    while waiting:
        path = waiting.pop()
        name = _name(path)
        if name not in found:
            found[name], imported = _read(path, path.stat().st_mtime_ns)
            waiting += [module for module in imported if module not in left_out]
    text = "\n".join(f"{name}\n{found[name]}" for name in sorted(found))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _locate(entry: str | Path) -> Path:
    path = entry if isinstance(entry, Path) else _module_path(entry)
    if path is None or not path.is_file():
        raise FileNotFoundError(f"no script or module of the package: {entry}")
    return path


def _name(path: Path) -> str:
    """Return a name that does not depend on where the checkout stands."""
    inside = path.is_relative_to(PACKAGE)
    return str(path.relative_to(PACKAGE.parent)) if inside else path.name


@cache
def _read(path: Path, _mtime_ns: int) -> tuple[str, list[Path]]:
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    imported = [found for name in _imports(tree) if (found := _module_path(name))]
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
            and isinstance(body[0].value.value, str)
        ):
            node.body = body[1:] or [ast.Pass()]
    _leave_out_registries(tree)
    return "\n".join([ast.unparse(tree), *_named_files(tree, path.parent)]), imported


def _leave_out_registries(tree: ast.AST) -> None:
    """Empty the dicts whose values all name modules of the package, and tuples of their keys."""
    registered = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict) and all(map(_module_path, _strings(node.values))):
            registered |= _strings(node.keys)
            node.keys, node.values = [], []
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple) and _strings(node.elts) <= registered:
            node.elts = []


def _strings(nodes: Sequence[ast.expr | None]) -> set[str]:
    """Give the values of string constants; what is none counts as one that names nothing."""
    values = [node.value if isinstance(node, ast.Constant) else None for node in nodes]
    return {value if isinstance(value, str) else "" for value in values}


def _named_files(tree: ast.AST, folder: Path) -> Iterator[str]:
    """Yield the contents of the files in `folder`, other than modules, that strings name."""
    beside = {path.name: path for path in folder.iterdir() if path.suffix not in (".py", "")}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in beside:
            yield beside[node.value].read_text(encoding="utf-8")


def _imports(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted names that may be modules; `from a import b` gives `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _module_path(name: str) -> Path | None:
    first, *rest = name.split(".")
    if first != PACKAGE.name:
        return None
    base = PACKAGE.joinpath(*rest)
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None
