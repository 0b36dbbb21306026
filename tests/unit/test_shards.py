"""Shards of features: what is written is read, whole or not at all."""

import json
import os
import pickle
import random
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import yaml

from captioner.audio.frontends import Heard, build_frontend
from captioner.corpus.shards import shard_of
from captioner.corpus.tables import Clip
from captioner.errors import InputError
from captioner.store import shards
from captioner.store.schema import ShardMetadata
from captioner.store.shards import FeatureStore
from captioner.store.writing import open_shard, write_shard

ODD_NAMES = [
    "a.b.c.wav",
    "a.b.d.wav",
    "two  spaces [x] (y).wav",
    'it\'s "quoted", 100%.wav',
    "høst – 秋.wav",
    *(f"clip {i}.wav" for i in range(12)),
]


class Framed:
    """A front-end that is plain to predict: frames of two samples each."""

    sample_rate_hz = 100
    n_features = 2
    tags = ()
    weights_md5 = ""
    batch_s = 0.0

    def __init__(self, storage="float32", **settings):
        self.settings = {"kind": "framed", "storage": storage} | settings

    def __call__(self, waveform):
        return waveform[: len(waveform) // 2 * 2].reshape(-1, 2)

    def hear(self, waveforms):
        return [Heard(self(waveform), None) for waveform in waveforms]


class Tagging(Framed):
    """A front-end with tags, which takes batches."""

    tags = ("Rain", "Wind", "Dog")
    weights_md5 = "0123abcd"

    def __init__(self, batch_s=1.0):
        super().__init__()
        self.batch_s = batch_s
        self.batches = []

    @staticmethod
    def tags_of(features):
        return np.abs([features.mean(), features.max(), features.min()])

    def hear(self, waveforms):
        self.batches.append([len(waveform) for waveform in waveforms])
        return [Heard(self(w), self.tags_of(self(w))) for w in waveforms]


@pytest.fixture
def clips(tmp_path):
    rng = np.random.default_rng(1)
    made = []
    for index, name in enumerate(ODD_NAMES):
        path = tmp_path / "audio" / name
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, rng.uniform(-1, 1, size=20 + 4 * index), 100)
        made.append(Clip(name, str(path), path.stat().st_size, 0.2, 100, 1))
    return made


def expected(clip):
    return soundfile.read(clip.path, dtype="float32")[0].reshape(-1, 2)


@pytest.mark.parametrize("n_shards", [1, 3, 40])
def test_every_clip_is_in_its_shard_once(tmp_path, clips, n_shards):
    paths = [tmp_path / f"{shard}.parquet" for shard in range(n_shards)]
    for shard, path in enumerate(paths):
        write_shard(clips, shard, n_shards, Framed(), path)
        names = [clip.file_name for clip in clips if shard_of(clip.file_name, n_shards) == shard]
        assert pq.read_table(path)["file_name"].to_pylist() == names
    store = FeatureStore(paths)
    assert len(store) == len(clips)
    assert sorted(store.file_names) == sorted(store) == sorted(ODD_NAMES)
    assert (store.n_features, store.settings) == (2, Framed().settings)
    for clip in clips:
        features = store[clip.file_name]
        assert features.dtype == np.float32
        assert (features == expected(clip)).all()
        assert features.shape == (store.n_frames(clip.file_name), 2)
        assert clip.file_name in store
    with pytest.raises(KeyError, match="absent"):
        store["absent.wav"]
    assert "absent.wav" not in store


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_a_stranger_reads_a_shard(tmp_path, clips, storage):
    """By Parquet's own metadata, as `captioner.store.schema` describes: pyarrow and numpy alone."""
    write_shard(clips, 0, 1, Framed(storage, name="été"), tmp_path / "0.parquet")
    table = pq.read_table(tmp_path / "0.parquet")
    assert table.schema.names == ["file_name", "n_frames", "features"]
    assert table.schema.types == [pa.string(), pa.int32(), pa.binary()]
    made = json.loads(table.schema.metadata[b"captioner"])
    assert made == {
        "frontend": {"kind": "framed", "storage": storage, "name": "été"},
        "n_features": 2,
        "dtype": storage,
        "tags": [],
        "weights_md5": "",
    }
    for row, clip in zip(table.to_pylist(), clips, strict=True):
        values = np.frombuffer(row["features"], made["dtype"])
        values = values.reshape(row["n_frames"], made["n_features"])
        assert row["file_name"] == clip.file_name
        assert (values == expected(clip).astype(storage)).all()


