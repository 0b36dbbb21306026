"""What a model knows before its training: vectors of words, weights of another model."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from captioner.errors import InputError
from captioner.models.checkpoint import load_model
from captioner.models.interface import Captioner
from captioner.text.vocabulary import Vocabulary


def load_word_embeddings(model: Captioner, path: str | Path, *, frozen: bool) -> None:
    """Start the embeddings of words from a file (`values` (V, E), `known` (V,) bool)."""
    tensors = load_file(path)
    model.set_word_embeddings(tensors["values"], tensors["known"], frozen)


def load_start(
    model: Captioner, vocabulary: Vocabulary, frontends: Mapping[str, Any], folder: str | Path
) -> None:
    """Give a model the weights of a trained one of the same family, dims, words and front-ends.

    Its normalisation of features comes along. Dims without weights of their own (dropout) may
    differ. Raises `InputError` naming `folder` and what differs.
    """
    found = load_model(folder)
    mine = _identity(model, frontends)
    theirs = _identity(found.model, found.description["frontends"])
    differences = [
        f"{key} {theirs.get(key)!r} there, {mine.get(key)!r} here"
        for key in sorted(mine.keys() | theirs.keys())
        if mine.get(key) != theirs.get(key)
    ]
    if found.vocabulary.tokens != vocabulary.tokens:
        differences.append(_compare_tokens(found.vocabulary.tokens, vocabulary.tokens))
    if differences:
        raise InputError(
            f"start: found another model in {folder}, expected one whose weights fit this system: "
            f"{'; '.join(differences)}. Start from a system with the same family, `model:`, "
            "vocabulary and front-ends."
        )
    model.load_state_dict(found.model.state_dict())


def _identity(model: Captioner, frontends: Mapping[str, Any]) -> dict[str, Any]:
    dims = {name: value for name, value in vars(model.dims).items() if "dropout" not in name}
    facts = {"family": model.family, **dims, "front-ends": frontends}
    identity: dict[str, Any] = json.loads(json.dumps(facts))  # tuples and lists are the same
    return identity


def _compare_tokens(theirs: Sequence[str], mine: Sequence[str]) -> str:
    if len(theirs) != len(mine):
        return f"a vocabulary of {len(theirs)} tokens there, of {len(mine)} here"
    place = next(place for place, token in enumerate(mine) if token != theirs[place])
    return f"the vocabulary's token {place} is {theirs[place]!r} there, {mine[place]!r} here"
