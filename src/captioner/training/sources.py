"""What a system learns from: captioned clips of one corpus, or of several together."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from captioner.corpus.tables import read_usable_annotations
from captioner.errors import InputError
from captioner.store.shards import FeatureStore
from captioner.store.staging import stage
from captioner.text.vocabulary import Vocabulary

Pairs = np.ndarray  # (n, 2) int64: index of the clip, index of the caption within the clip

# What happens to a word outside the vocabulary: an error, the word is left out, or its caption is.
UnknownWords = Literal["refuse", "skip_word", "skip_caption"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """One split of one corpus: its tables and features."""

    corpus: str
    split: str
    clips: str | Path  # table
    annotations: str | Path  # table
    shards: Mapping[str, Sequence[str | Path]]  # front-end -> files
    weight: float = 1.0  # clips drawn per epoch, relative to how many there are
    task_token: str | None = None  # what captions start with in place of <sos>
    leaks: str | Path | None = None  # JSON: clips that are also in a held-out split

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "Source":
        """Take the fields from a mapping."""
        return cls(**settings)

    def staged(self, scratch: str) -> "Source":
        """Give this source with its features copied to a folder of this machine."""
        shards = {frontend: stage(paths, scratch) for frontend, paths in self.shards.items()}
        return replace(self, shards=shards)


@dataclass(frozen=True)
class CaptionedClips:
    """Clips that have captions and features, part by part in the order of their annotations."""

    names: list[str]
    captions: list[list[list[int]]]  # clip, caption, word
    texts: list[list[str]]  # clip, caption as published; those that `captions` leaves out too
    starts: list[int]  # the token that a clip's captions start with
    stores: list[Mapping[str, FeatureStore]]  # clip -> front-end -> where its features are
    parts: list[tuple[range, float]]  # clips of each source, and its weight

    def __len__(self) -> int:
        return len(self.names)

    @property
    def frontends(self) -> Mapping[str, FeatureStore]:
        """Front-end -> one of its stores."""
        return self.stores[0]

    def features(self, frontend: str, clip: int) -> np.ndarray:
        """Read a clip's features (n_frames, n_features) float32."""
        return self.stores[clip][frontend][self.names[clip]]

    def as_stored(self, frontend: str, clip: int) -> np.ndarray:
        """Read a clip's features (n_frames, n_features) in the dtype of the store."""
        return self.stores[clip][frontend].as_stored(self.names[clip])

    def n_frames(self, frontend: str, clip: int) -> int:
        """Give a clip's number of frames without reading its features."""
        return self.stores[clip][frontend].n_frames(self.names[clip])

    def pairs(self, clips: Iterable[int] | None = None) -> Pairs:
        """Give all captions of `clips` (of all clips by default), in order."""
        chosen = range(len(self)) if clips is None else clips
        pairs = [(clip, caption) for clip in chosen for caption in range(len(self.captions[clip]))]
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)

    def draw(self, generator: np.random.Generator) -> np.ndarray:
        """Draw the clips of an epoch (n,) int64, part by part.

        Of a part of n clips with weight w, round(w n) are drawn (one at least): each
        floor(w) times, and the rest at random without replacement.
        """
        drawn = []
        for clips, weight in self.parts:
            whole, n_rest = divmod(max(1, round(weight * len(clips))), len(clips))
            drawn += [np.array(clips, dtype=np.int64)] * whole
            if n_rest:
                drawn.append(clips.start + generator.permutation(len(clips))[:n_rest])
        return np.concatenate(drawn)


def join(parts: Sequence[CaptionedClips]) -> CaptionedClips:
    """Put the clips of several sources together, in order.

    Raises `InputError` where their features were made with different settings.
    """
    first, *others = parts
    ranges, start = [], 0
    for part in parts:
        for clips, weight in part.parts:
            ranges.append((range(start, start + len(clips)), weight))
            start += len(clips)
    for other in others:
        for frontend, store in other.frontends.items():
            if store.settings != first.frontends[frontend].settings:
                raise InputError(
                    f"front-end {frontend}: found features made with {store.settings} and with "
                    f"{first.frontends[frontend].settings}, expected one setting for all corpora "
                    "of a training. Compute the features again."
                )
    return CaptionedClips(
        [name for part in parts for name in part.names],
        [captions for part in parts for captions in part.captions],
        [texts for part in parts for texts in part.texts],
        [start for part in parts for start in part.starts],
        [stores for part in parts for stores in part.stores],
        ranges,
    )


def load_source(
    source: Source, vocabulary: Vocabulary, unknown_words: UnknownWords
) -> CaptionedClips:
    """Join the tables and features of a source by file name.

    Left out: clips without captions, clips whose audio is missing or damaged where the corpus
    allows that, and clips that the leakage check found in a held-out split. Features that no clip
    asks for are not read. Raises `InputError` naming a clip that has captions and no features, an
    unknown word where they are refused, and a source of which nothing is left.
    """
    stores = {frontend: FeatureStore(paths) for frontend, paths in source.shards.items()}
    leaks = leaking_clips(source.leaks)
    names: list[str] = []
    captions: list[list[list[int]]] = []
    texts: list[list[str]] = []
    n_skipped = 0
    for annotation in read_usable_annotations(source.annotations, source.clips):
        if annotation.file_name in leaks:
            continue
        encoded = _encode(annotation.captions, vocabulary, unknown_words)
        n_skipped += len(annotation.captions) - len(encoded)
        if not encoded:
            continue
        _check_features(annotation.file_name, stores, source)
        names.append(annotation.file_name)
        captions.append(encoded)
        texts.append(list(annotation.captions))
    if n_skipped:
        log.warning(
            "%s, %s: %d captions left out for words that the vocabulary does not have",
            source.corpus, source.split, n_skipped,
        )  # fmt: skip
    if not names:
        raise InputError(
            f"{source.annotations}: found no clip with captions and features, expected some to "
            f"learn from ({source.corpus}, {source.split})."
        )
    return CaptionedClips(
        names,
        captions,
        texts,
        [vocabulary.start(source.task_token)] * len(names),
        [stores] * len(names),
        [(range(len(names)), source.weight)],
    )


def leaking_clips(path: str | Path | None) -> set[str]:
    """Read the names of the clips that a leakage check excludes; none without a file."""
    if path is None:
        return set()
    return set(json.loads(Path(path).read_text(encoding="utf-8"))["excluded"])


def _encode(
    captions: Iterable[str], vocabulary: Vocabulary, unknown_words: UnknownWords
) -> list[list[int]]:
    encoded = []
    for caption in captions:
        try:
            encoded.append(vocabulary.encode(caption, skip_unknown=unknown_words == "skip_word"))
        except InputError:
            if unknown_words == "refuse":
                raise
    return encoded


def _check_features(name: str, stores: Mapping[str, FeatureStore], source: Source) -> None:
    for frontend, store in stores.items():
        if name not in store:
            raise InputError(
                f"{source.annotations}: found captions of {name!r}, which has no features of the "
                f"front-end {frontend} (expected one row in "
                f"{', '.join(map(str, source.shards[frontend]))}). Compute the features of this "
                "split again, or remove the clip's captions."
            )
