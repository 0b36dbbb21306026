"""The layout of a corpus on the user's disk: folders of audio and captions CSVs.

`audio` is one folder or one per split; `captions` is one CSV or one per split. One CSV without a
column `split` is split by its words, once: the outcome is kept in `resources/splits`. A split
without captions may have a CSV of file names only, or none: then all audio in its folder belongs
to it. All this is read whenever the graph of jobs is built, so nothing heavy is imported here.
"""

import hashlib
import json
import logging
import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from captioner.corpus.listing import list_audio
from captioner.corpus.readers.captions import CaptionRow, read_captions_csv
from captioner.corpus.splits import (
    SPLITS,
    UNCAPTIONED,
    shares_of,
    write_split_csv,
)
from captioner.errors import InputError
from captioner.source import source_digest

CLIPS_PER_SHARD = 512  # about 170 MB of log-mels of 20 s clips
KEPT_SPLITS = Path("resources/splits")  # of the working directory

log = logging.getLogger(__name__)


def resolve_paths(settings: Mapping[str, Any], base: str | Path) -> dict[str, Any]:
    """Make the paths of a corpus YAML relative to `base`, the YAML's folder, not to themselves."""

    def resolved(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {split: resolved(path) for split, path in value.items()}
        return None if value is None else str(Path(base) / value)

    return {
        **settings,
        "audio": resolved(settings["audio"]),
        "captions": resolved(settings["captions"]),
    }


def folder_splits(settings: Mapping[str, Any]) -> dict[str, list[str]]:
    """Give the file names of each split that exists, sorted; fast, for building the graph."""
    return {
        split: sorted(row.file_name for row in rows) for split, rows in split_rows(settings).items()
    }


def split_rows(settings: Mapping[str, Any]) -> dict[str, list[CaptionRow]]:
    """Give the rows of each split that exists, in the order of `SPLITS`.

    Raises `InputError` for an unknown split, for captions missing where there must be some, and
    for what `read_captions_csv` refuses.
    """
    captions = settings["captions"]
    if isinstance(captions, Mapping):
        if unknown := sorted(captions.keys() - set(SPLITS)):
            raise InputError(
                f"The corpus's YAML names the splits {unknown}; expected only {list(SPLITS)}"
            )
        rows = {split: _rows_of_file(settings, split) for split in captions}
    else:
        rows = _rows_of_one_file(settings)
    for split, held in rows.items():
        if split not in UNCAPTIONED and not all(row.captions for row in held):
            raise InputError(
                f"{split} has clips without captions ({settings['captions']}); expected captions "
                f"in every split but {' and '.join(UNCAPTIONED)}: add columns caption_1, ..."
            )
    return {split: rows[split] for split in SPLITS if split in rows}


def text_digest(settings: Mapping[str, Any], split: str) -> str:
    """Digest the rows of one split: another split's rows in the same CSV do not count."""
    rows = [(row.file_name, row.captions) for row in split_rows(settings)[split]]
    return hashlib.blake2b(
        repr(rows).encode("utf-8", "surrogateescape"), digest_size=16
    ).hexdigest()


def n_shards(n_clips: int) -> int:
    """Give the number of shards for a split of so many clips."""
    return max(1, math.ceil(n_clips / CLIPS_PER_SHARD))


def caption_files(settings: Mapping[str, Any], split: str) -> list[str]:
    """Give the CSVs that a split's annotations are read from: one or none."""
    captions = settings["captions"]
    path = captions[split] if isinstance(captions, Mapping) else captions
    return [] if path is None else [path]


def audio_folder(settings: Mapping[str, Any], split: str) -> str:
    """Give the folder that holds a split's audio."""
    audio = settings["audio"]
    if isinstance(audio, str):
        return audio
    if split not in audio:
        raise InputError(
            f"The corpus's YAML gives no `audio` folder for {split}, only for {sorted(audio)}"
        )
    return audio[split]


def audio_digest(settings: Mapping[str, Any], split: str) -> str:
    """Digest name, size and modification time of a split's audio.

    It changes when a file is overwritten in place, which a folder's own time does not show. An
    absent file counts as absent.
    """
    folder = audio_folder(settings, split)
    digest = hashlib.blake2b(digest_size=16)
    for name in folder_splits(settings)[split]:
        try:
            status = os.stat(f"{folder}/{name}")  # noqa: PTH116, half the time, at every start
            seen = f"{status.st_size}\0{status.st_mtime_ns}"
        except OSError:
            seen = "absent"
        digest.update(f"{name}\0{seen}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _rows_of_file(settings: Mapping[str, Any], split: str) -> list[CaptionRow]:
    """Read the CSV of one split; without one, every audio file of its folder is a row."""
    if not (paths := caption_files(settings, split)):
        return [CaptionRow(n, (), split) for n in list_audio(audio_folder(settings, split))]
    declared = None if split in UNCAPTIONED else settings.get("n_captions")
    return _read(paths[0], declared, split_column=False)


def _rows_of_one_file(settings: Mapping[str, Any]) -> dict[str, list[CaptionRow]]:
    """Read the one CSV and part it by its column `split`, or by its words without one."""
    path = settings["captions"]
    parted = _parted(
        path, settings.get("n_captions"), _state(path), tuple(settings.get("split", {}).items())
    )
    if isinstance(settings["audio"], str):
        counts = Counter(row.file_name for rows in parted.values() for row in rows)
        if twice := [name for name, count in counts.items() if count > 1]:
            raise InputError(
                f"{path}: {', '.join(map(repr, twice[:10]))} in two splits, expected every file of "
                "the one audio folder in one split only: remove a row, or give a folder per split"
            )
    return parted


@lru_cache(maxsize=16)
def _parted(
    path: str,
    n_captions: int | None,
    state: tuple[int, int],
    to_split: tuple[tuple[str, float], ...],
) -> dict[str, list[CaptionRow]]:
    """Give the rows of a CSV by their split; `to_split` is the corpus's key `split`."""
    rows = _read(path, n_captions, split_column=True)
    if not rows[0].split:
        wanted = dict(to_split)
        held_out = {split: wanted[split] for split in ("validation", "evaluation")}
        split_of = _split_by_words(path, rows, shares_of(held_out), int(wanted["seed"]))
        rows = [replace(row, split=split_of[row.file_name]) for row in rows]
    by_split: dict[str, list[CaptionRow]] = {}
    for row in rows:
        by_split.setdefault(row.split, []).append(row)
    return by_split


def _split_by_words(
    path: str, rows: list[CaptionRow], shares: Mapping[str, float], seed: int
) -> dict[str, str]:
    """Give the split of each clip; work it out only where no earlier start of the graph has."""
    made_of = [
        sorted((row.file_name, row.captions) for row in rows),
        shares,
        seed,
        source_digest("captioner.corpus.splitting.stratify"),
    ]
    digest = hashlib.blake2b(json.dumps(made_of).encode(), digest_size=16).hexdigest()
    kept = KEPT_SPLITS / f"{digest}.csv"
    if not kept.is_file():
        from captioner.corpus.splitting.stratify import (
            stratified_split,  # late: it needs numpy and scipy
        )

        log.warning(
            "%s has no column `split`: its %d clips are split by their words, into %s. Captions "
            "that change may move clips; `captioner split` writes a CSV that settles it.",
            path,
            len(rows),
            kept,
        )
        captions = {row.file_name: row.captions for row in rows}
        write_split_csv(kept, stratified_split(captions, shares, seed))
    kept_rows = read_captions_csv(kept, 0, split_column=True)
    split_of = {row.file_name: row.split for row in kept_rows}
    if split_of.keys() != {row.file_name for row in rows}:
        raise InputError(
            f"{kept} holds {len(split_of)} clips, expected the {len(rows)} of {path}: delete it, "
            "and it will be made again"
        )
    return split_of


def _read(path: str, n_captions: int | None, split_column: bool) -> list[CaptionRow]:
    """Read a CSV once per state of the file: building the graph asks many times."""
    return _read_state(path, n_captions, split_column, _state(path))


@lru_cache(maxsize=16)
def _read_state(
    path: str, n_captions: int | None, split_column: bool, state: tuple[int, int]
) -> list[CaptionRow]:
    return read_captions_csv(path, n_captions, split_column)


def _state(path: str) -> tuple[int, int]:
    """Tell one state of a file from another."""
    try:
        status = Path(path).stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size
