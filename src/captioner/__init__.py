"""The library behind aac-workflow: automated audio captioning, from wav files to scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from captioner.decoding.caption import SoundCaptioner

__all__ = ["load"]


def load(folders: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> SoundCaptioner:
    """Load a trained system's folder, or several as an ensemble, to caption any sound.

    >>> captioner.load("model").caption("rain.wav")[0].caption  # doctest: +SKIP
    'rain falls on a tin roof'

    Raises `captioner.errors.InputError` for a folder that is no model.
    """
    from captioner.decoding.caption import load_captioner  # late: it needs torch

    return load_captioner(folders)