def test_a_stranger_reads_tags(tmp_path, clips):
    write_shard(clips, 0, 1, Tagging(), tmp_path / "0.parquet")
    table = pq.read_table(tmp_path / "0.parquet")
    made = json.loads(table.schema.metadata[b"captioner"])
    assert (made["tags"], made["weights_md5"]) == (["Rain", "Wind", "Dog"], "0123abcd")
    for row in table.to_pylist():
        clip = next(clip for clip in clips if clip.file_name == row["file_name"])
        tags = np.frombuffer(row["tags"], "float16")
        assert tags == pytest.approx(Tagging.tags_of(expected(clip)), abs=2**-12)


def test_tags_come_with_the_features(tmp_path, clips):
    write_shard(clips, 0, 1, Tagging(), tmp_path / "0.parquet")
    store = FeatureStore([tmp_path / "0.parquet"])
    assert store.tag_names == ("Rain", "Wind", "Dog")
    for clip in clips:
        assert (store[clip.file_name] == expected(clip)).all()
        tags = store.tags(clip.file_name)
        assert tags.dtype == np.float32
        assert tags == pytest.approx(Tagging.tags_of(expected(clip)), abs=2**-12)
    write_shard(clips, 0, 1, Framed(), tmp_path / "0.parquet")
    store = FeatureStore([tmp_path / "0.parquet"])
    assert store.tag_names == ()
    assert store.tags(ODD_NAMES[0]) is None


def test_a_batch_holds_clips_of_similar_length(tmp_path, clips):
    lengths = [len(expected(clip)) * 2 / 100 for clip in clips]
    clips = [replace(clip, duration_s=s) for clip, s in zip(clips, lengths, strict=True)]
    shuffled = random.Random(1).sample(clips, len(clips))
    frontend = Tagging(batch_s=2.5)
    write_shard(shuffled, 0, 1, frontend, tmp_path / "0.parquet")
    for batch in frontend.batches:
        assert len(batch) * max(batch) <= 250
    in_order = [length for batch in frontend.batches for length in batch]
    assert in_order == sorted(len(expected(clip)) * 2 for clip in clips)
    assert len(frontend.batches) < len(clips) / 2
    assert len(FeatureStore([tmp_path / "0.parquet"])) == len(clips)


def test_a_clip_longer_than_a_batch_comes_alone(tmp_path, clips):
    frontend = Tagging(batch_s=0.001)
    write_shard(clips, 0, 1, frontend, tmp_path / "0.parquet")
    assert [len(batch) for batch in frontend.batches] == [1] * len(clips)


@pytest.mark.parametrize(("scale", "largest"), [("natural", 2**-7), ("decibel", 2**-5)])
def test_float16_is_near_enough(tmp_path, repository, scale, largest):
    """Log-mels lie between the floor of 1e-10 (-23.03, -100 dB) and about 64 dB: the error is half
    a step of float16 at the largest value."""
    path = repository / "config" / "frontends" / "logmel-dcase.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8")) | {"scale": scale}
    frontend = build_frontend(settings)
    half = build_frontend(settings | {"storage": "float16"})
    rng = np.random.default_rng(1)
    made = []
    for index, level in enumerate((0, 1e-5, 1e-3, 0.03, 1, 30)):
        signal = np.clip(level * rng.normal(size=60_000) * np.linspace(0, 1, 60_000), -1, 1)
        path = tmp_path / f"{index}.wav"
        soundfile.write(path, signal, 44100)
        made.append(Clip(path.name, str(path), path.stat().st_size, 1.4, 44100, 1))
    write_shard(made, 0, 1, frontend, tmp_path / "whole.parquet")
    write_shard(made, 0, 1, half, tmp_path / "half.parquet")
    whole, stored = (
        FeatureStore([tmp_path / "whole.parquet"]),
        FeatureStore([tmp_path / "half.parquet"]),
    )
    errors = [abs(stored[clip.file_name] - whole[clip.file_name]).max() for clip in made]
    assert stored["1.wav"].dtype == np.float32
    assert largest / 4 < max(errors) <= largest


def test_features_beyond_float16_are_named(tmp_path, clips):
    class Loud(Framed):
        def hear(self, waveforms):
            return [Heard(np.full((2, 2), 1e5, np.float32), None) for _ in waveforms]

    with pytest.raises(InputError, match=r"a\.b\.c\.wav: found features up to 1e\+05"):
        write_shard(clips, 0, 1, Loud("float16"), tmp_path / "0.parquet")
    assert not (tmp_path / "0.parquet").exists()
    write_shard(clips, 0, 1, Loud(), tmp_path / "0.parquet")


