"""Shards of features: layouts by speed and size, and ways to read an epoch.

    PYTHONPATH=src python benchmarks/bench_store.py --clips 500

Clips are log-mels of `logmel-dcase` of 15 to 30 s: noise whose spectrum falls and whose loudness
moves, each another excerpt. MB/s are of float32 features per CPU second, in one thread, with the
files in the page cache; a random clip is read alone, as an epoch of training does.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.signal
import torch
import yaml

from captioner.audio.frontends import Heard, build_frontend
from captioner.store.schema import DTYPES, ShardMetadata
from captioner.store.shards import FeatureStore
from captioner.store.writing import open_shard

REPOSITORY = Path(__file__).resolve().parents[1]
SAMPLE_RATE_HZ = 44100
N_RECORDINGS = 20  # of 60 s; clips are excerpts of them
N_MELS = 64
N_SHARDS = 2


class Layout(NamedTuple):
    """One way to store a column of features."""

    dtype: str  # float32 | float16
    column: str  # binary | list | fixed: the bytes of the matrix, values, lists of n_mels values
    compression: str  # none | zstd
    split: bool  # byte-stream-split
    clips: int  # per row group

    def __str__(self) -> str:
        codec = f"{self.compression}{', byte-stream-split' if self.split else ''}"
        return f"{self.dtype}, {self.column}, {codec}, {self.clips} a row group"


LAYOUTS = [
    Layout("float32", "binary", "none", False, 1),  # ours
    Layout("float32", "binary", "none", False, 16),
    Layout("float32", "binary", "none", False, 128),
    Layout("float32", "binary", "zstd", False, 1),
    Layout("float32", "list", "none", False, 1),
    Layout("float32", "list", "zstd", False, 1),
    Layout("float32", "list", "zstd", True, 1),
    Layout("float32", "fixed", "none", False, 1),
    Layout("float32", "fixed", "zstd", True, 1),
    Layout("float16", "binary", "none", False, 1),
    Layout("float16", "binary", "none", False, 16),
    Layout("float16", "binary", "zstd", False, 1),
    Layout("float16", "list", "none", False, 1),
    Layout("float16", "list", "zstd", True, 1),
]


def main() -> None:
    """Measure layouts and readers, print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clips", type=int, default=500, help="Clotho-like (default 500)")
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts (default 3)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clips = make_clips(arguments.clips)
    n_mb = sum(clip.nbytes for clip in clips) / 1e6
    print(
        f"{len(clips)} clips, {n_mb:.0f} MB of float32; largest error of float16 {error(clips)}\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'layout':58} {'write':>6} {'read':>6} {'random':>8} {'size':>6}")
        print(f"{'':58} {'MB/s':>6} {'MB/s':>6} {'ms/clip':>8} {'MB':>6}")
        for layout in LAYOUTS:
            path = Path(folder) / "layout.parquet"
            repeat = range(arguments.repeats)
            write = min(cpu_seconds(lambda: write_layout(path, clips, layout)) for _ in repeat)  # noqa: B023
            read = min(cpu_seconds(lambda: read_all(path, layout)) for _ in repeat)  # noqa: B023
            random_ms = min(random_clips(path, layout, len(clips)) for _ in repeat)
            size_mb = path.stat().st_size / 1e6
            print(
                f"{layout!s:58} {n_mb / write:6.0f} {n_mb / read:6.0f} {random_ms:8.2f} "
                f"{size_mb:6.0f}"
            )
        for dtype in DTYPES:
            print(f"\nAn epoch in random order, {dtype} {'MB/s':>20}")
            paths = write_shards(Path(folder), clips, dtype)
            for name, epoch in readers(paths).items():
                epoch(0)
                seconds = min(cpu_seconds(lambda: epoch(1)) for _ in range(arguments.repeats))  # noqa: B023
                print(f"{name:44} {n_mb / seconds:10.0f}")


def make_clips(n_clips: int) -> list[np.ndarray]:
    """Give the log-mels (n_frames, 64) float32 of clips of 15 to 30 s."""
    rng = np.random.default_rng(1)
    settings = yaml.safe_load((REPOSITORY / "config/frontends/logmel-dcase.yaml").read_text())
    frontend = build_frontend(settings)
    recordings = []
    for _ in range(N_RECORDINGS):
        noise = rng.normal(size=60 * SAMPLE_RATE_HZ)
        falling = scipy.signal.lfilter([1], [1, -rng.uniform(0.8, 0.995)], noise)
        loudness = np.exp(np.interp(np.arange(len(noise)), np.arange(0, len(noise), 4410),
                                    rng.normal(size=600).cumsum() * 0.2))  # fmt: skip
        samples = falling * loudness
        samples = np.round(samples / abs(samples).max() * 2**14) / 2**15  # 16 bits
        recordings.append(frontend(samples.astype(np.float32)))
    clips = []
    for _ in range(n_clips):
        n_frames = int(rng.uniform(15, 30) * SAMPLE_RATE_HZ / settings["hop"])
        recording = recordings[rng.integers(N_RECORDINGS)]
        start = rng.integers(len(recording) - n_frames)
        clips.append(recording[start : start + n_frames].copy())
    return clips


def error(clips: list[np.ndarray]) -> str:
    """Say how far float16 is from the values, in natural logarithm and as decibels."""
    decibel = 10 / np.log(10)
    natural = max(abs(clip - clip.astype(np.float16)).max() for clip in clips)
    decibels = max(abs(c * decibel - (c * decibel).astype(np.float16)).max() for c in clips)
    return f"{natural:.4f} (natural), {decibels:.4f} dB"


