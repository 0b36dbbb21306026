"""Check a package of the challenge, ours or not: every file of it, and all of them together."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from captioner.errors import InputError
from captioner.submission.archive import Archive, read_archive
from captioner.submission.check_metadata import check_consistency, check_label, check_results
from captioner.submission.check_output import check_output, read_test_clips
from captioner.submission.check_rules import Model, check_rules, read_models
from captioner.submission.findings import Findings
from captioner.submission.lined_yaml import Lined
from captioner.submission.metadata_form import read_metadata, text
from captioner.submission.names import (
    EXTENSIONS,
    FILE_FORM,
    FileName,
    file_name,
    parse_file_name,
)
from captioner.submission.schema import METRICS

DRAFT_MARK = b"aac-workflow-draft"  # among the keywords of a draft report
_PDF_EDGE = 1024  # bytes at either end where readers look for the marks


@dataclass(frozen=True)
class Known:
    """What is known of a package beside itself."""

    clips: Sequence[str] | None = None  # of the test split, in order
    scores: Mapping[int, Mapping[str, float]] = field(default_factory=dict)  # index -> metric
    models: Mapping[int, Sequence[Model]] = field(default_factory=dict)  # index -> model.json
    own: str | None = None  # the challenge's corpus; by default any version of Clotho
    allow_empty: bool = False  # a caption of nothing is a warning

    @classmethod
    def read(
        cls,
        clips: str | Path | None = None,
        scores: Mapping[int, str | Path] | None = None,
        models: Mapping[int, Sequence[str | Path]] | None = None,
        own: str | None = None,
        *,
        allow_empty: bool = False,
    ) -> "Known":
        """Read it from files: the list of clips, scores by index, model folders by index.

        Raises `InputError` where one of them is not what it should be.
        """
        return cls(
            None if clips is None else read_test_clips(clips),
            {index: _read_scores(Path(path)) for index, path in (scores or {}).items()},
            {index: read_models(folders) for index, folders in (models or {}).items()},
            own,
            allow_empty,
        )


@dataclass
class _System:
    """The files of one system: kind -> name in the package."""

    files: dict[str, str] = field(default_factory=dict)
    named: FileName | None = None
    lined: Lined | None = None


def check_package(path: str | Path, known: Known) -> Findings:
    """Check the zip of a submission.

    Raises:
        InputError: there is no such file, or it is no zip.
    """
    findings = Findings()
    archive = read_archive(path, findings)
    if findings.found and not archive.names:
        return findings
    systems = _sort(archive, findings)
    if not systems:
        findings.error("", 0, "names", f"found no system, expected files named {FILE_FORM}")
    for index, system in sorted(systems.items()):
        _check_system(index, system, archive, known, findings)
    if systems and not any("report" in system.files for system in systems.values()):
        told = "found no technical report, expected a PDF for each system"
        findings.error("", 0, "report-missing", told)
    _check_together(systems, findings)
    for given in ("scores", "models"):
        for index in getattr(known, given):
            if index not in systems:
                raise InputError(
                    f"{given} were given for the system {index}; the package has "
                    f"{', '.join(map(str, sorted(systems))) or 'none'}"
                )
    return findings


def _sort(archive: Archive, findings: Findings) -> dict[int, _System]:
    """Give index -> system, by the names of the files; others are findings."""
    systems: dict[int, _System] = {}
    for name in archive.names:
        base = PurePosixPath(name).name
        named = parse_file_name(base)
        if named is None:
            near = PurePosixPath(base).suffix.lower() in (".csv", ".yaml", ".yml", ".pdf")
            hidden = base.startswith(".") or name.startswith("__MACOSX/")
            if near and not hidden:
                findings.error(name, 0, "names", f"found this name, expected {FILE_FORM}")
            else:
                findings.warning(name, 0, "not-needed", "no file of a submission: take it out")
            continue
        system = systems.setdefault(named.index, _System(named=named))
        assert system.named is not None
        if named.kind in system.files:
            findings.error(
                name, 0, "twice", f"{system.files[named.kind]} is the {named.kind} of system "
                f"{named.index} too, expected one",
            )  # fmt: skip
            continue
        if named.team != system.named.team:
            findings.error(
                name, 0, "names", f"found {named.team}, expected "
                f"{system.named.team}, as in the system's other files",
            )  # fmt: skip
        system.files[named.kind] = name
    return systems


def _check_system(
    index: int, system: _System, archive: Archive, known: Known, findings: Findings
) -> None:
    named = system.named
    assert named is not None
    for kind in EXTENSIONS:
        if kind not in system.files:
            name = file_name(named.author, named.institute, index, kind)
            if kind == "report":
                told = "not in the package: is another system's report that of this one too?"
                findings.warning(name, 0, "report-shared", told)
            else:
                findings.error(name, 0, "file-missing", "not in the package: add it")

    def contents(kind: str) -> tuple[str, bytes] | None:
        name = system.files.get(kind, "")
        return (name, archive.contents[name]) if name in archive.contents else None

    if output := contents("output"):
        check_output(*output, known.clips, findings, allow_empty=known.allow_empty)
        if known.clips is None:
            findings.skipped("whether every test clip has its caption: no list of them was given")
    if report := contents("report"):
        _check_pdf(*report, findings)
    if metadata := contents("metadata"):
        file = metadata[0]
        system.lined = read_metadata(*metadata, findings)
        if system.lined is not None:
            check_label(file, named, system.lined, findings)
            check_consistency(file, system.lined, findings)
            check_results(file, system.lined, known.scores.get(index), findings)
            _check_origin(index, file, system.lined, known, findings)


def _check_origin(index: int, file: str, lined: Lined, known: Known, findings: Findings) -> None:
    if index not in known.scores:
        findings.skipped(f"the results of system {index}: no scores file was given")
    elif absent := [key for key, metric in METRICS.items() if metric not in known.scores[index]]:
        told = f"{', '.join(absent)} of system {index}: its scores file has none"
        findings.skipped(told)
    if index in known.models:
        check_rules(file, lined, known.models[index], known.own, findings)
    else:
        findings.skipped(
            f"what system {index} learned from, but for what its metadata says: no model was given"
        )


def _check_together(systems: Mapping[int, _System], findings: Findings) -> None:
    """Check that the systems can be told apart."""
    if len({system.named.team for system in systems.values() if system.named}) > 1:
        findings.error(
            "", 0, "names", "found files of several authors or institutes, expected one team's"
        )
    notes: dict[str, Callable[..., None]] = {
        "label": findings.error,
        "abbreviation": findings.warning,
    }
    for key, note in notes.items():
        seen: dict[str, str] = {}
        for _, system in sorted(systems.items()):
            value = text(system.lined.value, key) if system.lined else ""
            if not value or system.lined is None:
                continue
            file = system.files["metadata"]
            if value.lower() in seen:
                note(
                    file, system.lined.line(("submission", key)), "not-unique",
                    f"{key}: {value!r} is that of {seen[value.lower()]} too, expected another",
                )  # fmt: skip
            seen.setdefault(value.lower(), file)


def _check_pdf(file: str, content: bytes, findings: Findings) -> None:
    if b"%PDF-" not in content[:_PDF_EDGE]:
        findings.error(file, 0, "pdf", "found no PDF (it does not begin with %PDF-): export one")
    elif b"%%EOF" not in content[-_PDF_EDGE:]:
        findings.error(
            file, 0, "pdf", "found a PDF without its end (%%EOF): it was cut; copy it again"
        )
    elif DRAFT_MARK in content:
        told = "this is the draft made from the run: put your own report in its place"
        findings.warning(file, 0, "draft", told)


def _read_scores(path: Path) -> dict[str, float]:
    """Read metric -> value of a scores file of the workflow, or of `captioner score --out`."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        metrics = found.get("metrics", found)
        scores = {name: float(metrics[name]) for name in METRICS.values() if name in metrics}
    except (OSError, ValueError, TypeError, AttributeError):
        scores = {}
    if not scores or not all(map(math.isfinite, scores.values())):
        raise InputError(
            f"{path}: found no scores that can be read, expected those of a system: the workflow's "
            "JSON or that of `captioner score --out`"
        )
    return scores