def test_footers_are_read_once(tmp_path, clips, monkeypatch):
    """In random order over a thousand shards nearly every clip opens another one."""
    monkeypatch.setattr(shards, "OPEN_SHARDS", 1)
    paths = [tmp_path / f"{shard}.parquet" for shard in range(3)]
    for shard, path in enumerate(paths):
        write_shard(clips, shard, len(paths), Tagging(), path)
    store = FeatureStore(paths)
    monkeypatch.setattr(shards.pq, "ParquetFile", lambda path: pytest.fail(f"{path} is read again"))
    for clip in [*clips, *reversed(clips)]:
        assert (store[clip.file_name] == expected(clip)).all()
        assert store.tags(clip.file_name) is not None


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux tells open files there")
def test_few_shards_are_open_at_a_time(tmp_path, clips, monkeypatch):
    """A corpus of a thousand shards must not need a thousand open files."""
    monkeypatch.setattr(shards, "OPEN_SHARDS", 2)
    paths = [tmp_path / f"{shard}.parquet" for shard in range(12)]
    for shard, path in enumerate(paths):
        write_shard(clips, shard, len(paths), Framed(), path)
    before = n_open_shards()
    store = FeatureStore(paths)
    for clip in [*clips, *clips]:
        assert (store[clip.file_name] == expected(clip)).all()
    assert n_open_shards() - before <= 2


def n_open_shards():
    """Files of this process that are open or mapped, by the names that the tests give shards."""
    links = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
    return sum(name.endswith(".parquet") for name in {*links, *mapped})


def test_a_store_is_pickled(tmp_path, clips):
    write_shard(clips, 0, 1, Framed(), tmp_path / "0.parquet")
    store = pickle.loads(pickle.dumps(FeatureStore([tmp_path / "0.parquet"])))
    assert (store[ODD_NAMES[4]] == expected(clips[4])).all()


def test_features_are_their_readers_own(tmp_path, clips):
    write_shard(clips, 0, 1, Framed(), tmp_path / "0.parquet")
    store = FeatureStore([tmp_path / "0.parquet"])
    store[ODD_NAMES[0]][:] = 0
    kept = [store[name] for name in ODD_NAMES]
    del store
    for features, clip in zip(kept, clips, strict=True):
        assert (features == expected(clip)).all()


def test_a_clip_that_cannot_be_read_leaves_nothing(tmp_path, clips):
    output = tmp_path / "shards" / "0.parquet"
    write_shard(clips, 0, 1, Framed(), output)
    before = output.read_bytes()
    damaged = clips[7]
    Path(damaged.path).write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"clip 2\.wav: found a file that cannot be read"):
        write_shard(clips, 0, 1, Framed(), output)
    assert output.read_bytes() == before
    assert [path.name for path in output.parent.iterdir()] == ["0.parquet"]


def test_a_killed_job_leaves_no_shard(tmp_path, clips):
    """SIGKILL in the middle of writing: the output does not exist, and the next run makes it."""
    code = """
import os, pickle, signal, sys
import numpy as np
from captioner.audio.frontends import Heard
from captioner.store.writing import open_shard, write_shard

class Killed:
    settings, sample_rate_hz, n_features, n_calls = {"storage": "float32"}, 100, 2, 0
    tags, weights_md5, batch_s = (), "", 0
    def hear(self, waveforms):
        self.n_calls += 1
        if self.n_calls == 9:
            os.kill(os.getpid(), signal.SIGKILL)
        return [Heard(np.zeros((4, 2), np.float32), None)]

clips, output = pickle.load(sys.stdin.buffer)
write_shard(clips, 0, 1, Killed(), output)
"""
    output = tmp_path / "0.parquet"
    killed = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps((clips, output)),
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr.decode()
    assert not output.exists()
    write_shard(clips, 0, 1, Framed(), output)
    assert len(FeatureStore([output])) == len(clips)


def test_memory_does_not_grow_with_the_shard(tmp_path, clips):
    class Large(Framed):
        peaks: list[int] = []  # noqa: RUF012

        def __call__(self, waveform):
            self.peaks.append(tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes())
            return np.zeros((2**17, 2), np.float32)  # 1 MB

    tracemalloc.start()
    write_shard(clips, 0, 1, Large(), tmp_path / "0.parquet")
    tracemalloc.stop()
    assert len(Large.peaks) == len(clips) > 10
    assert Large.peaks[-1] - Large.peaks[0] < 4 * 2**20
    assert (tmp_path / "0.parquet").stat().st_size > len(clips) * 2**20


