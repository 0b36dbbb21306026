"""YAML from a stranger: read as data, with the line of every key, without what can hurt."""

from dataclasses import dataclass, field
from typing import Any

import yaml

from captioner.submission.findings import Findings

MAX_DEPTH = 12  # of nesting; the metadata has 4 levels
MAX_DIGITS = 40  # of a number; `1:1:1...` and 0xfff... stand for any number of digits

_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")

Path = tuple[str | int, ...]


@dataclass
class Lined:
    """A YAML document and where its parts stand."""

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)  # path of keys and places -> line, from 1

    def line(self, path: Path) -> int:
        """Give the line of a part, or of the nearest part around it."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_lined_yaml(text: str, file: str, findings: Findings) -> Lined | None:
    """Read one document of plain values.

    Refused, with a finding at its line: broken syntax, tags that are not YAML's own, aliases (a
    short file can stand for a huge one), endless numbers, several documents, deep nesting and keys
    that stand twice. None where nothing could be read.
    """
    try:
        if not _is_plain(text, file, findings):
            return None
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        told = error.problem or error.context or "broken"
        line = mark.line + 1 if mark else 0
        findings.error(file, line, "yaml", f"not valid YAML: {told}. Correct it")
        return None
    except (yaml.YAMLError, ValueError) as error:
        told = str(error).splitlines()[0]
        findings.error(file, 0, "yaml", f"not valid YAML: {told}. Correct it")
        return None
    if root is None:
        findings.error(file, 1, "yaml", "found nothing, expected the metadata of a system")
        return None
    reader = _Reader(file, findings)
    lined = Lined(lines=reader.lines)
    lined.value = reader.read(root, ())
    return lined if reader.readable else None


def _is_plain(text: str, file: str, findings: Findings) -> bool:
    depth, documents = 0, 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if isinstance(event, yaml.AliasEvent):
            findings.error(file, line, "yaml", "found an alias (*), expected plain values")
            return False
        if depth > MAX_DEPTH:
            findings.error(file, line, "yaml", f"found more than {MAX_DEPTH} levels, expected 4")
            return False
        if documents > 1:
            findings.error(file, line, "yaml", "found a second document, expected one")
            return False
    return True


class _Reader:
    """Makes values of nodes and keeps their lines."""

    def __init__(self, file: str, findings: Findings):
        self._file, self._findings = file, findings
        self._constructor = yaml.SafeLoader("")
        self.lines: dict[Path, int] = {}
        self.readable = True

    def read(self, node: yaml.Node, path: Path) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        if isinstance(node, yaml.CollectionNode) and node.tag not in _COLLECTIONS:
            self._refuse(line, f"found the tag {node.tag!r}, expected none")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, place)) for place, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._refuse(line, "found a key of several values, expected a word")
                continue
            key = key_node.value
            if key in found:
                self._refuse(line, f"found the key {key!r} again, expected it once")
                continue
            self.lines[(*path, key)] = line
            found[key] = self.read(value_node, (*path, key))
        return found

    def _scalar(self, node: yaml.Node) -> Any:
        if node.tag in _NUMBERS and len(node.value) > MAX_DIGITS:
            told = f"found a number of {len(node.value)} digits, expected at most {MAX_DIGITS}"
            self._refuse(node.start_mark.line + 1, told)
            return None
        try:
            return self._constructor.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            told = getattr(error, "problem", None) or str(error)
            self._refuse(node.start_mark.line + 1, f"found {node.tag}: {told}")
            return None

    def _refuse(self, line: int, message: str) -> None:
        self.readable = False
        self._findings.error(self._file, line, "yaml", f"{message}. Correct it")
