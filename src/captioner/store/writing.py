"""Write the features of clips to Parquet shards; `captioner.store.schema` says how they look."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from captioner.audio.frontends import FrontEnd, Heard, hear_files
from captioner.corpus.shards import shard_of
from captioner.corpus.tables import Clip
from captioner.errors import InputError
from captioner.job import Progress, atomic_path
from captioner.store.schema import DTYPES, MOMENTS_KEY, TAGS_DTYPE, ShardMetadata
from captioner.store.statistics import Statistics


def write_shard(
    clips: Iterable[Clip], shard: int, n_shards: int, frontend: FrontEnd, output: str | Path
) -> None:
    """Compute the features of the clips that belong to `shard` of `n_shards` and write them.

    Clips are written as they come, so that memory does not grow with the corpus: in their order,
    or sorted by length for a front-end that takes batches. A shard that no clip belongs to is a
    table without rows. Raises `InputError` naming the file for audio that cannot be used; `output`
    is then not touched.
    """
    mine = [clip for clip in clips if shard_of(clip.file_name, n_shards) == shard]
    with (
        open_shard(output, ShardMetadata.from_frontend(frontend)) as writer,
        Progress(len(mine), f"Features, shard {shard}", "clip") as progress,
    ):
        for batch in _batches(mine, frontend.batch_s):
            heard = hear_files(frontend, [clip.path for clip in batch])
            for clip, of_clip in zip(batch, heard, strict=True):
                writer.write(clip.file_name, of_clip)
            progress.advance(len(batch))


class ShardWriter:
    """Writes clips to an open shard, a row and a row group each.

    Attributes:
        statistics: of what was written, as it is stored.
    """

    def __init__(self, parquet: pq.ParquetWriter, metadata: ShardMetadata):
        """Use `open_shard`."""
        self.statistics = Statistics.none(metadata.n_features)
        self._parquet = parquet
        self._metadata = metadata

    def write(self, file_name: str, heard: Heard) -> None:
        """Append a clip; `InputError` if its features do not fit the dtype."""
        dtype = DTYPES[self._metadata.dtype]
        with np.errstate(over="ignore"):
            features = heard.features.astype(dtype, copy=False)
        if dtype.itemsize < 4 and not np.isfinite(features).all():
            raise InputError(
                f"{file_name}: found features up to {abs(heard.features).max():.3g}, expected at "
                f"most {np.finfo(dtype).max}. Set `storage: float32` in the front-end's YAML."
            )
        row = [[file_name], [len(features)], [features.tobytes()]]
        if self._metadata.tags:
            row.append([np.asarray(heard.tags, TAGS_DTYPE).tobytes()])
        self._parquet.write_batch(pa.record_batch(row, schema=self._parquet.schema))
        self.statistics = self.statistics.merge(Statistics.of(features))


@contextmanager
def open_shard(output: str | Path, metadata: ShardMetadata) -> Iterator[ShardWriter]:
    """Open a shard for writing; it is there once all is written, and on failure left as it was."""
    with (
        atomic_path(output) as temporary,
        # Uncompressed, so that a clip decodes at memory speed; every value is another, so neither
        # dictionary nor statistics help.
        pq.ParquetWriter(
            temporary,
            metadata.schema(),
            compression="none",
            use_dictionary=False,
            write_statistics=False,
        ) as parquet,
    ):
        writer = ShardWriter(parquet, metadata)
        yield writer
        parquet.add_key_value_metadata({MOMENTS_KEY: json.dumps(writer.statistics.to_json())})


def _batches(clips: Sequence[Clip], batch_s: float) -> Iterator[Sequence[Clip]]:
    """Give single clips if `batch_s` is 0, else clips of similar length: `batch_s` with padding."""
    if not batch_s:
        yield from ([clip] for clip in clips)
        return
    batch: list[Clip] = []
    for clip in sorted(clips, key=lambda clip: clip.duration_s):
        if batch and (len(batch) + 1) * clip.duration_s > batch_s:
            yield batch
            batch = []
        batch.append(clip)
    if batch:
        yield batch
