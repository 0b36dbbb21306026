"""The features of some shards, by file name, wherever in them a clip stands."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from captioner.errors import InputError
from captioner.store.schema import DTYPES, TAGS_DTYPE, ShardMetadata
from captioner.store.statistics import Statistics, merge_all

OPEN_SHARDS = 64  # files open at a time
LENGTH_BYTES = 4  # what Parquet's PLAIN encoding writes before the bytes of a cell, little-endian


class Row(NamedTuple):
    """Where a clip stands."""

    shard: int  # index of the path
    row_group: int
    n_frames: int


class OpenShard:
    """A shard's file, whose cells of a column end where `ends` says."""

    def __init__(self, path: Path):
        self.path = path
        self._file = path.open("rb", buffering=0)

    def read_into(self, column: str, row_group: int, end: int, values: np.ndarray) -> None:
        """Fill contiguous `values` with the bytes of the cell that ends at byte `end` of the file.

        Raises `InputError` if the cell has not as many.
        """
        n_bytes, start = values.nbytes, end - values.nbytes
        length = os.pread(self._file.fileno(), LENGTH_BYTES, start - LENGTH_BYTES)
        into = values.reshape(-1).view(np.uint8).data
        done = 0
        while done < n_bytes:
            n_read = os.preadv(self._file.fileno(), [into[done:]], start + done)
            if not n_read:
                break
            done += n_read
        if int.from_bytes(length, "little") != n_bytes or done < n_bytes:
            raise InputError(
                f"{self.path}: found no {n_bytes} bytes of {column} in row {row_group}, expected "
                "them uncompressed and whole, as they are written. Compute the features again."
            )


class FeatureStore(Mapping[str, np.ndarray]):
    """The features of the clips of some shards, by file name.

    `store[file_name]` is a float32 array (n_frames, n_features) of the reader's own. Features are
    read from the files at each access. So the store holds none in memory;
    what has been read stays in the operating system's cache while memory allows, once for all
    processes of a machine, and is streamed from the disk otherwise. A store can be pickled, and
    read by several threads.
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
        # Of each shard, and kept when its file is closed: in a random order over 2,000 shards
        # nearly every clip opens another, and reading a footer again takes longer than the clip.
        self._ends: list[dict[str, np.ndarray]] = []  # column -> (n_rows,) int64, bytes
        for shard, path in enumerate(self.paths):
            self._index(shard, path)
        self._open = lru_cache(OPEN_SHARDS)(OpenShard)

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
            self._ends.append(_ends_of_cells(file))
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
        return self.as_stored(file_name).astype(np.float32, copy=False)

    def as_stored(self, file_name: str) -> np.ndarray:
        """Read a clip's features (n_frames, n_features) in the dtype of the shards."""
        shape = self.n_frames(file_name), self.n_features
        return self._read(file_name, "features", shape, DTYPES[self.metadata.dtype])

    def tags(self, file_name: str) -> np.ndarray | None:
        """Give a clip's tag probabilities (n_tags,) float32; None where the front-end has none."""
        if not self.tag_names:
            return None
        tags = self._read(file_name, "tags", (len(self.tag_names),), TAGS_DTYPE)
        return tags.astype(np.float32)

    def _read(
        self, file_name: str, column: str, shape: tuple[int, ...], dtype: np.dtype
    ) -> np.ndarray:
        values = np.empty(shape, dtype)
        row = self.rows[file_name]
        end = int(self._ends[row.shard][column][row.row_group])
        self._open(self.paths[row.shard]).read_into(column, row.row_group, end, values)
        return values

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

    def statistics(self) -> Statistics:
        """Merge what each shard keeps of its features: hundreds of GB are not read again.

        Raises `InputError` if no shard holds a clip.
        """
        if not self.rows:
            raise InputError(
                f"statistics: found no clip in {', '.join(map(str, self.paths))}, expected some."
            )
        return merge_all(map(Statistics.of_shard, self.paths))


def _ends_of_cells(file: pq.ParquetFile) -> dict[str, np.ndarray]:
    """Give column -> (n_rows,) int64: where the chunk of each row's cell ends.

    That is where its bytes end: they come last.
    """
    chunks = [file.metadata.row_group(row) for row in range(file.metadata.num_rows)]
    return {
        name: np.array(
            [
                chunk.data_page_offset + chunk.total_compressed_size
                for chunk in (row_group.column(column) for row_group in chunks)
            ],
            dtype=np.int64,
        )
        for column, name in enumerate(file.schema_arrow.names)
        if name in ("features", "tags")
    }


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
