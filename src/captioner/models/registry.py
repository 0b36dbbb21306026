"""The families of captioning systems, by name.

Modules are named by strings and imported late, so that an edit of one family touches no other.
A family's module names its `Captioner` as `MODEL`.
"""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from captioner.errors import InputError

if TYPE_CHECKING:  # the graph of jobs reads the names below without paying for torch
    from captioner.models.interface import Captioner

FAMILIES = {
    "dcase_baseline": "captioner.models.dcase_baseline",
    "conv_transformer": "captioner.models.conv_transformer",
    "crnn_attention": "captioner.models.crnn_attention",
    "embedding_transformer": "captioner.models.embedding_transformer",
    "cnn_transformer": "captioner.models.cnn_transformer",
}
# The families that can say where in a clip a word looked (`interface.Attentive`).
ATTENTIVE = ("conv_transformer", "crnn_attention", "embedding_transformer", "cnn_transformer")


def build_model(
    family: str,
    settings: Mapping[str, Any],
    n_features: dict[str, int],
    n_tokens: int,
    sos: int,
    eos: int,
) -> "Captioner":
    """Build a system with random weights, drawn from torch's global generator.

    `settings` is the `model:` part of a system's YAML. Raises `InputError` for an unknown family
    and for settings that the family does not take.
    """
    model = _family(family)
    return model(model.Dims.from_settings(settings, n_features, n_tokens, sos, eos))


def restore_model(family: str, dims: Mapping[str, Any]) -> "Captioner":
    """Build a system from the dims of a checkpoint; its weights are yet to be loaded."""
    model = _family(family)
    return model(model.Dims.from_dict(dims))


def _family(family: str) -> Any:
    if family not in FAMILIES:
        raise InputError(f"unknown system family {family!r}; expected one of {', '.join(FAMILIES)}")
    return importlib.import_module(FAMILIES[family]).MODEL
