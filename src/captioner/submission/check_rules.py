"""Check the task's rules on what systems learned from, as their model folders tell it.

Participants may use external data and Clotho's metadata, and must say so; of the split that the
challenge judges they may use nothing but the audio, to caption it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from captioner.corpus.splits import UNCAPTIONED
from captioner.errors import InputError
from captioner.submission.check_metadata import RESULTS_PATH
from captioner.submission.findings import Findings
from captioner.submission.lined_yaml import Lined
from captioner.submission.metadata_form import datasets, part
from captioner.submission.schema import METRICS

SCORED_SPLIT = "evaluation"  # development-testing
Model = Mapping[str, Any]  # model.json


def read_models(folders: Iterable[str | Path]) -> list[Model]:
    """Read what models say of themselves.

    Raises:
        InputError: a folder that is no model.
    """
    models: list[Model] = []
    for folder in folders:
        path = Path(folder) / "model.json"
        try:
            model = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            model = None
        if not _is_model(model):
            raise InputError(
                f"{path}: found no description of a model, expected that in a folder `model` of a "
                "system"
            )
        models.append(model)
    return models


def _is_model(found: Any) -> bool:
    """Say whether a description tells what a model learned from, by itself and through parts."""
    kinds = {"trained_on": list, "frontends": dict, "settings": dict}
    if not isinstance(found, dict):
        return False
    if not all(isinstance(found.get(key), kind) for key, kind in kinds.items()):
        return False
    parts = found["trained_on"]
    return all(isinstance(part, dict) and {"corpus", "split"} <= {*part} for part in parts)


def is_own(corpus: str, own: str | None) -> bool:
    """Say whether a corpus is the challenge's: `own`, or by default any version of Clotho."""
    return corpus == own if own else corpus.lower().startswith("clotho")


def foreign_sources(models: Sequence[Model], own: str | None) -> list[str]:
    """Give the other corpora that models were trained on."""
    return list(
        dict.fromkeys(
            source["corpus"]
            for model in models
            for source in model["trained_on"]
            if not is_own(source["corpus"], own)
        )
    )


def pretrained_on_others(models: Sequence[Model]) -> list[str]:
    """Give the parts of models that were trained before, by others, on other data."""
    found: list[str] = []
    for model in models:
        for name, settings in model["frontends"].items():
            if "checkpoint" in settings:
                found.append(f"the front-end {name}")
        settings = model["settings"]
        found += [f"the pretrained {of}" for of in settings.get("pretrained") or {}]
        words = settings.get("word_embeddings") or {}
        if words.get("source") in ("bert", "file"):
            found.append("its word embeddings")
    return list(dict.fromkeys(found))


def check_rules(
    file: str, lined: Lined, models: Sequence[Model], own: str | None, findings: Findings
) -> None:
    """Check a system's metadata against the models that it was made of.

    `models` are those that caption, and those that they started from; `own` is the challenge's
    corpus, by default any version of Clotho.
    """
    _check_splits(file, lined, models, own, findings)
    line = lined.line(("system", "external_datasets"))
    declared = [str(item["name"]) for item in datasets(lined.value)]
    for corpus in foreign_sources(models, own):
        if not any(alike(corpus, name) for name in declared):
            findings.error(
                file, line, "undeclared", f"external_datasets: the system was trained on {corpus}, "
                f"found {', '.join(declared) or 'none'}: declare it",
            )  # fmt: skip
    others = pretrained_on_others(models)
    trained = foreign_sources(models, own)
    beyond = [name for name in declared if not any(alike(corpus, name) for corpus in trained)]
    if others and not beyond:
        findings.error(
            file, line, "undeclared", f"external_datasets: {', '.join(others)} learned from other "
            "data: declare what from",
        )  # fmt: skip
    used = part(lined.value, "system", "description", "clotho_metadata")
    if trained and not used:
        findings.error(
            file, lined.line(("system", "description")), "metadata-use", "description: Clotho's "
            f"sound ids were compared with those of {', '.join(trained)} to leave its own clips "
            "out, which is a use of its metadata: state it as `clotho_metadata`",
        )  # fmt: skip
    for model in models:
        if not model["trained_on"]:
            weights = model.get("weights", "of the model")
            findings.warning(
                file, 0, "unknown-training", f"the weights {weights} were trained elsewhere: what "
                "they learned from is not known here; make sure that it is declared",
            )  # fmt: skip
        start = model["settings"].get("start")
        if start and start not in [other.get("system") for other in models]:
            findings.skipped(
                f"what {model.get('system', 'a system')} learned before, as {start}, from which it "
                "started: give that model's folder too"
            )


def _check_splits(
    file: str, lined: Lined, models: Sequence[Model], own: str | None, findings: Findings
) -> None:
    learned = {
        source["split"]
        for model in models
        for source in model["trained_on"]
        if is_own(source["corpus"], own)
    }
    for split in sorted(learned & {*UNCAPTIONED}):
        findings.error(
            file, 0, "test-split", f"the system was trained on {split}, which the rules forbid: "
            "train it without",
        )  # fmt: skip
    results = part(lined.value, *RESULTS_PATH) or {}
    if SCORED_SPLIT in learned and any(results.get(key) is not None for key in METRICS):
        findings.error(
            file, lined.line(RESULTS_PATH), "result-learned", "results: the system was trained on "
            "development-testing, so its scores there mean nothing: put !!null",
        )  # fmt: skip


def alike(corpus: str, name: str) -> bool:
    """Say whether a corpus (`audiocaps-v2`) is what a dataset's name (`AudioCaps`) means."""
    plain = ["".join(c for c in text.lower() if c.isalnum()) for text in (corpus, name)]
    return plain[0] in plain[1] or plain[1] in plain[0]
