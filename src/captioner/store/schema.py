"""How a shard of features looks: its columns, and the metadata that says how to read them.

One row and one row group per clip. `features` are the bytes of a matrix (n_frames, n_features) in
C order, `tags` those of a vector of float16, little-endian. The metadata key `captioner` holds
JSON: the front-end's settings, n_features, dtype (of `features`), tags (their names) and
weights_md5. Polars or pandas read a clip with

    numpy.frombuffer(row.features, dtype).reshape(row.n_frames, n_features)

The key `captioner.moments` holds JSON, too: `n` frames, and the `mean` and `m2` of each feature
over them (`captioner.store.statistics`).
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from captioner.audio.frontends import FrontEnd

METADATA_KEY = b"captioner"
MOMENTS_KEY = b"captioner.moments"
DTYPES: dict[str, np.dtype] = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2")}
TAGS_DTYPE = np.dtype("<f2")  # probabilities: an error of 2**-12 at most


@dataclass(frozen=True)
class ShardMetadata:
    """How the features of a shard were made, and how they are stored."""

    frontend: dict[str, Any]  # settings
    n_features: int
    dtype: str  # of the column `features`
    tags: tuple[str, ...]  # names; () where there is no column `tags`
    weights_md5: str  # of the front-end's checkpoint; "" without one

    @classmethod
    def of(cls, schema: pa.Schema) -> "ShardMetadata":
        """Read the metadata of a shard; `KeyError`, `TypeError` or `ValueError` if it is none."""
        made = cls(**json.loads(schema.metadata[METADATA_KEY]))
        if made.dtype not in DTYPES:
            raise ValueError(f"dtype {made.dtype!r}")
        return cls(**{**vars(made), "tags": tuple(made.tags)})

    @classmethod
    def from_frontend(cls, frontend: FrontEnd) -> "ShardMetadata":
        """Give the metadata of shards that `frontend` makes: its settings name the dtype."""
        return cls(
            frontend.settings,
            frontend.n_features,
            frontend.settings["storage"],
            frontend.tags,
            frontend.weights_md5,
        )

    def schema(self) -> pa.Schema:
        """Give the columns of a shard, with this metadata."""
        columns = [
            pa.field("file_name", pa.string(), nullable=False),
            pa.field("n_frames", pa.int32(), nullable=False),
            pa.field("features", pa.binary(), nullable=False),  # (n_frames, n_features)
        ]
        if self.tags:
            columns.append(pa.field("tags", pa.binary(), nullable=False))  # (n_tags,) float16
        return pa.schema(columns, metadata={METADATA_KEY: json.dumps(asdict(self))})
