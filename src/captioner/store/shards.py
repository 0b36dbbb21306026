"""The features of some shards, by file name, wherever in them a clip stands."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from captioner.errors import InputError
from captioner.store.schema import DTYPES, TAGS_DTYPE, ShardMetadata

OPEN_SHARDS = 64  # of 512 clips each: 100 MB of Parquet metadata


class Row(NamedTuple):
    """Where a clip stands."""

    shard: int  # index of the path
    row_group: int
    n_frames: int


class FeatureStore(Mapping[str, np.ndarray]):
    """The features of the clips of some shards, by file name, from memory-mapped files.

    `store[file_name]` is a float32 array (n_frames, n_features) of the reader's own, decoded at
    each access, so the store holds no features in memory. A store can be pickled; one thread at a
    time reads it.
    """

    def __init__(self, paths: Sequence[str | Path]):
        """Read what the shards of one front-end hold, without the features.

        Raises `InputError` where a file is no shard, where settings or weights differ, where a clip
        occurs twice and where no path is given.
        """
        if not paths:
            raise InputError("features: found no shards, expected at least one file.")
        self.paths = [Path(path) for path in paths]
        self.rows: dict[str, Row] = {}
        for shard, path in enumerate(self.paths):
            self._index(shard, path)
        self._open = lru_cache(OPEN_SHARDS)(partial(pq.ParquetFile, memory_map=True))

    def _index(self, shard: int, path: Path) -> None:
        with _open_shard(path) as (file, metadata):
            if not shard:
                self.metadata = metadata
                self.settings = metadata.frontend
                self.n_features = metadata.n_features
                self.tag_names = metadata.tags
            elif metadata != self.metadata:
                raise InputError(
                    f"{path}: found features made with {metadata.frontend} and the weights "
                    f"{metadata.weights_md5 or '(none)'}, expected {self.settings} and "
                    f"{self.metadata.weights_md5 or '(none)'} as in {self.paths[0]}. Compute both "
                    "with one front-end."
                )
            names = file.read(columns=["file_name", "n_frames"], use_threads=False)
        rows = zip(*(column.to_pylist() for column in names.columns), strict=True)
        for row_group, (file_name, n_frames) in enumerate(rows):
            if file_name in self.rows:
                raise InputError(
                    f"{path}: found {file_name!r} again, expected each clip once in "
                    f"{', '.join(map(str, self.paths))}. Give the shards of one split, each once."
                )
            self.rows[file_name] = Row(shard, row_group, n_frames)

    def __getitem__(self, file_name: str) -> np.ndarray:
        stored = self.as_stored(file_name, self._read(file_name, "features"))
        return stored.astype(np.float32, copy=False)

    def as_stored(self, file_name: str, features: pa.Buffer) -> np.ndarray:
        """Give a clip's cell of the column `features` as a matrix of the dtype in the shards."""
        values = np.frombuffer(features, DTYPES[self.metadata.dtype])
        return values.reshape(self.n_frames(file_name), self.n_features)

    @property
    def n_bytes(self) -> int:
        """Bytes of all features, as stored."""
        n_frames = sum(row.n_frames for row in self.rows.values())
        return n_frames * self.n_features * DTYPES[self.metadata.dtype].itemsize

    def tags(self, file_name: str) -> np.ndarray | None:
        """Give a clip's tag probabilities (n_tags,) float32; None where the front-end has none."""
        if not self.tag_names:
            return None
        return np.frombuffer(self._read(file_name, "tags"), TAGS_DTYPE).astype(np.float32)

    def _read(self, file_name: str, column: str) -> pa.Buffer:
        row = self.rows[file_name]
        file = self._open(self.paths[row.shard])
        table = file.read_row_group(row.row_group, columns=[column], use_threads=False)
        return table.column(0)[0].as_buffer()

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, file_name: object) -> bool:
        return file_name in self.rows

    def __reduce__(self) -> tuple[type["FeatureStore"], tuple[list[Path]]]:
        return type(self), (self.paths,)

    @property
    def file_names(self) -> list[str]:
        """File names in the order of the shards."""
        return list(self.rows)

    def n_frames(self, file_name: str) -> int:
        """Give a clip's number of frames without reading its features."""
        return self.rows[file_name].n_frames


@contextmanager
def _open_shard(path: Path) -> Iterator[tuple[pq.ParquetFile, ShardMetadata]]:
    """Open a shard; give the file and its metadata."""
    try:
        with pq.ParquetFile(path) as file:
            metadata = ShardMetadata.of(file.schema_arrow)
            if file.num_row_groups != file.metadata.num_rows:
                raise ValueError("several clips in a row group")
            yield file, metadata
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: found no shard of features ({error}), expected Parquet with one clip per row "
            "group and the metadata key `captioner`. Compute the features again."
        ) from error
