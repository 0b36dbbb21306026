"""Front-end features of clips in Parquet shards, one row and one row group per clip.

Features are the bytes of a float32 matrix, uncompressed: they decode at memory speed, any clip is
read without its neighbours, and a row group costs 280 bytes. Polars or pandas read a clip with
`numpy.frombuffer(row.features, "<f4").reshape(row.n_frames, -1)`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from captioner.audio.frontends import FrontEnd, frontend_features
from captioner.corpus.shards import shard_of
from captioner.corpus.tables import Clip
from captioner.errors import InputError
from captioner.job import Progress, atomic_path

METADATA_KEY = b"captioner"
DTYPE = np.dtype("<f4")


def shard_schema(frontend: FrontEnd) -> pa.Schema:
    """Give the columns of a shard; the metadata says how its features were made."""
    made = {"frontend": frontend.settings, "n_features": frontend.n_features, "dtype": "float32"}
    return pa.schema(
        [
            pa.field("file_name", pa.string(), nullable=False),
            pa.field("n_frames", pa.int32(), nullable=False),
            pa.field("features", pa.binary(), nullable=False),  # (n_frames, n_features), C order
        ],
        metadata={METADATA_KEY: json.dumps(made)},
    )


def write_shard(
    clips: Iterable[Clip], shard: int, n_shards: int, frontend: FrontEnd, output: str | Path
) -> None:
    """Compute the features of the clips that belong to `shard` of `n_shards` and write them.

    Clips keep their order and are written as they come, so that memory does not grow with the
    corpus. A shard that no clip belongs to is a table without rows. Raises `InputError` naming the
    file for audio that cannot be used; `output` is then not touched.
    """
    mine = [clip for clip in clips if shard_of(clip.file_name, n_shards) == shard]
    schema = shard_schema(frontend)
    with (
        atomic_path(output) as temporary,
        pq.ParquetWriter(
            temporary, schema, compression="none", use_dictionary=False, write_statistics=False
        ) as writer,
        Progress(len(mine), f"Features, shard {shard}", "clip") as progress,
    ):
        for clip in mine:
            features = frontend_features(frontend, clip.path)  # (n_frames, n_features)
            row = [
                [clip.file_name],
                [len(features)],
                [features.astype(DTYPE, copy=False).tobytes()],
            ]
            writer.write_batch(pa.record_batch(row, schema=schema))
            progress.advance()


class FeatureStore(Mapping[str, np.ndarray]):
    """The features of the clips of some shards, by file name, from memory-mapped files.

    `store[file_name]` is a float32 array (n_frames, n_features) of the reader's own: a view of what
    Arrow decodes at each access, so the store holds no features in memory. A store can be pickled;
    one thread at a time reads it.
    """

    def __init__(self, paths: Sequence[str | Path]):
        """Open shards of one front-end.

        Raises `InputError` where a file is no shard, where settings differ, where a clip occurs
        twice and where no path is given.
        """
        if not paths:
            raise InputError("features: found no shards, expected at least one file.")
        self._paths = [Path(path) for path in paths]
        self._files: list[pq.ParquetFile] = []
        self._rows: dict[str, tuple[int, int, int]] = {}  # file name -> file, row group, n_frames
        for path in self._paths:
            self._open(path)

    def _open(self, path: Path) -> None:
        file, made = _open_shard(path)
        if not self._files:
            self.settings: dict[str, Any] = made["frontend"]
            self.n_features: int = made["n_features"]
        elif made["frontend"] != self.settings:
            raise InputError(
                f"{path}: found features made with {made['frontend']}, expected {self.settings} "
                f"as in {self._paths[0]}. Compute both with one front-end."
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
        file, row_group, n_frames = self._rows[file_name]
        table = self._files[file].read_row_group(row_group, columns=["features"], use_threads=False)
        values = np.frombuffer(table.column(0)[0].as_buffer(), dtype=DTYPE)
        return values.reshape(n_frames, self.n_features)

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


def _open_shard(path: Path) -> tuple[pq.ParquetFile, dict[str, Any]]:
    """Open a shard; give the file and its metadata."""
    try:
        file = pq.ParquetFile(path, memory_map=True)
        made = json.loads(file.schema_arrow.metadata[METADATA_KEY])
        whole = file.num_row_groups == file.metadata.num_rows
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise InputError(_not_a_shard(path, str(error))) from error
    if not whole:
        raise InputError(_not_a_shard(path, "several clips in a row group"))
    return file, made


def _not_a_shard(path: Path, why: str) -> str:
    return (
        f"{path}: found no shard of features ({why}), expected Parquet with one clip per row group "
        "and the metadata key `captioner`. Compute the features again."
    )
