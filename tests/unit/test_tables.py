import os
import pickle
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from captioner.corpus.shards import shard_of
from captioner.corpus.tables import (
    BATCH_ROWS,
    Annotation,
    Clip,
    iter_annotations,
    iter_clips,
    iter_shard_clips,
    read_annotations,
    read_clips,
    read_faults,
    write_annotations,
    write_clips,
)
from captioner.errors import InputError

NAMES = ["a.b.wav", "a.c.wav", 'it\'s "odd" [1], (x).wav', "Bäume 雨.wav"]


def test_clips_come_back_as_written(tmp_path):
    clips = [Clip(n, f"{tmp_path}/{n}", 5_000_000_000, 15.02, 44100, 1) for n in NAMES]
    clips.append(Clip("x.mp3", "x.mp3", 1, 1.0, 8000, 2, "ab12", "", None, 0.25, True, 0.125))
    clips.append(Clip("y.wav", "y.wav", 1, 1.0, 8000, 2, "ab12", bits=24))
    write_clips(tmp_path / "clips.parquet", clips)
    assert read_clips(tmp_path / "clips.parquet") == clips


def test_clips_with_a_fault_are_kept_apart(tmp_path):
    good = [Clip(n, n, 1, 1.0, 8000, 1, digest="a") for n in NAMES]
    bad = [Clip(f"bad {n}", n, 1, 0.0, 0, 0, fault=f"{n} is cut short") for n in NAMES[:2]]
    write_clips(tmp_path / "c.parquet", [bad[0], *good, bad[1]])
    assert read_clips(tmp_path / "c.parquet") == good
    assert read_faults(tmp_path / "c.parquet") == {c.file_name: c.fault for c in bad}


def test_rows_are_written_as_they_come_and_in_groups(tmp_path):
    path, number = tmp_path / "c.parquet", 2 * BATCH_ROWS + 5
    write_clips(path, (Clip(f"{n}", f"{n}", n, 1.0, 8000, 1) for n in range(number)))
    assert pq.ParquetFile(path).metadata.num_row_groups == 3
    assert [clip.size for clip in iter_clips(path)] == list(range(number))


def test_the_clips_of_a_shard(tmp_path):
    """Each usable clip is in one shard, in the table's order; wide enough for several batches."""
    names = [*NAMES, *(f"{n}.wav" for n in range(2 * BATCH_ROWS))]
    made = [Clip(n, n, 1, 1.0, 8000, 1, fault="is cut short" if "7" in n else "") for n in names]
    write_clips(tmp_path / "c.parquet", made)
    usable = [clip for clip in made if not clip.fault]
    for shard in range(3):
        assert list(iter_shard_clips(tmp_path / "c.parquet", shard, 3)) == [
            clip for clip in usable if shard_of(clip.file_name, 3) == shard
        ]
    assert list(iter_shard_clips(tmp_path / "c.parquet", 0, 1)) == usable


def test_nothing_is_left_of_a_table_whose_rows_fail(tmp_path):
    def rows():
        yield Clip("a", "a", 1, 1.0, 8000, 1)
        raise InputError("b.wav is damaged")

    with pytest.raises(InputError, match="is damaged"):
        write_clips(tmp_path / "t/c.parquet", rows())
    assert list((tmp_path / "t").iterdir()) == []


def test_a_name_that_is_not_utf_8_is_named(tmp_path):
    name = os.fsdecode(b"B\xe4ume.wav")
    with pytest.raises(InputError, match=r"'B\\udce4ume\.wav' is not UTF-8.*rename the file"):
        write_clips(tmp_path / "c.parquet", [Clip(name, name, 1, 1.0, 8000, 1)])


def test_rows_can_be_sent_to_another_process():
    for row in (Clip("a", "a", 1, 1.0, 8000, 1), Annotation("a", ("x",))):
        assert pickle.loads(pickle.dumps(row)) == row


MANY = """
import pathlib, re, sys
from captioner.corpus.tables import *
n, folder = int(sys.argv[1]), sys.argv[2]
write_clips(folder + "/c", (Clip(f"clip {i}.wav", f"some/where/clip {i}.wav", i, 1.0, 8000, 1,
                                 f"{i:032x}") for i in range(n)))
write_annotations(folder + "/a", (Annotation(f"clip {i}.wav", (f"rain falls on {i} roofs",),
                                             sound_id=f"freesound:{i}") for i in range(n)))
assert sum(1 for _ in iter_clips(folder + "/c")) == n
assert sum(len(a.captions) for a in iter_annotations(folder + "/a")) == n
# Not ru_maxrss: it begins with the memory of the process that started this one.
print(re.search(r"VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is Linux's to tell")
def test_memory_does_not_grow_with_the_rows(tmp_path, repository):
    def peak_kb(n_rows):
        command = [sys.executable, "-c", MANY, str(n_rows), str(tmp_path)]
        environment = {**os.environ, "PYTHONPATH": str(repository / "src")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return int(done.stdout)

    # As objects in lists, 80,000 more clips and annotations take 90 MB.
    assert peak_kb(100_000) - peak_kb(20_000) < 30_000


def test_annotations_come_back_as_written(tmp_path):
    annotations = [Annotation(n, ("A dog, barking", 'says "hi"'), author="Ünal") for n in NAMES]
    annotations.append(Annotation("test.wav", ()))
    write_annotations(tmp_path / "a.parquet", annotations)
    assert read_annotations(tmp_path / "a.parquet") == annotations
    assert list(iter_annotations(tmp_path / "a.parquet")) == annotations


def test_empty_table_keeps_its_columns(tmp_path):
    write_clips(tmp_path / "clips.parquet", [])
    assert read_clips(tmp_path / "clips.parquet") == []


def test_wrong_table_is_named(tmp_path):
    write_clips(tmp_path / "clips.parquet", [])
    with pytest.raises(InputError, match=r"clips\.parquet has the columns .* expected .*captions"):
        read_annotations(tmp_path / "clips.parquet")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read_clips(tmp_path / "cut.parquet")
