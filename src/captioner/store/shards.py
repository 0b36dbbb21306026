"""The features of some shards, by file name, wherever in them a clip stands."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from captioner.errors import InputError
from captioner.store.schema import DTYPES, TAGS_DTYPE, ShardMetadata
from captioner.store.schema import shard_schema as shard_schema
from captioner.store.writing import write_shard as write_shard


class FeatureStore(Mapping[str, np.ndarray]):
    """The features of the clips of some shards, by file name, from memory-mapped files.

    `store[file_name]` is a float32 array (n_frames, n_features) of the reader's own: a view of what
    Arrow decodes at each access, so the store holds no features in memory. A store can be pickled;
    one thread at a time reads it.
    """

    def __init__(self, paths: Sequence[str | Path]):
        """Open shards of one front-end.

        Raises `InputError` where a file is no shard, where settings or weights differ, where a clip
        occurs twice and where no path is given.
        """
        if not paths:
            raise InputError("features: found no shards, expected at least one file.")
        self._paths = [Path(path) for path in paths]
        self._files: list[pq.ParquetFile] = []
        self._rows: dict[str, tuple[int, int, int]] = {}  # file name -> file, row group, n_frames
        for path in self._paths:
            self._open(path)

    def _open(self, path: Path) -> None:
        file, metadata = _open_shard(path)
        if not self._files:
            self.metadata = metadata
            self.settings = metadata.frontend
            self.n_features = metadata.n_features
            self.tag_names = metadata.tags
        elif metadata != self.metadata:
            raise InputError(
                f"{path}: found features made with {metadata.frontend} and the weights "
                f"{metadata.weights_md5 or '(none)'}, expected {self.settings} and "
                f"{self.metadata.weights_md5 or '(none)'} as in {self._paths[0]}. Compute both "
                "with one front-end."
            )
        names = file.read(columns=["file_name", "n_frames"], use_threads=False)
        rows = zip(*(column.to_pylist() for column in names.columns), strict=True)
        for row_group, (file_name, n_frames) in enumerate(rows):
            if file_name in self._rows:
                raise InputError(
                    f"{path}: found {file_name!r} again, expected each clip once in "
                    f"{', '.join(map(str, self._paths))}. Give the shards of one split, each once."
                )
            self._rows[file_name] = (len(self._files), row_group, n_frames)
        self._files.append(file)

    def __getitem__(self, file_name: str) -> np.ndarray:
        values = self._read(file_name, "features", DTYPES[self.metadata.dtype])
        return values.reshape(self.n_frames(file_name), self.n_features)

    def tags(self, file_name: str) -> np.ndarray | None:
        """Give a clip's tag probabilities (n_tags,) float32; None where the front-end has none."""
        return self._read(file_name, "tags", TAGS_DTYPE) if self.tag_names else None

    def _read(self, file_name: str, column: str, dtype: np.dtype) -> np.ndarray:
        file, row_group, _ = self._rows[file_name]
        table = self._files[file].read_row_group(row_group, columns=[column], use_threads=False)
        values = np.frombuffer(table.column(0)[0].as_buffer(), dtype=dtype)
        return values.astype(np.float32, copy=False)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, file_name: object) -> bool:
        return file_name in self._rows

    def __reduce__(self) -> tuple[type["FeatureStore"], tuple[list[Path]]]:
        return FeatureStore, (self._paths,)

    @property
    def file_names(self) -> list[str]:
        """File names in the order of the shards."""
        return list(self._rows)

    def n_frames(self, file_name: str) -> int:
        """Give a clip's number of frames without reading its features."""
        return self._rows[file_name][2]


def _open_shard(path: Path) -> tuple[pq.ParquetFile, ShardMetadata]:
    """Open a shard; give the file and its metadata."""
    try:
        file = pq.ParquetFile(path, memory_map=True)
        metadata = ShardMetadata.of(file.schema_arrow)
        whole = file.num_row_groups == file.metadata.num_rows
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise InputError(_not_a_shard(path, str(error))) from error
    if not whole:
        raise InputError(_not_a_shard(path, "several clips in a row group"))
    return file, metadata


def _not_a_shard(path: Path, why: str) -> str:
    return (
        f"{path}: found no shard of features ({why}), expected Parquet with one clip per row group "
        "and the metadata key `captioner`. Compute the features again."
    )
