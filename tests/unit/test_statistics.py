"""Statistics against numpy on the concatenated frames."""

import json
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from captioner.audio.frontends import Heard
from captioner.errors import InputError
from captioner.store.schema import ShardMetadata
from captioner.store.shards import FeatureStore
from captioner.store.statistics import Statistics, merge_all
from captioner.store.writing import open_shard

RNG = np.random.default_rng(5)


@pytest.fixture
def parts():
    """Features of clips, (n_frames, 3): far from zero, narrow, and of unequal means."""
    lengths = [1, 2, 7, 300, 41, 1000, 5]
    means = RNG.normal(size=(len(lengths), 1, 3)) * [1, 10, 1e-3] + [0, 1e4, -20]
    return [
        (mean + RNG.normal(size=(n, 3)) * [1, 0.5, 1e-2]).astype(np.float32)
        for n, mean in zip(lengths, means, strict=True)
    ]


def write(path, clips):
    metadata = ShardMetadata({"storage": "float32"}, 3, "float32", (), "")
    with open_shard(path, metadata) as writer:
        for name, features in clips.items():
            writer.write(name, Heard(features, None))


def assert_equal(statistics, frames, tolerance=1e-12):
    frames = frames.astype(np.float64)
    assert statistics.n == len(frames)
    assert statistics.mean == pytest.approx(frames.mean(axis=0), rel=tolerance)
    assert statistics.std == pytest.approx(frames.std(axis=0), rel=1e-9)
    assert statistics.mean.dtype == statistics.m2.dtype == np.float64


def test_one_clip(parts):
    for features in parts:
        assert_equal(Statistics.of(features), features)


def test_merging_equals_the_concatenation_in_any_order(parts):
    whole = np.concatenate(parts)
    for seed in range(5):
        order = random.Random(seed).sample(parts, len(parts))
        assert_equal(merge_all(map(Statistics.of, order)), whole)
    halves = [merge_all(map(Statistics.of, half)) for half in (parts[:3], parts[3:])]
    assert_equal(merge_all(halves), whole)
    assert_equal(halves[1].merge(halves[0]), whole)


def test_shards_keep_their_own(tmp_path, parts):
    write(tmp_path / "0.parquet", {f"a.{i}.wav": part for i, part in enumerate(parts[:4])})
    write(tmp_path / "1.parquet", {})
    write(tmp_path / "2.parquet", {f"b [{i}].wav": part for i, part in enumerate(parts[4:])})
    paths = [tmp_path / f"{i}.parquet" for i in range(3)]
    assert_equal(FeatureStore(paths).statistics(), np.concatenate(parts))
    assert Statistics.of_shard(paths[1]).n == 0
    for path in (paths[0], paths[2]):  # no feature is read again
        content = path.read_bytes()
        features = FeatureStore([path]).as_stored(FeatureStore([path]).file_names[-1]).tobytes()
        assert content.count(features) == 1
        path.write_bytes(content.replace(features, bytes(len(features))))
    assert_equal(FeatureStore(paths).statistics(), np.concatenate(parts))


def test_they_are_of_the_features_as_they_are_stored(tmp_path):
    features = RNG.normal(size=(40, 3)).astype(np.float32)
    path = tmp_path / "0.parquet"
    with open_shard(path, ShardMetadata({}, 3, "float16", (), "")) as writer:
        writer.write("a.wav", Heard(features, None))
    assert_equal(FeatureStore([path]).statistics(), features.astype(np.float16))


def test_a_shard_that_keeps_none_is_named(tmp_path):
    path = tmp_path / "0.parquet"
    metadata = ShardMetadata({}, 3, "float32", (), "")
    row = [["a.wav"], [1], [bytes(12)]]
    pq.write_table(pa.table(row, schema=metadata.schema()), path, row_group_size=1)
    with pytest.raises(InputError, match=r"0\.parquet: found no statistics in its metadata"):
        FeatureStore([path]).statistics()


def test_constant_features_have_no_spread():
    statistics = Statistics.of(np.full((50, 3), -23.02585, np.float32))
    assert (statistics.merge(statistics).std == 0).all()


def test_save_and_load_is_exact(tmp_path, parts):
    statistics = Statistics.of(parts[3])
    path = tmp_path / "statistics" / "development.json"
    statistics.save(path)
    loaded = Statistics.load(path)
    assert loaded.n == statistics.n
    assert (loaded.mean == statistics.mean).all()
    assert (loaded.m2 == statistics.m2).all()
    assert set(json.loads(path.read_text())) == {"n", "mean", "m2"}


@pytest.mark.parametrize(
    "content", ["no json", "[]", '{"n": 1}', '{"n": 1, "mean": "x", "m2": []}']
)
def test_a_file_that_is_no_statistics_is_named(tmp_path, content):
    path = tmp_path / "s.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"s\.json: found no statistics"):
        Statistics.load(path)


def test_no_clips_are_refused(tmp_path):
    write(tmp_path / "0.parquet", {})
    with pytest.raises(InputError, match=r"found no clip in .*0\.parquet"):
        FeatureStore([tmp_path / "0.parquet"]).statistics()
