"""The kinds of corpora, each with its reader."""

import importlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from captioner.errors import InputError

if TYPE_CHECKING:  # the graph of jobs reads the names below without paying for Parquet
    from captioner.corpus.tables import Annotation, Clip

# Names, not modules: work on one kind must not make the others' results stale.
READERS = {
    "clotho": "captioner.corpus.readers.clotho",
    "macs": "captioner.corpus.readers.macs",
    "audiocaps": "captioner.corpus.readers.audiocaps",
    "wavcaps": "captioner.corpus.readers.wavcaps",
    "folder": "captioner.corpus.readers.folder",
}


class Reader(Protocol):
    """What the module of a kind provides.

    `settings` is the corpus's YAML. `files` holds what was fetched or unpacked for a split: paths
    under captions and metadata, a list of folders under audio, and under split a CSV of the clips
    held out of development, where there is one. It is empty for corpora on the user's disk.
    """

    def tabulate_clips(
        self, settings: Mapping[str, Any], split: str, files: Mapping[str, Any]
    ) -> "Iterable[Clip]":
        """Tabulate a split's audio; nothing that is read here depends on a caption's words."""

    def read_annotations(
        self, settings: Mapping[str, Any], split: str, files: Mapping[str, Any]
    ) -> "Iterable[Annotation]":
        """Read what is written about a split's clips; no audio is read here, only its names."""


def load_reader(kind: str) -> Reader:
    """Import the reader of a kind of corpus."""
    if kind not in READERS:
        raise InputError(f"Corpus kind {kind!r} is unknown; expected one of {', '.join(READERS)}")
    return cast(Reader, importlib.import_module(READERS[kind]))
