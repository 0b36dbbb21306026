"""Published checkpoints: read without running code, fitted to a network name by name."""

import hashlib
import pickle
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from captioner.errors import InputError

WEIGHTS_KEY = "model"  # where the published checkpoints keep their state dict


class _Ignored:
    """Stands for a part of a training's state that only code could rebuild; nobody reads it."""

    def __init__(self, *_arguments: object):
        """Take whatever the original took."""


# What checkpoints saved by a training loop hold beside tensors: numbers and arrays of numpy
# (scores, the sampler's order), which are data, and the schedule's cosine, a method, left out.
_MULTIARRAY = np._core.multiarray  # type: ignore[attr-defined]
SAFE_GLOBALS: list[Any] = [
    np.ndarray,
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "?")),
    *(
        (getattr(_MULTIARRAY, name), f"numpy.{core}.multiarray.{name}")
        for name in ("scalar", "_reconstruct")
        for core in ("core", "_core")  # numpy 1 and numpy 2
    ),
    (_Ignored, "builtins.getattr"),
    (_Ignored, "__builtin__.getattr"),
    (_Ignored, "torch.optim.lr_scheduler.OneCycleLR"),
]

# What `torch.load` raises for bytes that are no checkpoint.
DAMAGE = (
    RuntimeError, EOFError, OSError, ValueError, LookupError, AttributeError, TypeError,
    AssertionError, struct.error,
)  # fmt: skip


def load_weights(network: nn.Module, path: Path) -> None:
    """Give `network`, built on the meta device, the weights of a published checkpoint, in float32.

    Names and shapes must be exactly the network's. Nothing in the file is executed
    (`torch.load(weights_only=True)`).

    Raises:
        InputError: no such file; a file that is no checkpoint, is damaged or needs code to be
            read; weights that are missing, unknown or misshapen, each named.
    """
    weights = read_weights(path)
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    wrong = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    wrong += [f"{name} is unknown" for name in sorted(found.keys() - expected.keys())]
    wrong += [
        f"{name} is {found[name]} instead of {shape}"
        for name, shape in sorted(expected.items())
        if found.get(name, shape) != shape
    ]
    if wrong:
        raise InputError(
            f"{path}: found a checkpoint that is not of {type(network).__name__}: "
            f"{'; '.join(wrong)}. Expected the published file of this network; see "
            "config/frontends/weights.tsv."
        )
    floats = {
        name: value.float() if value.is_floating_point() else value
        for name, value in weights.items()
    }
    network.load_state_dict(floats, assign=True)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read the state dict of a checkpoint; raises `InputError` as `load_weights` does."""
    content = read_checkpoint(path)
    weights = content.get(WEIGHTS_KEY) if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(
        isinstance(value, torch.Tensor) for value in weights.values()
    ):
        keys = ", ".join(map(repr, content)) if isinstance(content, dict) else type(content)
        raise InputError(
            f"{path}: found {keys}, expected a dict with the weights under {WEIGHTS_KEY!r}, as "
            "the published checkpoints have it."
        )
    return weights


def read_checkpoint(path: Path) -> Any:
    """Read what `torch.save` wrote, to the CPU, whatever it is; nothing in the file is executed.

    Raises `InputError` for no such file, one that is no checkpoint or damaged, and one that needs
    code to be read.
    """
    if not path.is_file():
        raise InputError(f"{path}: found no such file, expected a checkpoint.")
    try:
        with torch.serialization.safe_globals(SAFE_GLOBALS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        needed = re.search(r"GLOBAL (\S+)", str(error))
        if needed is None:
            raise _unreadable(path, error) from error
        raise InputError(
            f"{path}: found a checkpoint that needs code to be read ({needed[1]}), expected "
            "tensors and plain values. Nothing was executed. Use the published file; of a network "
            "of your own, save its `state_dict()`, not the network."
        ) from error
    except DAMAGE as error:
        raise _unreadable(path, error) from error


def file_md5(path: Path) -> str:
    """Give the md5 of a file, as registries have it, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = (str(error).splitlines() or [""])[0]
    return InputError(
        f"{path}: found a file that cannot be read as a checkpoint ({type(error).__name__}: "
        f"{reason}). It is damaged or something else: delete it and fetch it again."
    )
