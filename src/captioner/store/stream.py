"""Epochs of clips in random order: streamed through a bounded buffer, or from memory.

Both give every clip of the shards once an epoch. Which order, the seed, the epoch and (streamed)
the size of the buffer decide alone, so an epoch that was interrupted continues where it stopped.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from captioner.store.schema import DTYPES
from captioner.store.shards import FeatureStore, Row

RUN_BYTES = 8 * 2**20  # read in one go: a disk that turns finds its place 8 times a second or more
RUNS_IN_BUFFER = 4  # at least, so that neighbours on the disk part


class StoredClip(NamedTuple):
    """A clip of the shards, before it is read."""

    file_name: str
    row: Row
    size: int  # bytes of its features, as stored


def stream_epoch(
    paths: Sequence[str | Path], seed: int, epoch: int, buffer_bytes: int, skip: int = 0
) -> Iterator[tuple[str, np.ndarray]]:
    """Give (file name, features (n_frames, n_features) float32) of every clip, in random order.

    Runs of neighbouring clips (8 MB, or a quarter of the buffer) are read in random order from all
    shards into a buffer of at most `buffer_bytes`, as stored; every clip is drawn from it at
    random. A clip larger than the buffer has it for itself. The first `skip` clips of the epoch are
    left out, without being read. Raises `InputError` as `FeatureStore` does.
    """
    store = FeatureStore(paths)
    runs = _runs(store, min(RUN_BYTES, buffer_bytes // RUNS_IN_BUFFER))
    given: set[str] = set()  # of the clips to be left out
    waiting: list[list[StoredClip]] = []  # runs that belong into the buffer
    buffer: dict[str, np.ndarray] = {}
    order = _draw(runs, np.random.default_rng([seed, epoch]), buffer_bytes)
    for position, (added, file_name) in enumerate(order):
        waiting += added
        if position < skip:
            given.add(file_name)
            continue
        for run in waiting:
            buffer.update(_read(store, [clip for clip in run if clip.file_name not in given]))
        waiting.clear()
        yield file_name, buffer.pop(file_name).astype(np.float32, copy=False)


def _runs(store: FeatureStore, run_bytes: int) -> list[list[StoredClip]]:
    """Cut the shards into runs of neighbouring clips of at most `run_bytes`, one clip at least."""
    itemsize = DTYPES[store.metadata.dtype].itemsize
    runs: list[list[StoredClip]] = []
    for _, rows in groupby(store.rows.items(), key=lambda item: item[1].shard):
        n_bytes = run_bytes
        for file_name, row in rows:
            clip = StoredClip(file_name, row, row.n_frames * store.n_features * itemsize)
            n_bytes += clip.size
            if n_bytes > run_bytes:
                runs.append([])
                n_bytes = clip.size
            runs[-1].append(clip)
    return runs


def _draw(
    runs: Sequence[list[StoredClip]], generator: np.random.Generator, buffer_bytes: int
) -> Iterator[tuple[list[list[StoredClip]], str]]:
    """Give, clip by clip, the runs that enter the buffer before it and the clip that leaves it."""
    coming = [runs[index] for index in generator.permutation(len(runs))[::-1]]
    held: list[StoredClip] = []
    n_bytes = 0
    while coming or held:
        added = []
        while coming and (not held or n_bytes + _size(coming[-1]) <= buffer_bytes):
            added.append(coming.pop())
            held += added[-1]
            n_bytes += _size(added[-1])
        chosen = int(generator.integers(len(held)))
        held[chosen], held[-1] = held[-1], held[chosen]
        clip = held.pop()
        n_bytes -= clip.size
        yield added, clip.file_name


def _size(run: Sequence[StoredClip]) -> int:
    return sum(clip.size for clip in run)


def _read(store: FeatureStore, run: Sequence[StoredClip]) -> Mapping[str, np.ndarray]:
    """Read clips of one shard, in one pass; each array has memory of its own."""
    if not run:
        return {}
    found = {}
    with pq.ParquetFile(store.paths[run[0].row.shard]) as file:  # memory-mapped pages would stay
        for clip in run:
            table = file.read_row_group(clip.row.row_group, columns=["features"], use_threads=False)
            found[clip.file_name] = store.as_stored(clip.file_name, table.column(0)[0].as_buffer())
    return found


def random_epoch(
    store: FeatureStore, seed: int, epoch: int, skip: int = 0
) -> Iterator[tuple[str, np.ndarray]]:
    """Give the clips of `stream_epoch` in another random order, reading each where it stands."""
    order = np.random.default_rng([seed, epoch]).permutation(len(store))
    file_names = store.file_names
    for index in order[skip:]:
        yield file_names[index], store[file_names[index]]


class InMemoryStore(FeatureStore):
    """A `FeatureStore` that has read everything, with the values as they are stored."""

    def __init__(self, paths: Sequence[str | Path]):
        """Read the shards; raises `InputError` as `FeatureStore` does."""
        super().__init__(paths)
        self._tables = []
        for path in self.paths:
            with pq.ParquetFile(path) as file:
                self._tables.append(file.read(use_threads=False))

    def __getitem__(self, file_name: str) -> np.ndarray:
        stored = self.as_stored(file_name, self._read(file_name, "features"))
        return stored.astype(np.float32)  # a copy: what the reader changes stays as it was here

    def _read(self, file_name: str, column: str) -> pa.Buffer:
        row = self.rows[file_name]
        return self._tables[row.shard].column(column)[row.row_group].as_buffer()


def open_store(paths: Sequence[str | Path], memory_bytes: int) -> FeatureStore:
    """Open shards: an `InMemoryStore` if it takes at most `memory_bytes`, else memory-mapped."""
    store = FeatureStore(paths)
    return InMemoryStore(paths) if store.n_bytes <= memory_bytes else store
