"""Write a system's metadata and report, and the package of all of them."""

import json
import logging
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from captioner.errors import InputError
from captioner.job import atomic_path, write_text
from captioner.models.parameters import total_parameters
from captioner.submission.archive import write_archive
from captioner.submission.check import Known, check_package
from captioner.submission.check_rules import Model, read_models
from captioner.submission.datasets import external_datasets
from captioner.submission.describe import describe
from captioner.submission.names import label
from captioner.submission.schema import METRICS

log = logging.getLogger(__name__)

_HEADER = (
    "# Metadata of a submission to DCASE 2021 Challenge, task 6 (automated audio captioning)\n"
)
_DECIMALS = 4


def write_system(
    content: Mapping[str, Any],
    scores: str | Path | None,
    report: str | Path | None,
    metadata_path: str | Path,
    report_path: str | Path,
) -> None:
    """Write the metadata and the technical report of one system.

    Args:
        content: as `captioner.submission.sent.Submission.content` gives it.
        scores: scores of development-testing; None of a system that has learned from it.
        report: the team's own PDF, copied; without it, a draft is made from the run.
        metadata_path: YAML to write.
        report_path: PDF to write.

    Raises:
        InputError: a model or an encoder that cannot be read, a report that is no PDF.
    """
    metrics = None
    if scores is not None:
        metrics = json.loads(Path(scores).read_text(encoding="utf-8"))
    metadata = build_metadata(content, metrics)
    write_text(metadata_path, to_yaml(metadata))
    if report is not None:
        _copy_report(Path(report), report_path)
        return
    from captioner.submission.draft import write_draft

    write_draft(report_path, content, metadata, metrics)


def build_metadata(content: Mapping[str, Any], scores: Mapping[str, Any] | None) -> dict[str, Any]:
    """Give the metadata of one system, all fields of the page; None where one does not apply."""
    trainings = content["trainings"]
    models = dict(zip([t["model"] for t in trainings], _models(trainings), strict=True))
    speaking = [t["model"] for t in trainings if t["captions"]]
    before = [t["model"] for t in trainings if not t["captions"]]
    described = describe(
        [models[folder] for folder in speaking],
        [models[folder] for folder in before],
        content["corpus"]["name"],
        ensemble=content["ensemble"],
    )
    found = external_datasets(list(models.values()), content["external"], content["declared"])
    metrics = {} if scores is None else scores["metrics"]
    return {
        "submission": {
            "label": label(content["author"], content["institute"], content["index"]),
            "name": content["name"],
            "abbreviation": content["abbreviation"],
            "authors": [dict(author) for author in content["authors"]],
        },
        "system": {
            "description": {**described, **content["description"]},
            "complexity": {"total_parameters": total_parameters(speaking)},
            "external_datasets": found or None,
            "source_code": content["source_code"],
        },
        "results": {
            "development_evaluation": {
                key: round(metrics[metric], _DECIMALS) if metric in metrics else None
                for key, metric in METRICS.items()
            }
        },
    }


def to_yaml(metadata: Mapping[str, Any]) -> str:
    """Give metadata as YAML, with `!!null` where something does not apply, as the page asks."""
    text: str = yaml.safe_dump(
        dict(metadata), sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return _HEADER + re.sub(r"(?m)(?<=: )null$", "!!null", text)


def write_package(
    files: Mapping[str, str | Path],
    package_path: str | Path,
    clips: str | Path,
    scores: Mapping[int, str | Path],
    models: Mapping[int, Sequence[str | Path]],
    own: str,
) -> None:
    """Zip the files (name in the zip -> path), unless the checker finds an error.

    The other arguments are what the checker knows of them (`Known.read`). Empty captions are
    warnings: a system that was trained little has them. Raises `InputError` with the findings.
    """
    known = Known.read(clips, scores, models, own, allow_empty=True)
    with atomic_path(package_path) as temporary:
        write_archive(temporary, files)
        findings = check_package(temporary, known)
        if findings.errors:
            raise InputError(f"{package_path} is not written:\n{findings.told()}")
    for finding in findings.warnings:
        log.warning("%s", finding)


def _models(trainings: Sequence[Mapping[str, Any]]) -> list[Model]:
    """Read the models; those of published weights take over how they were made, if it is told."""
    models = read_models([training["model"] for training in trainings])
    return [
        {**model, "settings": {**model["settings"], "training": training["published"]}}
        if training["published"]
        else model
        for model, training in zip(models, trainings, strict=True)
    ]


def _copy_report(source: Path, target: str | Path) -> None:
    with source.open("rb") as file:
        start = file.read(1024)
    if b"%PDF-" not in start:
        raise InputError(f"submission.report: {source} is no PDF, expected one: export it as PDF")
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
