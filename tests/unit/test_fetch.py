import hashlib
import logging

import pytest

from captioner.corpus import fetch as fetch_module
from captioner.corpus.fetch import fetch
from captioner.corpus.registry import Entry

PAYLOAD = b"audio" * 1000
NAME = "odd name.v2 [é], 'x'.7z"


def entry(url):
    md5 = hashlib.md5(PAYLOAD).hexdigest()
    return Entry("development", "audio_archive", NAME, url, md5, len(PAYLOAD))


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "published files"
    folder.mkdir()
    (folder / NAME).write_bytes(PAYLOAD)
    return folder / NAME


@pytest.fixture
def destination(tmp_path):
    return tmp_path / "down loads" / NAME


def test_file_url_is_percent_decoded(source, destination):
    assert "%20" in source.as_uri()
    fetch(entry(source.as_uri()), destination, offline=True)
    assert destination.read_bytes() == PAYLOAD
    assert [path.name for path in destination.parent.iterdir()] == [NAME]


def test_a_good_file_is_kept(source, destination):
    fetch(entry(source.as_uri()), destination)
    written = destination.stat().st_mtime_ns
    source.unlink()
    fetch(entry(source.as_uri()), destination)
    assert destination.stat().st_mtime_ns == written


def test_a_corrupt_file_is_set_aside_with_a_warning(source, destination, caplog):
    destination.parent.mkdir()
    destination.write_bytes(b"half")
    with caplog.at_level(logging.WARNING):
        fetch(entry(source.as_uri()), destination)
    assert destination.read_bytes() == PAYLOAD
    assert destination.with_name(NAME + ".corrupt").read_bytes() == b"half"
    assert "set aside" in caplog.text


@pytest.mark.parametrize("as_url", [True, False])
def test_mirrors_come_first(source, destination, monkeypatch, as_url):
    monkeypatch.setattr(fetch_module.requests, "get", lambda *_, **__: pytest.fail("a request"))
    mirror = source.parent.as_uri() + "/" if as_url else str(source.parent)
    fetch(entry("https://host/x"), destination, mirrors=[mirror])
    assert destination.read_bytes() == PAYLOAD


def test_a_mirror_without_the_file_or_with_another_is_passed_over(source, destination, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / NAME).write_bytes(b"y" * len(PAYLOAD))
    mirrors = [str(tmp_path / "empty"), str(tmp_path / "other")]
    fetch(entry(source.as_uri()), destination, mirrors=mirrors)
    assert destination.read_bytes() == PAYLOAD
