"""What a model folder is: its system, what it learned from, its scores where they stand beside it.

Of a folder anywhere, from its own files; in the workflow's results (`results/CORPUS/systems/SYSTEM/
seedN/model`) also from the scores and the tables of the corpora beside it. Needs no torch for a
system without encoders.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from captioner.errors import InputError
from captioner.models.parameters import total_parameters
from captioner.text.vocabulary import Vocabulary

UNKNOWN_LICENCE = "not stated"
# Of a front-end's settings, what tells it from others of its kind.
FRONTEND_KEYS = ("kind", "sample_rate_hz", "checkpoint", "n_mels", "n_fft", "hop")


def describe_model(folder: str | Path) -> dict[str, Any]:
    """Give what `captioner info --json` prints; units stand in the keys.

    Raises `InputError` for a folder that is no model.
    """
    folder = Path(folder)
    model = _read(folder)
    try:
        vocabulary = Vocabulary.load(folder / "vocabulary.json")
        return {
            "folder": str(folder),
            "title": model.get("title"),
            "system": model.get("system"),
            "family": model["family"],
            "seed": model.get("seed"),
            "parameters": model["n_parameters"],
            "parameters_with_encoders": total_parameters([folder]),
            "frontends": {
                name: {key: settings[key] for key in FRONTEND_KEYS if key in settings}
                for name, settings in model["frontends"].items()
            },
            "vocabulary": {
                "n_words": len(vocabulary) - len(vocabulary.unspoken) - 1,  # 1: <eos>
                "counted_on": vocabulary.corpora,
            },
            "task_token": model.get("task_token"),
            "trained_on": _parts(folder, model),
            "started_from": _started_from(folder, model),
            "best": model.get("best"),
            "scores": _scores(folder),
            "versions": model["versions"],
            "files": {
                str(path.relative_to(folder)): path.stat().st_size
                for path in sorted(folder.rglob("*"))
                if path.is_file() and not path.name.startswith(".")
            },
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder / 'model.json'}: found no or another form of {error}, expected what training "
            "writes. Train or copy the model again."
        ) from error


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "model.json"
    try:
        model = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} is no model: model.json cannot be read ({error}); expected the folder "
            "`model` of a trained system"
        ) from error
    if not isinstance(model, dict):
        raise InputError(f"{path}: found no JSON object, expected what training writes.")
    return model


def _parts(folder: Path, model: dict[str, Any]) -> list[dict[str, Any]]:
    """Add how many clips of a split have which licence; null where no table stands beside it."""
    return [
        {**part, "licences": _licences(folder, part["corpus"], part["split"])}
        for part in model.get("trained_on") or []
    ]


def _started_from(folder: Path, model: dict[str, Any]) -> list[dict[str, Any]]:
    """Give what the weights were before this training: `what`, and `trained_on` as far as known.

    Systems that it started from, one after the other, are known where they stand beside it.
    """
    settings = model.get("settings") or {}
    found: list[dict[str, Any]] = []
    if weights := model.get("weights"):
        found.append({"what": f"published weights {weights}", "trained_on": None})
    for part, checkpoint in (settings.get("pretrained") or {}).items():
        found.append({"what": f"{part} {Path(checkpoint).name}", "trained_on": None})
    if words := settings.get("word_embeddings"):
        name = Path(words.get("path") or "of the captions' words").name
        found.append({"what": f"word embeddings {words['source']}, {name}", "trained_on": None})
    if start := settings.get("start"):
        found += _start(folder, start, model)
    return found


def _start(folder: Path, name: str, model: dict[str, Any]) -> list[dict[str, Any]]:
    what = f"the system {name}"
    if _results(folder) is not None:
        systems = folder.resolve().parents[2]
        for seed in (model.get("seed"), 0):  # 0: published weights
            start = systems / name / f"seed{seed}" / "model"
            if (start / "model.json").is_file():
                before = _read(start)
                told = {"what": what, "trained_on": _parts(start, before)}
                return [told, *_started_from(start, before)]
    return [{"what": what, "trained_on": None}]


def _licences(folder: Path, corpus: str, split: str | None) -> dict[str, int] | None:
    results = _results(folder)
    path = results / corpus / "annotations" / f"{split}.parquet" if results else None
    if path is None or not path.is_file():
        return None
    import pyarrow.parquet as pq

    values = pq.read_table(path, columns=["licence"])["licence"].to_pylist()
    return dict(Counter(value or UNKNOWN_LICENCE for value in values).most_common())


def _scores(folder: Path) -> dict[str, dict[str, Any]]:
    """Give decoding -> split -> scores, of the files that stand beside the model."""
    if _results(folder) is None:
        return {}
    scores: dict[str, dict[str, Any]] = {}
    for path in sorted((folder.resolve().parent / "scores").glob("*/*.json")):
        try:
            metrics = json.loads(path.read_text(encoding="utf-8"))["metrics"]
        except (ValueError, KeyError, TypeError):
            continue  # no scores of ours
        scores.setdefault(path.parent.name, {})[path.stem] = metrics
    return scores


def _results(folder: Path) -> Path | None:
    """Give the workflow's `results`, if the folder stands there."""
    parents = folder.resolve().parents
    if len(parents) > 4 and parents[2].name == "systems" and parents[0].name.startswith("seed"):
        return parents[4]
    return None
