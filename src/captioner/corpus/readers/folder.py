"""Reads a corpus on the user's disk; what belongs where is told by `captioner.corpus.folder`."""

from collections.abc import Iterator, Mapping
from typing import Any

from captioner.corpus.clips import tabulate_folders
from captioner.corpus.folder import audio_folder, folder_splits, split_rows
from captioner.corpus.tables import Annotation, Clip


def tabulate_clips(
    settings: Mapping[str, Any], split: str, files: Mapping[str, Any]
) -> Iterator[Clip]:
    """Tabulate the audio files of a split that exist."""
    names = folder_splits(settings)[split]
    folder = audio_folder(settings, split)
    return tabulate_folders([folder], names, settings.get("damaged", "error"))


def read_annotations(
    settings: Mapping[str, Any], split: str, files: Mapping[str, Any]
) -> list[Annotation]:
    """Read the captions of a split, in the order of the CSV."""
    return [Annotation(row.file_name, row.captions) for row in split_rows(settings)[split]]
