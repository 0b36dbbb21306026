"""A trained system on disk: one folder that is enough to caption a wav with nothing else.

`weights.safetensors` (parameters and buffers), `model.json` (family, dims, front-ends, settings,
what it was trained on), `vocabulary.json`, and `encoders/{front-end}.pth`: the checkpoint of each
front-end that has one, as published.
"""

import json
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from captioner.errors import InputError
from captioner.job import atomic_path, write_json
from captioner.models.interface import Captioner
from captioner.models.registry import restore_model
from captioner.text.vocabulary import Vocabulary

WEIGHTS, DESCRIPTION, VOCABULARY = "weights.safetensors", "model.json", "vocabulary.json"
ENCODERS = "encoders"


@dataclass(frozen=True)
class LoadedModel:
    """A trained system, ready to decode."""

    model: Captioner  # in evaluation mode
    vocabulary: Vocabulary
    description: dict[str, Any]  # model.json


def save_model(
    folder: str | Path,
    model: Captioner,
    vocabulary: Vocabulary,
    description: Mapping[str, Any],
    encoders: Mapping[str, str | Path] | None = None,
) -> None:
    """Write the folder atomically; one that stands there is replaced.

    `description` says what the model cannot: title, system, frontends, settings, trained_on, seed,
    best. `encoders` are the checkpoints of the front-ends that have one; the folder holds them
    unchanged, as hard links where the file system allows.
    """
    facts = {
        "family": model.family,
        "dims": asdict(model.dims),
        "n_parameters": model.n_parameters(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "numpy", "safetensors")},
        },
    }
    weights = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        save_file(weights, temporary / WEIGHTS)
        write_json(temporary / DESCRIPTION, {**description, **facts})
        vocabulary.save(temporary / VOCABULARY)
        for frontend, checkpoint in (encoders or {}).items():
            _link_or_copy(Path(checkpoint), _encoder(temporary, frontend))


def encoder_weights(folder: str | Path, frontend: str, settings: Mapping[str, Any]) -> Path | None:
    """Give a front-end's checkpoint in a model folder; None if its settings name none.

    Raises `InputError` where the folder should have it and has not.
    """
    if "checkpoint" not in settings:
        return None
    path = _encoder(Path(folder), frontend)
    if not path.is_file():
        raise InputError(
            f"{folder}: found no {path.relative_to(folder)}, expected the checkpoint "
            f"{settings['checkpoint']}, through which the model hears. Copy the whole folder."
        )
    return path


def load_model(folder: str | Path, device: str | torch.device = "cpu") -> LoadedModel:
    """Read what `save_model` wrote.

    Raises `InputError` naming the folder where it is no model, and the weights that do not match.
    """
    folder = Path(folder)
    missing = [f for f in (WEIGHTS, DESCRIPTION, VOCABULARY) if not (folder / f).is_file()]
    if missing:
        raise InputError(
            f"{folder} is no model: found no {', '.join(missing)}; expected the folder `model` "
            "of a trained system"
        )
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        family, dims = description["family"], description["dims"]
        weights = load_file(folder / WEIGHTS)
    except (ValueError, TypeError, KeyError, SafetensorError) as error:
        raise InputError(
            f"{folder} is no model: {DESCRIPTION} or {WEIGHTS} cannot be read "
            f"({type(error).__name__}: {error}); copy or train it again"
        ) from error
    vocabulary = Vocabulary.load(folder / VOCABULARY)
    model = restore_model(family, dims)
    if len(vocabulary) != model.dims.n_tokens:
        raise InputError(
            f"{folder / VOCABULARY} has {len(vocabulary)} tokens; {DESCRIPTION} says "
            f"{model.dims.n_tokens}: the files are of different models"
        )
    load_weights(model, weights, folder / WEIGHTS)
    return LoadedModel(model.to(device).eval(), vocabulary, description)


def load_weights(model: Captioner, weights: Mapping[str, torch.Tensor], source: object) -> None:
    """Load weights whose names and shapes are exactly the model's.

    Raises `InputError` naming `source` and the weights that are missing, unknown or misshapen.
    """
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    wrong = [f"{name} is missing" for name in expected if name not in found]
    wrong += [f"{name} is unknown" for name in found if name not in expected]
    wrong += [
        f"{name} is {found[name]} instead of {shape}"
        for name, shape in expected.items()
        if found.get(name, shape) != shape
    ]
    if wrong:
        raise InputError(
            f"{source} does not fit a {model.family} with these dims: {'; '.join(sorted(wrong))}"
        )
    model.load_state_dict(dict(weights))


def _encoder(folder: Path, frontend: str) -> Path:
    return folder / ENCODERS / f"{frontend}.pth"


def _link_or_copy(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
