"""How many parameters a system has, the encoders that it hears through included."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Of published checkpoints: the fixed transform to log-mels, and statistics that are no parameters.
_FIXED = ("spectrogram_extractor.", "logmel_extractor.")
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def total_parameters(folders: Iterable[str | Path]) -> int:
    """Count the parameters of all models of a system; an encoder that they share counts once.

    Raises `InputError` where an encoder of a model is missing or cannot be read.
    """
    total, encoders = 0, {}
    for folder in map(Path, folders):
        model = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        total += model["n_parameters"]
        for name, settings in model["frontends"].items():
            if "checkpoint" in settings:
                encoders[settings["kind"], settings["checkpoint"]] = (folder, name, settings)
    return total + sum(_count(*found) for found in encoders.values())


def _count(folder: Path, frontend: str, settings: dict[str, Any]) -> int:
    from captioner.audio.encoders.checkpoint import read_weights
    from captioner.models.checkpoint import encoder_weights

    path = encoder_weights(folder, frontend, settings)
    assert path is not None  # its settings name a checkpoint
    return sum(
        value.numel()
        for name, value in read_weights(path).items()
        if not name.startswith(_FIXED) and not name.endswith(_STATISTICS)
    )
