"""Published weights of a whole system: from a checkpoint to a model folder, without training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from captioner.audio.encoders.checkpoint import read_checkpoint
from captioner.errors import InputError
from captioner.models.checkpoint import load_weights, save_model
from captioner.models.interface import Captioner
from captioner.models.registry import build_model
from captioner.store.shards import FeatureStore
from captioner.text.vocabulary import Vocabulary


def import_weights(
    *,
    system: str,
    settings: Mapping[str, Any],
    weights: str | Path,
    vocabulary: str | Path,
    shards: Mapping[str, str | Path],
    task_token: str | None,
    encoders: Mapping[str, str | Path],
    model_folder: str | Path,
) -> None:
    """Write the model folder of a system whose weights are published.

    Args:
        system: its name.
        settings: its resolved settings; `family` and `model` are used.
        weights: `torch.save` of the model's state dict, by the model's own names.
        vocabulary: its file. Classes of the checkpoint are its tokens, in its order.
        shards: front-end -> any shard of it, which tells the number of features and the settings.
        task_token: what its captions start with in place of `<sos>`.
        encoders: front-end -> checkpoint, kept in the model folder.
        model_folder: what to write.

    Raises:
        InputError: a checkpoint of another form, of another model, or of another number of classes
            than the vocabulary has tokens.
    """
    path, words = Path(weights), Vocabulary.load(vocabulary)
    stores = {frontend: FeatureStore([shard]) for frontend, shard in shards.items()}
    model = build_model(
        settings["family"],
        settings["model"],
        {frontend: store.n_features for frontend, store in stores.items()},
        len(words),
        words.sos,
        words.eos,
    )
    state = _read_state(path)
    _check_classes(model, state, path, words)
    load_weights(model, state, path)
    description = {
        "title": settings.get("title", system),
        "system": system,
        "frontends": {frontend: store.settings for frontend, store in stores.items()},
        "settings": settings,
        "task_token": task_token,
        "weights": path.name,
        "trained_on": [],  # here; the seed and the best epoch of the training are not known either
        "seed": None,
        "best": None,
    }
    save_model(model_folder, model, words, description, encoders)


def _read_state(path: Path) -> dict[str, torch.Tensor]:
    content = read_checkpoint(path)
    tensors = isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()
    )
    if not tensors:
        found = type(content).__name__
        if isinstance(content, dict):
            found = f"a dict of {', '.join(map(repr, content))}"
        raise InputError(
            f"{path}: found {found}, expected a state dict: names of weights and tensors alone, as "
            "torch.save(model.state_dict(), path) writes it. Take it out of what holds it"
        )
    return content


def _check_classes(
    model: Captioner, state: Mapping[str, torch.Tensor], path: Path, words: Vocabulary
) -> None:
    """Refuse weights that differ from the model's in nothing but the number of words."""
    for name, value in model.state_dict().items():
        found = state.get(name)
        if found is None or found.shape == value.shape or len(value) != len(words):
            continue
        if found.shape[1:] == value.shape[1:]:
            counted = ", ".join(
                f"{part['corpus']} ({', '.join(part['splits'])})" for part in words.corpora
            )
            raise InputError(
                f"{path}: found weights for {len(found)} classes ({name}), expected {len(words)}, "
                f"the tokens of the vocabulary, which was counted on {counted}. The weights need "
                "the captions that they were trained on, counted by the same rule: set `corpus` "
                "and the system's `vocabulary` to them, or train the system: `weights: null`"
            )
