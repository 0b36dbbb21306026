"""Parses kept on disk: found again, by many jobs at once, whatever the caption."""

import multiprocessing
import sqlite3

import pytest

from captioner.errors import InputError
from captioner.evaluation.parses import ParseCache

ODD = ["", "a dog", 'it\'s "quoted" \\ back', "naïve 中文 🎵", "a ||| b", "%_'; DROP TABLE parses"]


def test_what_was_added_is_found(tmp_path):
    cache = ParseCache(tmp_path / "a folder (é)")
    assert cache.find(ODD) == {}
    parses = {text: [[text, "loud"], ["x"]] for text in ODD}
    cache.add(parses)
    assert cache.find([*ODD, "absent", *ODD]) == parses
    assert ParseCache(tmp_path / "a folder (é)").find(["a dog"]) == {"a dog": parses["a dog"]}


def test_more_captions_than_one_question_takes(tmp_path):
    parses = {f"caption {number}": [[str(number)]] for number in range(1201)}
    cache = ParseCache(tmp_path)
    cache.add(parses)
    assert cache.find(parses) == parses


def test_a_parse_that_is_there_stays(tmp_path):
    cache = ParseCache(tmp_path)
    cache.add({"a": [["first"]]})
    cache.add({"a": [["second"]], "b": []})
    assert cache.find("ab") == {"a": [["first"]], "b": []}


def test_a_file_that_another_job_has_just_made(tmp_path):
    """It is empty for a moment."""
    cache = ParseCache(tmp_path)
    cache.path.touch()
    assert cache.find(["a"]) == {}


def write_many(folder, number):
    cache = ParseCache(folder)
    for step in range(20):
        cache.find(["shared", "absent"])  # also while another one makes the file
        cache.add({f"{number} {step}": [[str(number)]], "shared": [["same"]]})


def test_jobs_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    jobs = [context.Process(target=write_many, args=(tmp_path, number)) for number in range(3)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(60)
        assert job.exitcode == 0
    found = ParseCache(tmp_path).find([f"{n} {step}" for n in range(3) for step in range(20)])
    assert len(found) == 60


def test_an_interrupted_write_leaves_whole_parses(tmp_path):
    """A job killed inside its transaction: SQLite rolls back at the next opening."""
    cache = ParseCache(tmp_path)
    cache.add({"a": [["kept"]]})
    context = multiprocessing.get_context("fork")

    def die():
        import os

        database = sqlite3.connect(cache.path)
        database.execute("INSERT INTO parses VALUES ('b', '[[')")
        os._exit(9)

    job = context.Process(target=die)
    job.start()
    job.join(60)
    assert job.exitcode == 9
    assert cache.find("ab") == {"a": [["kept"]]}


@pytest.mark.parametrize("content", [b"no database at all, but long enough" * 40, b"\x00" * 4096])
def test_a_damaged_file_is_named(tmp_path, content):
    cache = ParseCache(tmp_path)
    cache.path.write_bytes(content)
    with pytest.raises(InputError, match=r"spice-1\.0-parses\.sqlite.*remove the file"):
        cache.add({"a": []})
    with pytest.raises(InputError, match="remove the file"):
        cache.find(["a"])