def test_the_same_input_gives_the_same_bytes(tmp_path, clips):
    for name in ("a", "b"):
        write_shard(clips, 0, 1, Framed(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_shards_of_two_frontends_are_refused(tmp_path, clips):
    write_shard(clips[:4], 0, 1, Framed(), tmp_path / "0.parquet")
    write_shard(clips[4:], 0, 1, Framed(alpha=1), tmp_path / "1.parquet")
    with pytest.raises(InputError, match=r"1\.parquet: found features made with .*'alpha': 1"):
        FeatureStore([tmp_path / "0.parquet", tmp_path / "1.parquet"])
    frontend = Tagging()
    write_shard(clips[:4], 0, 1, frontend, tmp_path / "0.parquet")
    frontend.weights_md5 = "ffff"
    write_shard(clips[4:], 0, 1, frontend, tmp_path / "1.parquet")
    with pytest.raises(InputError, match=r"the weights ffff, expected .* and 0123abcd"):
        FeatureStore([tmp_path / "0.parquet", tmp_path / "1.parquet"])


def test_a_clip_in_two_shards_is_refused(tmp_path, clips):
    path = tmp_path / "0.parquet"
    write_shard(clips, 0, 1, Framed(), path)
    with pytest.raises(InputError, match=r"0\.parquet: found 'a\.b\.c\.wav' again"):
        FeatureStore([path, path])


def test_no_shards_are_refused():
    with pytest.raises(InputError, match="found no shards"):
        FeatureStore([])


def test_other_files_are_refused(tmp_path, clips):
    write_shard(clips, 0, 1, Framed(), tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.parquet").write_text("no parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    pq.write_table(pq.read_table(tmp_path / "whole.parquet"), tmp_path / "merged.parquet")
    for name in ("cut", "text", "other", "merged", "absent"):
        with pytest.raises(InputError, match=rf"{name}\.parquet: found no shard of features"):
            FeatureStore([tmp_path / f"{name}.parquet"])


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_read_as_stored(tmp_path, clips, storage):
    write_shard(clips, 0, 1, Framed(storage), tmp_path / "0.parquet")
    store = FeatureStore([tmp_path / "0.parquet"])
    for clip in clips:
        assert store.as_stored(clip.file_name).dtype == storage
        assert (store.as_stored(clip.file_name) == expected(clip).astype(storage)).all()


def test_several_threads_read_a_store(tmp_path, clips, monkeypatch):
    monkeypatch.setattr(shards, "OPEN_SHARDS", 2)
    paths = [tmp_path / f"{shard}.parquet" for shard in range(5)]
    for shard, path in enumerate(paths):
        write_shard(clips, shard, len(paths), Framed(), path)
    store = FeatureStore(paths)
    wanted = clips * 30
    with ThreadPoolExecutor(4) as threads:
        for clip, features in zip(
            wanted, threads.map(lambda clip: store[clip.file_name], wanted), strict=True
        ):
            assert (features == expected(clip)).all()


@pytest.mark.parametrize("changed", [{"compression": "zstd"}, {"use_dictionary": True}])
def test_cells_written_otherwise_are_refused(tmp_path, clips, changed):
    write_shard(clips, 0, 1, Framed(), tmp_path / "ours.parquet")
    table = pq.read_table(tmp_path / "ours.parquet")
    theirs = tmp_path / "theirs.parquet"
    pq.write_table(table, theirs, row_group_size=1, **{"compression": "none", **changed})
    with pytest.raises(InputError, match=r"theirs\.parquet: found no \d+ bytes of features in row"):
        FeatureStore([theirs])[ODD_NAMES[0]]


def test_a_shard_cut_short_while_it_is_open(tmp_path, clips):
    path = tmp_path / "0.parquet"
    write_shard(clips, 0, 1, Framed(), path)
    store = FeatureStore([path])
    assert len(store[ODD_NAMES[0]]) == 10
    os.truncate(path, 200)
    with pytest.raises(InputError, match=r"0\.parquet: found no \d+ bytes of features"):
        store[ODD_NAMES[-1]]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is Linux's to tell")
def test_a_corpus_ten_times_the_memory_of_the_process(tmp_path):
    """2 GB of shards in random order: the whole process stays below a tenth of that."""
    metadata = ShardMetadata({"storage": "float32"}, 64, "float32", (), "")
    features = np.random.default_rng(1).normal(size=(2000, 64)).astype(np.float32)  # 0.5 MB
    paths = [tmp_path / f"{shard}.parquet" for shard in range(8)]
    for shard, path in enumerate(paths):
        with open_shard(path, metadata) as writer:
            for index in range(500):
                features[0, 0] = 500 * shard + index
                writer.write(f"{shard}.{index}.wav", Heard(features, None))
    code = """
import json, pathlib, random, re, sys
from captioner.store.schema import ShardMetadata
from captioner.store.shards import FeatureStore
store = FeatureStore(sys.argv[1:])
seen = [store[name][0, 0].item() for name in random.sample(store.file_names, len(store))]
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
