"""Epochs from shards: streamed and from memory, the same clips; memory within bounds."""

import json
import pickle
import random
import subprocess
import sys
import weakref
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from captioner.audio.frontends import Heard
from captioner.errors import InputError
from captioner.store import stream
from captioner.store.schema import ShardMetadata
from captioner.store.shards import FeatureStore
from captioner.store.stream import InMemoryStore, open_store, random_epoch, stream_epoch
from captioner.store.writing import open_shard

N_FEATURES = 8
KB = 1024


@pytest.fixture(params=["float32", "float16"])
def storage(request):
    return request.param


def write(folder, storage, sizes, n_features=N_FEATURES):
    """Write clips of so many frames into three shards and an empty one; give paths and clips."""
    rng = np.random.default_rng(2)
    metadata = ShardMetadata({"storage": storage}, n_features, storage, ("rain", "wind"), "abc")
    clips = {
        f"clip {i}.wav": rng.normal(size=(n, n_features)).astype(storage).astype(np.float32)
        for i, n in enumerate(sizes)
    }
    paths = [folder / f"{shard}.parquet" for shard in range(4)]
    for shard, path in enumerate(paths):
        with open_shard(path, metadata) as writer:
            for index, (name, features) in enumerate(clips.items()):
                if index % 3 == shard:
                    tags = np.array([index / 100, 1], np.float32)
                    writer.write(name, Heard(features, tags))
    return paths, clips


@pytest.fixture
def corpus(tmp_path, storage):
    return write(tmp_path, storage, [random.Random(i).randint(1, 100) for i in range(90)])


def bag(epoch):
    """The epoch as a multiset."""
    return Counter((name, features.tobytes(), features.shape) for name, features in epoch)


@pytest.mark.parametrize("buffer_bytes", [1, KB, 20 * KB, 2**30])
def test_every_way_gives_the_same_clips(corpus, buffer_bytes):
    paths, clips = corpus
    expected = bag(clips.items())
    assert bag(stream_epoch(paths, 3, 1, buffer_bytes)) == expected
    for store in (FeatureStore(paths), InMemoryStore(paths)):
        assert bag(random_epoch(store, 3, 1)) == expected
    for _, features in stream_epoch(paths, 3, 1, buffer_bytes):
        assert features.dtype == np.float32


def orders(epoch_of):
    return [[name for name, _ in epoch_of(seed, epoch)] for seed in (1, 2) for epoch in (0, 1)]


@pytest.mark.parametrize("way", ["stream", "memory"])
def test_seed_and_epoch_alone_decide_the_order(corpus, way):
    paths, clips = corpus

    def epoch_of(seed, epoch, skip=0):
        if way == "stream":
            return stream_epoch(paths, seed, epoch, 20 * KB, skip)
        return random_epoch(InMemoryStore(paths), seed, epoch, skip)

    first = orders(epoch_of)
    assert first == orders(epoch_of)
    assert len({tuple(order) for order in first}) == 4
    for order in first:
        ranks = [list(clips).index(name) for name in order]
        assert abs(np.corrcoef(ranks, range(len(ranks)))[0, 1]) < 0.4
    whole = list(epoch_of(1, 1))
    for skip in (1, 17, 50, 89, 90, 200):
        rest = list(epoch_of(1, 1, skip))
        assert [name for name, _ in rest] == [name for name, _ in whole[skip:]]
        for (_, features), (_, again) in zip(rest, whole[skip:], strict=True):
            assert (features == again).all()


def test_skipped_clips_are_not_read(corpus, monkeypatch):
    paths, _ = corpus
    read = []

    def counting(store, run):
        read.extend(clip.file_name for clip in run)
        return reading(store, run)

    reading = stream._read
    monkeypatch.setattr(stream, "_read", counting)
    whole = [name for name, _ in stream_epoch(paths, 1, 0, 20 * KB)]
    assert sorted(read) == sorted(whole)
    read.clear()
    list(stream_epoch(paths, 1, 0, 20 * KB, skip=60))
    assert sorted(read) == sorted(whole[60:])


def test_neighbours_part(tmp_path):
    """A clip comes anywhere in the epoch, though the buffer holds a tenth of the clips."""
    paths, clips = write(tmp_path, "float32", [10] * 300)
    size = 10 * N_FEATURES * 4
    places = []
    for epoch in range(30):
        names = [name for name, _ in stream_epoch(paths, 1, epoch, 30 * size)]
        places.append([names.index(name) for name in list(clips)[::50]])
    assert (np.mean(places, axis=0) > 100).all()
    assert (np.mean(places, axis=0) < 200).all()
    assert (np.std(places, axis=0) > 60).all()  # uniform: 87


