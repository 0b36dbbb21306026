"""The references of a split: the captions of the clips that can be used."""

from collections.abc import Sequence
from pathlib import Path

from captioner.corpus.tables import read_usable_annotations


def read_split_references(annotations: str | Path, clips: str | Path) -> dict[str, Sequence[str]]:
    """Read file name -> captions of the usable clips of a split, from its two tables."""
    rows = read_usable_annotations(annotations, clips)
    return {annotation.file_name: annotation.captions for annotation in rows}
