"""A trained system on disk: one folder that is enough to caption a wav with nothing else.

`weights.safetensors` (parameters and buffers), `model.json` (family, dims, front-ends, settings,
what it was trained on) and `vocabulary.json`.
"""

import json
import platform
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


@dataclass(frozen=True)
class LoadedModel:
    """A trained system, ready to decode."""

    model: Captioner  # in evaluation mode
    vocabulary: Vocabulary
    description: dict[str, Any]  # model.json


def save_model(
    folder: str | Path, model: Captioner, vocabulary: Vocabulary, description: Mapping[str, Any]
) -> None:
    """Write the folder atomically; one that stands there is replaced.

    `description` says what the model cannot: title, system, frontends, settings, trained_on, seed,
    best.
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