def test_the_buffer_is_bounded(tmp_path, monkeypatch):
    paths, clips = write(tmp_path, "float32", [200] * 60)
    size = 200 * N_FEATURES * 4
    held, peaks = [0], []

    def tracking(store, run):
        found = reading(store, run)
        for features in found.values():
            held[0] += features.nbytes
            weakref.finalize(features, release, features.nbytes)
        return found

    def release(n_bytes):
        held[0] -= n_bytes

    reading = stream._read
    monkeypatch.setattr(stream, "_read", tracking)
    for _, features in stream_epoch(paths, 1, 0, 10 * size):
        peaks.append(held[0])
        del features
    assert len(peaks) == len(clips)
    assert 9 * size <= max(peaks) <= 10 * size
    assert held == [0]


def test_a_clip_larger_than_the_buffer_comes_alone(tmp_path):
    paths, clips = write(tmp_path, "float32", [1, 5000, 2, 3000, 4])
    assert bag(stream_epoch(paths, 1, 0, 64)) == bag(clips.items())


def test_a_store_in_memory_is_a_store(corpus):
    paths, clips = corpus
    mapped, store = FeatureStore(paths), InMemoryStore(paths)
    assert store.file_names == mapped.file_names
    assert (store.metadata, store.n_bytes) == (mapped.metadata, mapped.n_bytes)
    for path in paths:
        path.unlink()
    for name, features in clips.items():
        assert store[name].dtype == np.float32
        store[name][:] = 0  # the reader's own
        assert (store[name] == features).all()
        assert store.n_frames(name) == len(features)
        assert store.tags(name) == pytest.approx([int(name[5:-4]) / 100, 1], abs=2**-12)


def test_what_fits_is_loaded(corpus):
    paths, clips = corpus
    itemsize = {"float32": 4, "float16": 2}[FeatureStore(paths).metadata.dtype]
    n_bytes = sum(features.size for features in clips.values()) * itemsize
    assert isinstance(open_store(paths, n_bytes), InMemoryStore)
    assert type(open_store(paths, n_bytes - 1)) is FeatureStore


def test_a_store_in_memory_is_pickled_by_its_paths(corpus):
    paths, clips = corpus
    pickled = pickle.dumps(InMemoryStore(paths))
    assert len(pickled) < 1000
    store = pickle.loads(pickled)
    assert isinstance(store, InMemoryStore)
    assert (store["clip 5.wav"] == clips["clip 5.wav"]).all()


def test_other_files_are_refused(tmp_path):
    (tmp_path / "x.parquet").write_text("no parquet")
    with pytest.raises(InputError, match=r"x\.parquet: found no shard of features"):
        next(stream_epoch([tmp_path / "x.parquet"], 1, 0, KB))
    with pytest.raises(InputError, match=r"x\.parquet: found no shard of features"):
        InMemoryStore([tmp_path / "x.parquet"])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is Linux's to tell")
def test_a_corpus_ten_times_the_memory_of_the_process(tmp_path):
    """2 GB of shards through a buffer of 32 MB: the whole process stays below a tenth of that."""
    metadata = ShardMetadata({"storage": "float32"}, 64, "float32", (), "")
    features = np.random.default_rng(1).normal(size=(2000, 64)).astype(np.float32)  # 0.5 MB
    paths = [tmp_path / f"{shard}.parquet" for shard in range(8)]
    for shard, path in enumerate(paths):
        with open_shard(path, metadata) as writer:
            for index in range(500):
                features[0, 0] = 500 * shard + index
                writer.write(f"{shard}.{index}.wav", Heard(features, None))
    code = """
import json, pathlib, re, sys
from captioner.store.stream import stream_epoch
seen = [features[0, 0].item() for _, features in stream_epoch(sys.argv[1:], 1, 0, 32 * 2**20)]
# Not ru_maxrss: it begins with the memory of the process that started this one.
peak = 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
print(json.dumps([peak, len(seen), sum(seen)]))
"""
    found = subprocess.run(
        [sys.executable, "-c", code, *map(str, paths)],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    n_bytes = sum(path.stat().st_size for path in paths)
    for path in paths:
        path.unlink()
    peak, n_clips, total = json.loads(found.stdout)
    assert (n_clips, total) == (4000, sum(range(4000)))
    assert n_bytes > 10 * peak, f"{peak / 1e6:.0f} MB for {n_bytes / 1e6:.0f} MB"
