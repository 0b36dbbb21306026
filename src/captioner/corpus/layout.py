"""What the graph of jobs needs to know of a corpus before any job has run.

Read at every start of the workflow, so nothing heavy is imported.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Protocol

from captioner.corpus.readers import READERS
from captioner.corpus.registry import read_registry
from captioner.errors import InputError
from captioner.source import source_digest

TEXT_KINDS = ("captions", "metadata")
GENERATOR = "captioner.corpus.synthetic.generate"


class CorpusLayout(Protocol):
    """Names and numbers of a corpus's files."""

    splits: list[str]
    n_shards: dict[str, int]  # feature shards per split
    registry: str | None  # path of the registry of published files, where there is one
    generated: str | None  # key of a generated corpus: digest of what makes it
    files: dict[tuple[str, str], str]  # published file of each (split, kind)
    keys: dict[str, str]  # folder of each published file under `resources/downloads`

    def audio(self, split: str) -> dict[str, str]:
        """Give the folder of wavs that a job unpacks, as `audio`; none for the user's own."""

    def audio_digest(self, split: str) -> str | None:
        """Digest the user's own audio, which can be overwritten in place; None if read-only."""

    def text(self, split: str) -> dict[str, str]:
        """Give the split's CSVs by kind (captions, metadata), as far as it has them."""

    def text_digest(self, split: str) -> str | None:
        """Digest the split's rows where splits may share a CSV; None where its date tells."""


def corpus_layout(settings: dict[str, Any]) -> CorpusLayout:
    """Read the layout of the corpus that `settings` (its YAML, completed) describe.

    Raises:
        InputError: an unknown kind, or a registry or captions CSV that cannot be used.
    """
    if settings["kind"] not in READERS:
        raise InputError(
            f"corpus {settings['name']}: unknown kind {settings['kind']!r}; "
            f"expected one of {', '.join(READERS)}"
        )
    if settings["kind"] == "folder":
        return FolderLayout(settings)
    return GeneratedLayout(settings) if "generator" in settings else PublishedLayout(settings)


class PublishedLayout:
    """A corpus that is published as archives and CSVs, named by a registry."""

    registry: str | None
    generated: str | None = None

    def __init__(self, settings: dict[str, Any]):
        self._name: str = settings["name"]
        self.splits = list(settings["shards"])
        self.n_shards = settings["shards"]
        self._find_files(settings)

    def _find_files(self, settings: dict[str, Any]) -> None:
        registry = Path(settings["folder"]) / settings["registry"]
        entries = [e for e in read_registry(registry) if e.split in self.splits]
        self.registry = str(registry)
        self.files = {(entry.split, entry.kind): entry.file for entry in entries}
        self.keys = {entry.file: entry.md5 for entry in entries}

    def audio(self, split: str) -> dict[str, str]:
        """See `CorpusLayout`."""
        return {"audio": f"resources/{self._name}/audio/{split}"}

    def audio_digest(self, split: str) -> str | None:
        """See `CorpusLayout`: unpacked files are read-only."""
        return None

    def text(self, split: str) -> dict[str, str]:
        """See `CorpusLayout`."""
        names = {kind: self.files.get((split, kind)) for kind in TEXT_KINDS}
        return {kind: self.download(name) for kind, name in names.items() if name}

    def text_digest(self, split: str) -> str | None:
        """See `CorpusLayout`: a CSV per split."""
        return None

    def download(self, file: str) -> str:
        """Give the path of a published file, wherever it is fetched from."""
        return f"resources/downloads/{self.keys[file]}/{file}"


class GeneratedLayout(PublishedLayout):
    """The synthetic corpus: its registry, and so every md5, is known only once it is generated."""

    def _find_files(self, settings: dict[str, Any]) -> None:
        from captioner.corpus.synthetic.files import REGISTRY, published_files

        made_by = json.dumps([settings["generator"], source_digest(GENERATOR)])
        self.generated = hashlib.sha256(made_by.encode()).hexdigest()[:16]
        self.registry = f"resources/synthetic/{self.generated}/{REGISTRY}"
        self.files = published_files(self.splits)
        self.keys = dict.fromkeys(self.files.values(), f"synthetic-{self.generated}")


class FolderLayout:
    """The user's own folder of audio with captions."""

    registry: str | None = None
    generated: str | None = None

    def __init__(self, settings: dict[str, Any]):
        from captioner.corpus import folder

        self._folder = folder
        self._settings = settings
        self.files: dict[tuple[str, str], str] = {}
        self.keys: dict[str, str] = {}
        clips = folder.folder_splits(settings)
        self.splits = list(clips)
        self.n_shards = {split: folder.n_shards(len(names)) for split, names in clips.items()}

    def audio(self, split: str) -> dict[str, str]:
        """See `CorpusLayout`: the user's files are not made by a job."""
        return {}

    def audio_digest(self, split: str) -> str | None:
        """See `CorpusLayout`."""
        return self._folder.audio_digest(self._settings, split, shard=0, n_shards=1)

    def text(self, split: str) -> dict[str, str]:
        """See `CorpusLayout`."""
        paths = self._folder.caption_files(self._settings, split)
        return dict(zip(TEXT_KINDS, paths, strict=False))

    def text_digest(self, split: str) -> str | None:
        """See `CorpusLayout`."""
        return self._folder.text_digest(self._settings, split)
