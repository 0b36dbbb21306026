"""What the graph of jobs needs to know of a corpus before any job has run.

Read at every start of the workflow, so nothing heavy is imported.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from captioner.corpus.download.registry import read_registry
from captioner.corpus.readers.kinds import READERS
from captioner.corpus.splits import SPLITS
from captioner.errors import InputError
from captioner.source import source_digest

TEXT_KINDS = ("captions", "metadata")
GENERATOR = "captioner.corpus.synthetic.generate"
Paths = str | list[str]


class CorpusLayout(Protocol):
    """Names and numbers of a corpus's files."""

    splits: list[str]
    n_shards: dict[str, int]  # feature shards per split
    registry: str | None  # path of the registry of published files, where there is one
    generated: str | None  # key of a generated corpus: digest of what makes it
    files: dict[str, list[tuple[str, str, str]]]  # split -> (kind, key, name) of published files

    def audio(self, split: str) -> list[str]:
        """Give the folders that jobs unpack a split's audio into; none for the user's own."""

    def clip_sources(self, split: str) -> dict[str, Paths]:
        """Give what tells a split's clips, by kind: its audio, and what parts that, if anything."""

    def audio_digest(self, split: str) -> str | None:
        """Digest the user's own audio, which can change in place; None if read-only."""

    def text_sources(self, split: str) -> dict[str, Paths]:
        """Give the split's files of text by kind (captions, metadata), and what parts them."""

    def text_digest(self, split: str) -> str | None:
        """Digest the split's rows where splits may share a CSV; None where its date tells."""

    def most_captions(self, split: str) -> int | None:
        """Give how many captions a clip of a split has at most; None where that is not known."""


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
    if "generator" in settings:
        return GeneratedLayout(settings)
    return PublishedLayout(settings) if "registry" in settings else PlacedLayout(settings)


def download(key: str, file: str) -> str:
    """Give the path of a published file: a link to the verified one in `resources/downloads`."""
    return f"results/downloads/{key}/{file}"


class PublishedLayout:
    """A corpus that is published as archives and CSVs, named by a registry."""

    registry: str | None
    generated: str | None = None

    def __init__(self, settings: dict[str, Any]):
        self._name: str = settings["name"]
        self._kind: str = settings["kind"]
        self._n_captions: int | None = settings.get("n_captions")
        hold_out = settings.get("hold_out") or {"shares": {}}
        self._hold_out: Mapping[str, float] = hold_out["shares"]
        self.splits = [split for split in SPLITS if split in settings["shards"]]
        self.n_shards = settings["shards"]
        self.files: dict[str, list[tuple[str, str, str]]] = {}
        self._find_files(settings)
        for split in self.splits:
            if not self._of(split, "audio_archive"):
                raise InputError(
                    f"corpus {self._name}: found no audio archive of {split} in {self.registry}, "
                    "expected one at least: add its row, or take the split out of `shards`"
                )

    def _find_files(self, settings: dict[str, Any]) -> None:
        registry = Path(settings["folder"], settings["registry"])
        self.registry = str(registry)
        for entry in read_registry(registry):
            found = (entry.kind, entry.key, entry.file)
            self.files.setdefault(entry.split, []).append(found)

    def _of(self, split: str, kind: str) -> list[tuple[str, str]]:
        """Give (key, name) of a split's files of a kind; what is held out is in development."""
        origin = "development" if split in self._hold_out else split
        return [(key, name) for found, key, name in self.files.get(origin, ()) if found == kind]

    def audio(self, split: str) -> list[str]:
        """See `CorpusLayout`: a link per archive to what it holds, in `resources/audio`."""
        return [
            f"results/audio/{key}/{Path(name).stem}"
            for key, name in self._of(split, "audio_archive")
        ]

    def audio_digest(self, split: str) -> str | None:
        """See `CorpusLayout`: unpacked files are read-only."""
        return None

    def clip_sources(self, split: str) -> dict[str, Paths]:
        """See `CorpusLayout`; MACS is but the described part of what its archives hold."""
        described = self._text(split) if self._kind == "macs" else {}
        return {"audio": self.audio(split), **described, **self._held_out(split)}

    def text_sources(self, split: str) -> dict[str, Paths]:
        """See `CorpusLayout`; where nothing is written about a split, its audio tells the names."""
        found = self._text(split) or {"audio": self.audio(split)}
        return {**found, **self._held_out(split)}

    def _text(self, split: str) -> dict[str, Paths]:
        return {kind: download(*file) for kind in TEXT_KINDS for file in self._of(split, kind)}

    def _held_out(self, split: str) -> dict[str, Paths]:
        """Give the CSV that says which clips are a split's, where a job parts what is published."""
        parted = self._hold_out and split in {"development", *self._hold_out}
        return {"split": f"results/{self._name}/splits/development.csv"} if parted else {}

    def text_digest(self, split: str) -> str | None:
        """See `CorpusLayout`: a CSV per split."""
        return None

    def most_captions(self, split: str) -> int | None:
        """See `CorpusLayout`."""
        return self._n_captions


