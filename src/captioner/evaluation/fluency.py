"""The fluency error detector of FENSE: a BERT-like encoder with a linear head of error classes.

Architecture, threshold and the published checkpoints: Zhou et al., "Can audio captions be
evaluated with image caption metrics?", ICASSP 2022 (code: blmoistawinde/fense, release V0.1). Text
is prepared as `aac-metrics` does (lower case, no punctuation), which scores DCASE tasks since 2023.
"""

import hashlib
import pickle
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captioner.errors import InputError, install_command

if TYPE_CHECKING:
    import torch

ERROR_THRESHOLD = 0.9  # of the probability of the class `error`, as published
LONGEST = 64  # word pieces, as published
BATCH_SIZE = 32
CHECKPOINT_KEYS = ("model_type", "num_classes", "state_dict")
NOT_PUNCTUATION = re.compile(r"[^\w\s]")


class FluencyDetector:
    """Finds captions that no person would write: cut short, repeating, without a verb.

    Args:
        checkpoint: a file with `model_type` (name of the encoder), `num_classes`, and
            `state_dict` (`encoder.*`, and `clf.*`: CLS state -> logits, the last one of `error`).
        sha256: of the file; empty: not checked.
        encoder: name or folder of the encoder's configuration and tokenizer; None: `model_type`,
            from the hub. Its weights are not needed: the checkpoint has them.

    Raises:
        InputError: `transformers` is not installed, or the file is absent, another, or no such
            checkpoint.
    """

    def __init__(self, checkpoint: str | Path, sha256: str = "", encoder: str | None = None):
        self._torch, transformers = require("torch"), require("transformers")
        self.checkpoint = Path(checkpoint)
        self.sha256 = _checked_sha256(self.checkpoint, sha256)
        content = self._read()
        name = encoder or content["model_type"]
        try:
            config = transformers.AutoConfig.from_pretrained(name)
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.checkpoint}: its encoder {name!r} cannot be had ({error}). Give a folder "
                "with its config.json and tokenizer, or try again with a network."
            ) from error
        self._encoder = transformers.AutoModel.from_config(config)
        self._head = self._torch.nn.Linear(config.hidden_size, content["num_classes"])
        self._load(content["state_dict"])

    def error_probabilities(self, captions: Sequence[str]) -> list[float]:
        """Return the probability of a fluency error for each caption."""
        torch = self._torch
        probabilities: list[float] = []
        texts = [NOT_PUNCTUATION.sub("", caption).lower() for caption in captions]
        for start in range(0, len(texts), BATCH_SIZE):
            batch = self._tokenizer(
                texts[start : start + BATCH_SIZE],
                truncation=True,
                max_length=LONGEST,
                padding=True,
                return_tensors="pt",
            )
            with torch.inference_mode():
                states = self._encoder(**batch).last_hidden_state  # (B, T, hidden)
                logits = self._head(states[:, 0])  # (B, classes)
            probabilities += torch.sigmoid(logits)[:, -1].tolist()
        return probabilities

    def has_error(self, captions: Sequence[str]) -> list[bool]:
        """Say for each caption whether its error probability is over the threshold."""
        return [value > ERROR_THRESHOLD for value in self.error_probabilities(captions)]

    def _read(self) -> dict[str, Any]:
        try:
            content = self._torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
            raise InputError(
                f"{self.checkpoint}: no file of weights ({error}), expected the checkpoint of a "
                "fluency error detector. Fetch it again."
            ) from error
        found = content if isinstance(content, dict) else {}
        if missing := [key for key in CHECKPOINT_KEYS if key not in found]:
            raise InputError(
                f"{self.checkpoint}: found no {', '.join(missing)}, expected the checkpoint of a "
                f"fluency error detector with {', '.join(CHECKPOINT_KEYS)}."
            )
        return found

    def _load(self, state: "dict[str, torch.Tensor]") -> None:
        # Older versions of `transformers` saved these numbers 0, 1, 2, ... among the weights.
        own = {key: value for key, value in state.items() if not key.endswith("position_ids")}
        parts = {"encoder.": self._encoder, "clf.": self._head}
        try:
            for prefix, module in parts.items():
                module.load_state_dict(
                    {k.removeprefix(prefix): v for k, v in own.items() if k.startswith(prefix)}
                )
                module.eval()
        except RuntimeError as error:
            raise InputError(
                f"{self.checkpoint}: its weights do not fit its encoder: {error}"
            ) from error


def require(package: str) -> Any:
    """Import an optional package.

    Raises:
        InputError: it is not installed; it says how to install it.
    """
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(
            f"SPIDEr-FL and FENSE need the Python package {package} ({error}). Install the extra: "
            f"{install_command('semantic')}, or leave these metrics out."
        ) from error


def _checked_sha256(path: Path, expected: str) -> str:
    if not path.is_file():
        raise InputError(
            f"{path}: no such file, expected the checkpoint of a fluency error detector (the "
            "release V0.1 of blmoistawinde/fense has two). Fetch it, or leave SPIDEr-FL and FENSE "
            "out."
        )
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if expected and found != expected.lower():
        raise InputError(
            f"{path}: found sha256 {found}, expected {expected}. Fetch it again, or correct the "
            "configured sha256."
        )
    return found
