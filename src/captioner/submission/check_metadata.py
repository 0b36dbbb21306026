"""Check a system's metadata: its fields and their types, then what they say of each other."""

import difflib
import re
from collections.abc import Mapping
from typing import Any

from captioner.submission.findings import Findings
from captioner.submission.lined_yaml import Lined, Path, read_lined_yaml
from captioner.submission.names import LABEL, LABEL_FORM, FileName, folded
from captioner.submission.schema import MAX_ABBREVIATION, METADATA, METRICS, TOLERANCE, Field

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
RESULTS_PATH = ("results", "development_evaluation")
# What cannot be had without data beside Clotho.
_EXTERNAL = re.compile(
    r"audio ?set|panns?\b|cnn-?(10|14)|yamnet|vggish|convnext|pass?t\b|beats|clap\b|hts-?at|bert|"
    r"gpt|bart\b|glove|fasttext|word2vec|pre-?trained|audio ?caps|macs|wavcaps|freesound",
    re.IGNORECASE,
)


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


def check_label(file: str, name: FileName, lined: Lined, findings: Findings) -> None:
    """Check the label against the file's name and the authors, and the abbreviation."""
    metadata = lined.value
    label = text(metadata, "label")
    author = _check_authors(file, lined, findings)
    if label:
        line = lined.line(("submission", "label"))
        parts = LABEL.fullmatch(label)
        if parts is None:
            findings.error(
                file, line, "label", f"label: found {label!r}, expected {LABEL_FORM}, as in "
                f"{name.team}_task6_{name.index}",
            )  # fmt: skip
        else:
            expected = f"{name.team}_task6_{name.index}"
            if label.lower() != expected.lower():
                findings.error(
                    file, line, "label-name", f"label: found {label!r}, expected {expected!r}, "
                    "which the file's name says",
                )  # fmt: skip
            elif author is not None:
                _compare_with_author(file, line, parts[1], parts[2], author, findings)
    short = text(metadata, "abbreviation")
    if len(short) > MAX_ABBREVIATION:
        findings.error(
            file, lined.line(("submission", "abbreviation")), "abbreviation",
            f"abbreviation: found {len(short)} characters, expected at most {MAX_ABBREVIATION}",
        )  # fmt: skip


def _check_authors(file: str, lined: Lined, findings: Findings) -> dict[str, Any] | None:
    """Give the corresponding author; None unless there is exactly one."""
    authors = part(lined.value, "submission", "authors")
    if not isinstance(authors, list):
        return None
    line = lined.line(("submission", "authors"))
    marks = [author.get("corresponding") for author in authors if isinstance(author, dict)]
    if len(marks) < len(authors) or not all(mark in (True, False, None) for mark in marks):
        return None  # the types are wrong, as is already said
    marked = [place for place, mark in enumerate(marks) if mark]
    if len(marked) != 1:
        findings.error(
            file, line, "corresponding", f"authors: found {len(marked)} of {len(authors)} with "
            "`corresponding: true`, expected exactly one",
        )  # fmt: skip
        return None
    author: dict[str, Any] = authors[marked[0]]
    if not author.get("email"):
        findings.warning(
            file, lined.line(("submission", "authors", marked[0])), "email",
            "authors: the corresponding author has no email address: add it",
        )  # fmt: skip
    return author


def _compare_with_author(
    file: str,
    line: int,
    lastname: str,
    institute: str,
    author: Mapping[str, Any],
    findings: Findings,
) -> None:
    theirs = {
        "last name": (lastname, author.get("lastname")),
        "institute's abbreviation": (institute, part(author, "affiliation", "abbreviation")),
    }
    for what, (written, known) in theirs.items():
        if isinstance(known, str) and folded(known) != folded(written):
            findings.warning(
                file, line, "label-author", f"label: found {written!r}, expected the corresponding "
                f"author's {what}, {known!r}",
            )  # fmt: skip


def check_results(
    file: str, lined: Lined, scores: Mapping[str, float] | None, findings: Findings
) -> None:
    """Check the results: SPIDEr against its parts, and all against a scores file if given."""
    results = part(lined.value, *RESULTS_PATH)
    if not isinstance(results, dict):
        return
    line = lined.line(RESULTS_PATH)
    found = {key: as_number(results.get(key)) for key in METRICS}
    if scores is not None:
        for key, metric in METRICS.items():
            value = found[key]
            if value is None and metric in scores:
                findings.warning(
                    file, lined.line((*RESULTS_PATH, key)), "result-missing", f"{key}: found "
                    f"nothing, but the scores file has {scores[metric]:.4f}",
                )  # fmt: skip
            elif value is not None and metric in scores and _differ(value, scores[metric]):
                findings.error(
                    file, lined.line((*RESULTS_PATH, key)), "result", f"{key}: found "
                    f"{results[key]}, expected {scores[metric]:.4f} to within {TOLERANCE}, as in "
                    "the scores file",
                )  # fmt: skip
    elif all(value is None for value in found.values()):
        told = "found no results of development-testing: they are recommended"
        findings.warning(file, line, "result-missing", told)
    cider, spice, spider = (found[key] for key in ("cider", "spice", "spider"))
    if None not in (cider, spice, spider) and scores is None:
        assert cider is not None and spice is not None and spider is not None
        if _differ(spider, (cider + spice) / 2, 2):
            findings.error(
                file, lined.line((*RESULTS_PATH, "spider")), "result", f"spider: found {spider}, "
                f"expected {(cider + spice) / 2:.4f}, the mean of cider and spice, to within "
                f"{2 * TOLERANCE}",
            )  # fmt: skip


def _differ(value: float, expected: float, times: int = 1) -> bool:
    return abs(value - expected) > times * TOLERANCE + 1e-9


def check_consistency(file: str, lined: Lined, findings: Findings) -> None:
    """Check what fields say of each other: clipping, external data."""
    description = part(lined.value, "system", "description")
    if not isinstance(description, dict):
        return
    path: Path = ("system", "description")
    if as_number(description.get("gradient_clipping")) == 0 and description.get("gradient_norm"):
        findings.warning(
            file, lined.line((*path, "gradient_norm")), "clipping", "gradient_norm: found "
            f"{description['gradient_norm']!r}, expected !!null where gradient_clipping is 0",
        )  # fmt: skip
    for place, item in enumerate(part(lined.value, "system", "external_datasets") or []):
        name = str(item.get("name", "")) if isinstance(item, dict) else ""
        if "clotho" in name.lower() and "metadata" not in name.lower():
            findings.warning(
                file, lined.line(("system", "external_datasets", place)), "not-external",
                f"external_datasets: {name!r} is the challenge's own, expected external ones only",
            )  # fmt: skip
    if datasets(lined.value):
        return
    for key in ("acoustic_features", "word_embeddings", "audio_modelling", "word_modelling"):
        if found := _EXTERNAL.search(str(description.get(key) or "")):
            findings.warning(
                file, lined.line((*path, key)), "external", f"{key}: {found[0]!r} is often trained "
                "on external data, and external_datasets names none: declare them if it is",
            )  # fmt: skip