def write_layout(path: Path, clips: list[np.ndarray], layout: Layout) -> None:
    """Write clips as a layout has them."""
    value = {"float32": pa.float32(), "float16": pa.float16()}[layout.dtype]
    kind = {
        "binary": pa.binary(),
        "list": pa.list_(value),
        "fixed": pa.list_(pa.list_(value, N_MELS)),
    }[layout.column]
    schema = pa.schema([("n_frames", pa.int32()), ("features", kind)])
    with pq.ParquetWriter(
        path,
        schema,
        compression=layout.compression,
        compression_level=1 if layout.compression == "zstd" else None,
        use_dictionary=False,
        write_statistics=False,
        use_byte_stream_split=layout.split,
    ) as writer:
        for start in range(0, len(clips), layout.clips):
            group = [
                c.astype(DTYPES[layout.dtype], copy=False)
                for c in clips[start : start + layout.clips]
            ]
            columns = [pa.array([len(c) for c in group], pa.int32()), _column(group, layout, kind)]
            writer.write_batch(pa.record_batch(columns, schema=schema), row_group_size=layout.clips)


def _column(group: list[np.ndarray], layout: Layout, kind: pa.DataType) -> pa.Array:
    if layout.column == "binary":
        return pa.array([clip.tobytes() for clip in group], kind)
    values = pa.array(np.concatenate([clip.ravel() for clip in group]))
    lengths = [len(clip) for clip in group]
    if layout.column == "fixed":
        values = pa.FixedSizeListArray.from_arrays(values, N_MELS)
    else:
        lengths = [n * N_MELS for n in lengths]
    offsets = pa.array(np.cumsum([0, *lengths]), pa.int32())
    return pa.ListArray.from_arrays(offsets, values)


def read_all(path: Path, layout: Layout) -> None:
    """Decode every clip in order, to float32."""
    with pq.ParquetFile(path, memory_map=True) as file:
        for group in range(file.num_row_groups):
            column = file.read_row_group(group, columns=["features"], use_threads=False).column(0)
            for cell in column:
                _matrix(cell, layout)


def random_clips(path: Path, layout: Layout, n_clips: int) -> float:
    """Give CPU milliseconds per clip for 200 clips at random places."""
    chosen = random.Random(1).choices(range(n_clips), k=200)
    with pq.ParquetFile(path, memory_map=True) as file:
        before = time.process_time()
        for clip in chosen:
            group, row = divmod(clip, layout.clips)
            column = file.read_row_group(group, columns=["features"], use_threads=False).column(0)
            _matrix(column[row], layout)
        return (time.process_time() - before) / len(chosen) * 1e3


def _matrix(cell: pa.Scalar, layout: Layout) -> np.ndarray:
    if layout.column == "binary":
        values = np.frombuffer(cell.as_buffer(), DTYPES[layout.dtype])
    else:
        inner = cell.values.flatten() if layout.column == "fixed" else cell.values
        values = inner.to_numpy(zero_copy_only=False)
    return values.reshape(-1, N_MELS).astype(np.float32)


def write_shards(folder: Path, clips: list[np.ndarray], dtype: str) -> list[Path]:
    """Write the clips as the workflow does."""
    paths = [folder / f"{dtype}.{shard}.parquet" for shard in range(N_SHARDS)]
    metadata = ShardMetadata({"storage": dtype}, N_MELS, dtype, (), "")
    for shard, path in enumerate(paths):
        with open_shard(path, metadata) as writer:
            for index in range(shard, len(clips), N_SHARDS):
                writer.write(f"{index}.wav", Heard(clips[index], None))
    return paths


def readers(paths: list[Path]) -> dict[str, Callable[[int], None]]:
    """Give the ways to read an epoch: each takes its number and drops the clips."""
    store = FeatureStore(paths)
    room = torch.empty(max(map(store.n_frames, store)), N_MELS)

    def pyarrow(epoch: int) -> None:
        files = [pq.ParquetFile(path, memory_map=True) for path in paths]
        for name in order(store, epoch):
            row = store.rows[name]
            table = files[row.shard].read_row_group(row.row_group, ["features"], use_threads=False)
            values = np.frombuffer(table.column(0)[0].as_buffer(), DTYPES[store.metadata.dtype])
            room.numpy()[: row.n_frames] = values.reshape(-1, N_MELS)

    def arrays(epoch: int) -> None:
        for name in order(store, epoch):
            room.numpy()[: store.n_frames(name)] = store[name]

    def tensors(epoch: int) -> None:
        for name in order(store, epoch):
            room[: store.n_frames(name)].copy_(torch.from_numpy(store.as_stored(name)))

    return {
        "pyarrow, memory-mapped": pyarrow,
        "FeatureStore": arrays,
        "FeatureStore.as_stored and torch, as training": tensors,
    }


def order(store: FeatureStore, epoch: int) -> Iterator[str]:
    """Give the clips of a store in random order."""
    names = store.file_names
    return (names[index] for index in np.random.default_rng(epoch).permutation(len(names)))


def cpu_seconds(stage: Callable[[], None]) -> float:
    """Run a stage once."""
    before = time.process_time()
    stage()
    return time.process_time() - before


if __name__ == "__main__":
    main()
