"""Shards copied to a disk of the machine's own."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from captioner.errors import InputError
from captioner.store.staging import stage
from captioner.training.sources import Source


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name / "0.parquet" for name in ("one", "two")]  # the same name twice
    for number, path in enumerate(paths):
        path.parent.mkdir()
        path.write_bytes(bytes([number]) * 100)
    return paths


def test_copies_are_whole_and_made_once(
    shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_DISK", str(tmp_path / "disk"))
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: stage(shards, "$LOCAL_DISK/here"), range(8)))
    assert all(copies == found[0] for copies in found)
    for path, copy in zip(shards, found[0], strict=True):
        assert copy.is_relative_to(tmp_path / "disk/here")
        assert copy.read_bytes() == path.read_bytes()
    assert len(list((tmp_path / "disk").rglob("*.parquet"))) == len(shards)


def test_a_shard_that_was_made_anew_is_copied_anew(shards: list[Path], tmp_path: Path) -> None:
    scratch = str(tmp_path / "disk")
    before = stage(shards[:1], scratch)
    shards[0].write_bytes(b"other")
    os.utime(shards[0], ns=(1, 1))
    [after] = stage(shards[:1], scratch)
    assert [after] != before and after.read_bytes() == b"other"


def test_what_cannot_be_copied_is_read_where_it_is(
    shards: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    assert stage(shards, str(tmp_path / "file")) == shards
    assert "read where it is" in caplog.text


def test_a_variable_that_is_not_set_is_named(shards: list[Path]) -> None:
    with pytest.raises(InputError, match=r"found '\$NO_SUCH_DISK/x', expected variables"):
        stage(shards, "$NO_SUCH_DISK/x")


def test_a_training_reads_the_copies_of_every_front_end(shards: list[Path], tmp_path: Path) -> None:
    given = {"one": shards[:1], "two": shards[1:]}
    source = Source("corpus", "development", "clips", "annotations", given, weight=2.0)
    staged = source.staged(str(tmp_path / "disk"))
    for frontend, paths in given.items():
        [copy] = staged.shards[frontend]
        assert copy.is_relative_to(tmp_path / "disk")
        assert Path(copy).read_bytes() == paths[0].read_bytes()
    assert (staged.corpus, staged.weight) == ("corpus", 2.0)
