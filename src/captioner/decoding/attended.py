"""Where in a clip each word of its caption looked: what is known of it, and its file.

Apart from `captioner.decoding.attending`, which finds it out: the report pays for no model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from captioner.errors import InputError
from captioner.job import atomic_path

SCHEMA = pa.schema(
    [
        pa.field("file_name", pa.string(), nullable=False),
        pa.field("words", pa.list_(pa.string()), nullable=False),
        pa.field("start_s", pa.float64(), nullable=False),
        pa.field("bin_s", pa.float64(), nullable=False),
        pa.field("weights", pa.list_(pa.list_(pa.float16())), nullable=False),  # [word][bin]
    ]
)


@dataclass(frozen=True)
class Attended:
    """Where each word of a caption looked.

    Bin i lasts from `start_s` + i * `bin_s` to one `bin_s` later; the first may begin before the
    clip, and the last end behind it, for a position stands for what is around its middle.
    """

    words: tuple[str, ...]
    start_s: float
    bin_s: float
    weights: np.ndarray  # (n_words, n_bins) float32; each row sums to one


def write_attention(path: str | Path, attended: Mapping[str, Attended]) -> None:
    """Write one row per clip (Parquet, `SCHEMA`), atomically."""
    rows = [
        {
            "file_name": file_name,
            "words": list(of_clip.words),
            "start_s": of_clip.start_s,
            "bin_s": of_clip.bin_s,
            "weights": list(of_clip.weights.astype(np.float16)),
        }
        for file_name, of_clip in attended.items()
    ]
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), temporary, compression="zstd")


def read_attention(path: str | Path) -> dict[str, Attended]:
    """Read what `write_attention` wrote, by file name; `InputError` if it is something else."""
    try:
        table = pq.read_table(path, schema=SCHEMA)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: found no attention ({error}), expected Parquet with the columns "
            f"{', '.join(SCHEMA.names)}. Remove the file and run the workflow again."
        ) from error
    return {
        row["file_name"]: Attended(
            tuple(row["words"]),
            row["start_s"],
            row["bin_s"],
            np.array(row["weights"] or np.zeros((0, 0)), np.float32),
        )
        for row in table.to_pylist()
    }
