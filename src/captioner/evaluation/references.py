"""The references of a split: the captions of the clips that can be used."""

from collections.abc import Sequence
from pathlib import Path

from captioner.corpus.tables import read_annotations, read_clips


def read_split_references(annotations: str | Path, clips: str | Path) -> dict[str, Sequence[str]]:
    """Read file name -> captions of the usable clips of a split, from its two tables."""
    usable = {clip.file_name for clip in read_clips(clips)}
    return {
        annotation.file_name: annotation.captions
        for annotation in read_annotations(annotations)
        if annotation.file_name in usable
    }
