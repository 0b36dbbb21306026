"""The form of a system's metadata: its fields and their types."""

import difflib
import re
from collections.abc import Mapping
from typing import Any

from captioner.submission.findings import Findings
from captioner.submission.lined_yaml import Lined, Path, read_lined_yaml
from captioner.submission.schema import METADATA, Field

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_URL = re.compile(r"https?://\S+")
_EXPECTED = {
    "text": "text",
    "number": "a number",
    "whole": "a whole number without separators",
    "flag": "Yes or No",
    "email": "an email address",
    "url": "an address (http://, https://)",
}


def read_metadata(file: str, content: bytes, findings: Findings) -> Lined | None:
    """Read a metadata file and check its fields and their types; None where nothing can be read."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte = content[error.start]
        told = f"found byte 0x{byte:02x}, expected UTF-8: save it so"
        findings.error(file, line, "encoding", told)
        return None
    lined = read_lined_yaml(text, file, findings)
    if lined is not None:
        _check_form(file, lined, lined.value, METADATA, (), findings)
    return lined


def part(value: Any, *path: str) -> Any:
    """Give a part of metadata; None where it is not there."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def text(metadata: Any, key: str) -> str:
    """Give a text that a submission is known by; "" where there is none."""
    found = part(metadata, "submission", key)
    return str(found) if isinstance(found, str | int | float) else ""


def as_number(value: Any) -> float | None:
    """Give a number, `1e-3` too, which YAML reads as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < float("inf") else None


def datasets(metadata: Any) -> list[dict[str, Any]]:
    """Give the external datasets that are declared by name."""
    found = part(metadata, "system", "external_datasets")
    listed = found if isinstance(found, list) else []
    return [item for item in listed if isinstance(item, dict) and item.get("name")]


def _check_form(
    file: str, lined: Lined, value: Any, form: Any, path: Path, findings: Findings
) -> None:
    line = lined.line(path)
    name = ".".join(map(str, path)) or "the file"
    if isinstance(form, Field):
        _check_field(file, line, name, value, form, findings)
    elif isinstance(form, list):
        if value is None and path == ("system", "external_datasets"):
            return
        if not isinstance(value, list):
            findings.error(file, line, "type", f"{name}: found {_told(value)}, expected a list (-)")
            return
        for place, item in enumerate(value):
            _check_form(file, lined, item, form[0], (*path, place), findings)
    elif not isinstance(value, dict):
        findings.error(
            file, line, "type", f"{name}: found {_told(value)}, expected the keys {', '.join(form)}"
        )
    else:
        _check_keys(file, lined, value, form, path, findings)
        for key, inner in form.items():
            spelling = inner.spelling if isinstance(inner, Field) else None
            written = spelling if spelling and spelling in value else key
            if written in value:
                _check_form(file, lined, value[written], inner, (*path, written), findings)


def _check_keys(
    file: str,
    lined: Lined,
    value: Mapping[str, Any],
    form: Mapping[str, Any],
    path: Path,
    findings: Findings,
) -> None:
    line = lined.line(path)
    where = f"{'.'.join(map(str, path))}: " if path else ""
    spellings = {f.spelling: key for key, f in form.items() if isinstance(f, Field) and f.spelling}
    for key, inner in form.items():
        optional = isinstance(inner, Field) and not inner.required
        spelling = inner.spelling if isinstance(inner, Field) else None
        if key not in value and spelling not in value and not optional:
            findings.error(
                file, line, "field-missing", f"{where}found no {key}, expected it, with !!null "
                "where it does not apply",
            )  # fmt: skip
    for key in value:
        if key not in form and key not in spellings:
            near = difflib.get_close_matches(key, list(form), n=1)
            told = f" (did you mean {near[0]!r}?)" if near else ""
            findings.error(
                file, lined.line((*path, key)), "field-unknown", f"{where}unknown key {key!r}{told}"
            )
        elif key in spellings and spellings[key] in value:
            findings.error(
                file, lined.line((*path, key)), "field-unknown", f"{where}{key!r} stands there as "
                f"{spellings[key]!r} too: keep one",
            )  # fmt: skip


def _check_field(
    file: str, line: int, name: str, value: Any, field: Field, findings: Findings
) -> None:
    if value is None or value == "":
        if not field.null:
            findings.error(
                file, line, "type", f"{name}: found nothing, expected {_EXPECTED[field.kind]}"
            )
        return
    if not _fits(value, field):
        findings.error(
            file, line, "type", f"{name}: found {_told(value)}, expected {_EXPECTED[field.kind]}"
        )
        return
    number = as_number(value) if field.kind in ("number", "whole") else None
    if number is not None and not 0 <= number <= (field.most or number):
        top = f"0 to {field.most:g} (no percent)" if field.most else "0 or more"
        findings.error(file, line, "range", f"{name}: found {value}, expected {top}")


def _fits(value: Any, field: Field) -> bool:
    if field.kind in ("number", "text") and isinstance(value, list):  # several of an ensemble
        return bool(value) and all(
            not isinstance(item, list) and _fits(item, field) for item in value
        )
    match field.kind:
        case "flag":
            return isinstance(value, bool)
        case "number":
            return as_number(value) is not None
        case "whole":
            return isinstance(value, int) and not isinstance(value, bool)
        case "email":
            return isinstance(value, str) and _EMAIL.fullmatch(value) is not None
        case "url":
            return isinstance(value, str) and _URL.fullmatch(value) is not None
        case _:  # a norm of 2, a rate of 44100, a name that YAML takes for a number
            return isinstance(value, str | int | float) and not isinstance(value, bool)


def _told(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return "nothing" if value is None else repr(value)[:80]
