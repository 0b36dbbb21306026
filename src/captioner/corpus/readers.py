"""The kinds of corpora, each with its reader."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from captioner.errors import InputError

if TYPE_CHECKING:  # the graph of jobs reads the names below without paying for Parquet
    from captioner.corpus.tables import Annotation, Clip

# Names, not modules: work on one kind must not make the others' results stale.
READERS = {
    "clotho": "captioner.corpus.clotho",
    "folder": "captioner.corpus.folder_reader",
}


class Reader(Protocol):
    """What the module of a kind provides.

    `settings` is the corpus's YAML; `files` maps a kind of file (audio, captions, metadata) to
    where it was fetched or unpacked for this split, and is empty for corpora on the user's disk.
    """

    def tabulate_clips(
        self, settings: Mapping[str, Any], split: str, files: Mapping[str, str | Path]
    ) -> "list[Clip]":
        """Tabulate a split's audio; nothing that is read here depends on a caption."""

    def read_annotations(
        self, settings: Mapping[str, Any], split: str, files: Mapping[str, str | Path]
    ) -> "list[Annotation]":
        """Read what is written about a split's clips; no audio is read here."""


def load_reader(kind: str) -> Reader:
    """Import the reader of a kind of corpus."""
    if kind not in READERS:
        raise InputError(f"Corpus kind {kind!r} is unknown; expected one of {', '.join(READERS)}")
    return cast(Reader, importlib.import_module(READERS[kind]))
