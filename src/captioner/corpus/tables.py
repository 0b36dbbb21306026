"""The two tables of a split: clips (audio only) and annotations (text only), as Parquet.

They are apart so that no feature is computed again when a caption changes; later stages join them
by file name.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from captioner.errors import InputError
from captioner.job import atomic_path


@dataclass(frozen=True)
class Clip:
    """One audio file of a split, by its header."""

    file_name: str
    path: str  # relative to the working directory, or absolute
    size: int  # bytes
    duration_s: float
    sample_rate_hz: int
    n_channels: int


@dataclass(frozen=True)
class Annotation:
    """What is written about one clip; "" stands for unknown."""

    file_name: str
    captions: tuple[str, ...]  # as published; none in a split without captions
    keywords: str = ""
    sound_id: str = ""  # of the recording the clip was cut from (Freesound)
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


def write_clips(path: str | Path, clips: Sequence[Clip]) -> None:
    """Write a table of clips, atomically, in the order given."""
    _write(path, [asdict(clip) for clip in clips], CLIPS_SCHEMA)


def read_clips(path: str | Path) -> list[Clip]:
    """Read a table of clips."""
    return [Clip(**row) for row in _read(path, CLIPS_SCHEMA)]


def write_annotations(path: str | Path, annotations: Sequence[Annotation]) -> None:
    """Write a table of annotations, atomically, in the order given."""
    _write(path, [asdict(annotation) for annotation in annotations], ANNOTATIONS_SCHEMA)


def read_annotations(path: str | Path) -> list[Annotation]:
    """Read a table of annotations."""
    rows = _read(path, ANNOTATIONS_SCHEMA)
    return [Annotation(**{**row, "captions": tuple(row["captions"])}) for row in rows]


def _write(path: str | Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary)


def _read(path: str | Path, schema: pa.Schema) -> list[dict[str, Any]]:
    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            f"{path} cannot be read as Parquet ({error}): delete it and rerun"
        ) from error
    if table.schema.names != schema.names:
        raise InputError(
            f"{path} has the columns {table.schema.names}, expected {schema.names}: "
            "delete it and rerun the corpus stage"
        )
    return table.to_pylist()
