"""The two tables of a split: clips (audio only) and annotations (text only), as Parquet.

They are apart so that no feature is computed again when a caption changes; later stages join them
by file name. Both are written as their rows come and can be read so, `BATCH_ROWS` in memory at a
time: a corpus may have 400,000 clips.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from captioner.corpus.shards import shard_of
from captioner.errors import InputError
from captioner.job import atomic_path

BATCH_ROWS = 8192  # of a row group, and in memory at a time


@dataclass(frozen=True, slots=True)
class Clip:
    """One audio file of a split, by its header and by what its samples measure.

    The measures are kept rather than the verdicts of the checks: another threshold reruns the
    checks, which are cheap, and not the features. By default nothing about them is odd.
    """

    file_name: str
    path: str  # relative to the working directory, or absolute
    size: int  # bytes
    duration_s: float  # 0 of a clip with a fault
    sample_rate_hz: int
    n_channels: int
    digest: str = ""  # of the samples (`captioner.corpus.samples`); "": nothing to compare by
    fault: str = ""  # why the clip cannot be used, where the corpus says `damaged: skip`
    bits: int | None = None  # per sample; None of compressed audio, which has no such number
    peak: float = 1.0  # largest magnitude, of full scale
    constant: bool = False  # all samples are equal
    full_scale: float = 0.0  # share of the samples at full scale


@dataclass(frozen=True, slots=True)
class Annotation:
    """What is written about one clip; "" stands for unknown."""

    file_name: str
    captions: tuple[str, ...]  # as published; none in a split without captions
    keywords: str = ""
    sound_id: str = (
        ""  # of the recording the clip was cut from: freesound:1234, youtube:abcdefghijk
    )
    author: str = ""
    licence: str = ""


CLIPS_SCHEMA = pa.schema(
    [
        ("file_name", pa.string()),
        ("path", pa.string()),
        ("size", pa.int64()),
        ("duration_s", pa.float64()),
        ("sample_rate_hz", pa.int32()),
        ("n_channels", pa.int32()),
        ("digest", pa.string()),
        ("fault", pa.string()),
        ("bits", pa.int32()),
        ("peak", pa.float64()),
        ("constant", pa.bool_()),
        ("full_scale", pa.float64()),
    ]
)
ANNOTATIONS_SCHEMA = pa.schema(
    [
        ("file_name", pa.string()),
        ("captions", pa.list_(pa.string())),
        ("keywords", pa.string()),
        ("sound_id", pa.string()),
        ("author", pa.string()),
        ("licence", pa.string()),
    ]
)


def write_clips(path: str | Path, clips: Iterable[Clip]) -> None:
    """Write a table of clips, atomically, in the order given, as they come."""
    _write(path, clips, CLIPS_SCHEMA)


def iter_clips(path: str | Path) -> Iterator[Clip]:
    """Give the usable clips of a table one by one."""
    for row in _rows(path, CLIPS_SCHEMA):
        clip = Clip(*row)
        if not clip.fault:
            yield clip


def iter_shard_clips(path: str | Path, shard: int, n_shards: int) -> Iterator[Clip]:
    """Give the usable clips of a table that belong to `shard` of `n_shards`, one by one.

    Every shard's job reads the table, so only the names of the other clips are looked at: of
    400,000 clips in a third of the time of `iter_clips`.
    """
    for batch in _batches(path, CLIPS_SCHEMA):
        names = batch.column("file_name").to_pylist()
        mine = [i for i, name in enumerate(names) if shard_of(name, n_shards) == shard]
        for row in _tuples(batch.take(pa.array(mine, pa.int64()))):
            clip = Clip(*row)
            if not clip.fault:
                yield clip


def read_clips(path: str | Path) -> list[Clip]:
    """Read the usable clips of a table: those without a fault."""
    return list(iter_clips(path))


def read_usable_annotations(annotations: str | Path, clips: str | Path) -> Iterator[Annotation]:
    """Read the annotations of the clips of a table that can be used, one by one."""
    usable = {clip.file_name for clip in iter_clips(clips)}
    return (row for row in iter_annotations(annotations) if row.file_name in usable)


def read_faults(path: str | Path) -> dict[str, str]:
    """Read the clips of a table that cannot be used: file name -> why."""
    rows = _rows(path, CLIPS_SCHEMA, ["file_name", "fault"])
    return {file_name: fault for file_name, fault in rows if fault}


def write_annotations(path: str | Path, annotations: Iterable[Annotation]) -> None:
    """Write a table of annotations, atomically, in the order given, as they come."""
    _write(path, annotations, ANNOTATIONS_SCHEMA)


def iter_annotations(path: str | Path) -> Iterator[Annotation]:
    """Give the annotations of a table one by one."""
    for file_name, captions, *known in _rows(path, ANNOTATIONS_SCHEMA):
        yield Annotation(file_name, tuple(captions), *known)


def read_annotations(path: str | Path) -> list[Annotation]:
    """Read a table of annotations."""
    return list(iter_annotations(path))


def _write(path: str | Path, rows: Iterable[Clip | Annotation], schema: pa.Schema) -> None:
    cells_of, rows = attrgetter(*schema.names), iter(rows)
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        while batch := [cells_of(row) for row in islice(rows, BATCH_ROWS)]:
            try:
                columns = [
                    pa.array(cells, field.type)
                    for cells, field in zip(zip(*batch, strict=True), schema, strict=True)
                ]
            except UnicodeEncodeError as error:
                raise InputError(
                    f"{error.object!r} is not UTF-8, expected names and captions that are: rename "
                    "the file"
                ) from None
            writer.write_batch(pa.record_batch(columns, schema=schema))


def _rows(
    path: str | Path, schema: pa.Schema, columns: list[str] | None = None
) -> Iterator[tuple[Any, ...]]:
    """Give the rows of a table as tuples, of all columns or of those named."""
    for batch in _batches(path, schema, columns):
        yield from _tuples(batch)


def _tuples(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _batches(
    path: str | Path, schema: pa.Schema, columns: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path) as table:
            if table.schema_arrow.names != schema.names:
                raise InputError(
                    f"{path} has the columns {table.schema_arrow.names}, expected {schema.names}: "
                    "delete it and rerun the corpus stage"
                )
            yield from table.iter_batches(BATCH_ROWS, columns=columns)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            f"{path} cannot be read as Parquet ({error}): delete it and rerun"
        ) from error