class GeneratedLayout(PublishedLayout):
    """The synthetic corpus: its registry, and so every md5, is known only once it is generated."""

    def _find_files(self, settings: dict[str, Any]) -> None:
        from captioner.corpus.synthetic.files import REGISTRY, published_files

        made_by = json.dumps([settings["generator"], source_digest(GENERATOR)])
        self.generated = hashlib.sha256(made_by.encode()).hexdigest()[:16]
        self.registry = f"resources/synthetic/{self.generated}/{REGISTRY}"
        for (split, kind), name in published_files(self.splits).items():
            entry = (kind, f"synthetic-{self.generated}", name)
            self.files.setdefault(split, []).append(entry)


class _OwnFiles:
    """Audio and text on the user's disk: no job fetches or unpacks anything."""

    registry: str | None = None
    generated: str | None = None

    def __init__(self, settings: dict[str, Any]):
        self._settings = settings
        self.files: dict[str, list[tuple[str, str, str]]] = {}

    def audio(self, split: str) -> list[str]:
        """See `CorpusLayout`."""
        return []

    def clip_sources(self, split: str) -> dict[str, Paths]:
        """See `CorpusLayout`: what no job makes is told of by `audio_digest`."""
        return {}


class FolderLayout(_OwnFiles):
    """The user's own folder of audio with captions."""

    def __init__(self, settings: dict[str, Any]):
        folder = self._folder
        super().__init__(folder.resolve_paths(settings, settings["folder"]))
        settings.update(self._settings)
        clips = folder.folder_splits(self._settings)
        self.splits = list(clips)
        self.n_shards = {split: folder.n_shards(len(names)) for split, names in clips.items()}

    @property
    def _folder(self) -> ModuleType:  # no attribute: a run's plan is pickled for its jobs
        from captioner.corpus import folder

        return folder

    def audio_digest(self, split: str) -> str | None:
        """See `CorpusLayout`."""
        return self._folder.audio_digest(self._settings, split)

    def text_sources(self, split: str) -> dict[str, Paths]:
        """See `CorpusLayout`."""
        paths = self._folder.caption_files(self._settings, split)
        return dict(zip(TEXT_KINDS, paths, strict=False))

    def text_digest(self, split: str) -> str | None:
        """See `CorpusLayout`."""
        return self._folder.text_digest(self._settings, split)

    def most_captions(self, split: str) -> int | None:
        """See `CorpusLayout`."""
        return max(len(row.captions) for row in self._folder.split_rows(self._settings)[split])


class PlacedLayout(_OwnFiles):
    """A published corpus whose audio everyone has to get for themselves: files in known places."""

    def __init__(self, settings: dict[str, Any]):
        super().__init__(settings)
        self.splits = [split for split in SPLITS if split in settings["shards"]]
        self.n_shards = settings["shards"]

    def audio_digest(self, split: str) -> str | None:
        """See `CorpusLayout`: dates of the folders, for there may be 400,000 files in them."""
        audio = self._settings["audio"]
        root = Path(audio if isinstance(audio, str) else audio[split])
        folders = [root, *(path for path in sorted(root.glob("*")) if path.is_dir())]
        dates = [(str(path), path.stat().st_mtime_ns) for path in folders if path.exists()]
        return hashlib.blake2b(repr(dates).encode(), digest_size=16).hexdigest()

    def text_sources(self, split: str) -> dict[str, Paths]:
        """See `CorpusLayout`."""
        found = {"captions": self._settings["captions"][split]}
        if blacklists := self._settings.get("blacklists"):
            found["blacklists"] = blacklists
        return found

    def text_digest(self, split: str) -> str | None:
        """See `CorpusLayout`: what is written about clips without audio is left out."""
        files = [path for paths in self.text_sources(split).values() for path in _listed(paths)]
        dates = [Path(path).stat().st_mtime_ns for path in files if Path(path).exists()]
        return f"{self.audio_digest(split)} {dates}"

    def most_captions(self, split: str) -> int | None:
        """See `CorpusLayout`."""
        return self._settings.get("n_captions")


def _listed(paths: Paths) -> list[str]:
    return [paths] if isinstance(paths, str) else paths
