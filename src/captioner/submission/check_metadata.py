"""Check what a system's metadata says of itself, of its files and of its results."""

import re
from collections.abc import Mapping
from typing import Any

from captioner.submission.findings import Findings
from captioner.submission.lined_yaml import Lined, Path
from captioner.submission.metadata_form import as_number, datasets, part, text
from captioner.submission.names import LABEL, LABEL_FORM, FileName, folded
from captioner.submission.schema import MAX_ABBREVIATION, METRICS, TOLERANCE

RESULTS_PATH = ("results", "development_evaluation")
_CLOTHO_METADATA = re.compile(r"key ?words?|meta-?data|sound[_ ]ids?", re.IGNORECASE)
_UNCAPTIONED = re.compile(r"test(ing)?\b|analysis", re.IGNORECASE)  # of Clotho's splits
# What cannot be had without data beside Clotho.
_EXTERNAL = re.compile(
    r"audio ?set|panns?\b|cnn-?(10|14)|yamnet|vggish|convnext|pass?t\b|beats|clap\b|hts-?at|bert|"
    r"gpt|bart\b|glove|fasttext|word2vec|pre-?trained|audio ?caps|macs|wavcaps|freesound",
    re.IGNORECASE,
)


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
    if None not in (cider, spice, spider) and METRICS["spider"] not in (scores or {}):
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
    _check_own_data(file, lined, findings)
    for key, value in description.items():
        found = key != "clotho_metadata" and _CLOTHO_METADATA.search(str(value))
        if found and not description.get("clotho_metadata"):
            findings.warning(
                file, lined.line((*path, key)), "metadata-use", f"{key}: {found[0]!r} sounds like "
                "Clotho's metadata, any use of which is to be stated: as `clotho_metadata`",
            )  # fmt: skip
    if datasets(lined.value):
        return
    for key in ("acoustic_features", "word_embeddings", "audio_modelling", "word_modelling"):
        value = str(description.get(key) or "")
        if "learned" not in value and (found := _EXTERNAL.search(value)):
            findings.warning(
                file, lined.line((*path, key)), "external", f"{key}: {found[0]!r} is often trained "
                "on external data, and external_datasets names none: declare them if it is",
            )  # fmt: skip


def _check_own_data(file: str, lined: Lined, findings: Findings) -> None:
    """Check that no entry of the external datasets is the challenge's own."""
    listed = part(lined.value, "system", "external_datasets")
    for place, item in enumerate(listed if isinstance(listed, list) else []):
        name = str(item.get("name", "")) if isinstance(item, dict) else ""
        line = lined.line(("system", "external_datasets", place))
        if "clotho" not in name.lower():
            continue
        if found := _UNCAPTIONED.search(name):
            findings.error(
                file, line, "test-split", f"external_datasets: {name!r}: nothing may be learned "
                f"from the split {found[0]}: train without it",
            )  # fmt: skip
        else:
            findings.warning(
                file, line, "not-external", f"external_datasets: {name!r} is the challenge's own, "
                "expected external ones only",
            )  # fmt: skip
