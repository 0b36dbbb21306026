import errno
import hashlib
import json
import logging
import os

import pytest

from captioner.corpus.download import fetch as fetch_module
from captioner.corpus.download import zenodo
from captioner.corpus.download.fetch import fetch, place
from captioner.corpus.download.part import Part
from captioner.corpus.download.registry import Entry
from captioner.corpus.download.transfer import UnavailableError
from captioner.corpus.download.zenodo import Pin, pin_path
from captioner.errors import InputError

PAYLOAD = b"audio" * 1000
MD5 = hashlib.md5(PAYLOAD, usedforsecurity=False).hexdigest()
SIZE = len(PAYLOAD)
NAME = "odd name.v2 [é], 'x'.7z"
ON_ZENODO = f"https://zenodo.org/records/12/files/{NAME}?download=1"
PIN = Pin("12", NAME, len(PAYLOAD), MD5, "2026-01-02")


def entry(url, md5=MD5, size_bytes=SIZE):
    return Entry("development", "audio_archive", NAME, url, md5, size_bytes)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "published files"
    folder.mkdir()
    (folder / NAME).write_bytes(PAYLOAD)
    return folder / NAME


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "down loads"


@pytest.fixture(autouse=True)
def no_net(monkeypatch):
    """Downloads fail the test, unless it replaces this."""
    monkeypatch.setattr(fetch_module, "download", lambda *_: pytest.fail("a download"))
    monkeypatch.setattr(zenodo, "ask_record", lambda *_: pytest.fail("a question"))


def downloads(monkeypatch, content=PAYLOAD):
    """Let the net give `content`; return the list of (url, size expected) that were asked for."""
    asked = []

    def download(url, part, name, size_bytes, need):
        asked.append((url, size_bytes))
        part.restart()
        part.append(content)

    monkeypatch.setattr(fetch_module, "download", download)
    return asked


def answers(monkeypatch, answer):
    """Let Zenodo's API answer with a pin, or an error; return the list of what it was asked."""
    asked = []

    def ask_record(record, file, api, attempts):
        asked.append((record, file, api, attempts))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(zenodo, "ask_record", ask_record)
    return asked


def beside(path):
    return sorted(other.name for other in path.parent.iterdir() if other != path)


def test_file_url_is_percent_decoded(source, folder):
    assert "%20" in source.as_uri()
    path = fetch(entry(source.as_uri()), folder, offline=True)
    assert path == folder / MD5 / NAME
    assert path.read_bytes() == PAYLOAD
    assert beside(path) == []


def test_a_good_file_is_kept(source, folder):
    path = fetch(entry(source.as_uri()), folder)
    written = path.stat()
    source.unlink()
    fetch(entry(source.as_uri()), folder)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (written.st_mtime_ns, written.st_ino)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_good_file_needs_no_right_to_write(source, folder):
    path = fetch(entry(source.as_uri()), folder)
    for closed in (path.parent, folder / ".locks", folder):
        closed.chmod(0o555)
    assert fetch(entry(source.as_uri()), folder) == path


@pytest.mark.parametrize("content", [b"half", PAYLOAD[::-1]])
def test_a_corrupt_file_is_set_aside_with_a_warning(source, folder, caplog, content):
    (folder / MD5).mkdir(parents=True)
    (folder / MD5 / NAME).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        path = fetch(entry(source.as_uri()), folder)
    assert path.read_bytes() == PAYLOAD
    assert path.with_name(NAME + ".corrupt").read_bytes() == content
    assert "set aside" in caplog.text and MD5 in caplog.text


@pytest.mark.parametrize("as_url", [True, False])
def test_mirrors_come_first(source, folder, as_url):
    mirror = source.parent.as_uri() + "/" if as_url else str(source.parent)
    assert fetch(entry("https://host/x"), folder, mirrors=[mirror]).read_bytes() == PAYLOAD


def test_a_mirror_without_the_file_or_with_another_is_passed_over(source, folder, tmp_path):
    for name, content in (("empty", None), ("short", b"y"), ("other", b"y" * len(PAYLOAD))):
        (tmp_path / name).mkdir()
        if content:
            (tmp_path / name / NAME).write_bytes(content)
    mirrors = [str(tmp_path / name) for name in ("empty", "short", "other")]
    path = fetch(entry(source.as_uri()), folder, mirrors=mirrors)
    assert path.read_bytes() == PAYLOAD
    assert beside(path) == []


def test_each_source_has_its_answer_in_the_message(source, folder, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / NAME).write_bytes(b"y" * len(PAYLOAD))
    source.unlink()
    mirrors = [str(tmp_path / "nowhere"), str(tmp_path / "other")]
    with pytest.raises(InputError) as error:
        fetch(entry(source.as_uri()), folder, mirrors=mirrors)
    told = str(error.value)
    assert told.count("no such file") == 2
    assert f"the file there has md5 {hashlib.md5(b'y' * len(PAYLOAD)).hexdigest()}" in told
    assert f"put the file at {folder / MD5 / NAME}" in told


def test_unknown_md5_is_asked_for_pinned_and_rules(folder, monkeypatch):
    net, api = downloads(monkeypatch), answers(monkeypatch, PIN)
    path = fetch(entry(ON_ZENODO, "", None), folder, api="http://api")
    assert path == folder / "zenodo-12" / NAME
    assert api == [("12", NAME, "http://api", 8)]
    assert net == [(ON_ZENODO, len(PAYLOAD))]
    assert json.loads(pin_path(path).read_text()) == {
        "record": "12",
        "file": NAME,
        "size_bytes": len(PAYLOAD),
        "md5": MD5,
        "asked": "2026-01-02",
    }
    answers(monkeypatch, AssertionError("asked again"))
    assert fetch(entry(ON_ZENODO, "", None), folder) == path  # verified by the pin
    path.write_bytes(b"damaged")
    api = answers(monkeypatch, Pin("12", NAME, len(PAYLOAD), MD5, "2027-01-01"))
    fetch(entry(ON_ZENODO, "", None), folder)
    assert len(api) == 1 and zenodo.read_pin(path) == PIN  # the date of the first time stays
    assert path.read_bytes() == PAYLOAD


@pytest.mark.parametrize("change", [{"md5": "0" * 32}, {"size_bytes": 7}])
def test_a_later_different_answer_is_an_error(folder, monkeypatch, change):
    there = folder / "zenodo-12" / NAME
    there.parent.mkdir(parents=True)
    zenodo.write_pin(there, PIN)
    answers(monkeypatch, Pin(**{**vars(PIN), **change}))
    with pytest.raises(InputError) as error:
        fetch(entry(ON_ZENODO, "", None), folder)
    told = str(error.value)
    assert f"on 2026-01-02 it stated md5 {MD5} and {len(PAYLOAD)} bytes" in told
    assert "delete the pin" in told and str(pin_path(there)) in told
    assert zenodo.read_pin(there) == PIN


def test_a_pinned_md5_rules_when_the_server_gives_another_file(folder, monkeypatch):
    there = folder / "zenodo-12" / NAME
    there.parent.mkdir(parents=True)
    zenodo.write_pin(there, PIN)
    downloads(monkeypatch, b"new")
    answers(monkeypatch, UnavailableError("HTTP 404"))
    with pytest.raises(InputError, match="Zenodo's record 12 as of 2026-01-02"):
        fetch(entry(ON_ZENODO, "", None), folder)
    assert not there.exists()


@pytest.mark.parametrize(("md5", "size"), [("0" * 32, None), (MD5, 7)])
def test_an_answer_against_the_registry_is_an_error(folder, monkeypatch, md5, size):
    answers(monkeypatch, PIN)
    wanted = entry(ON_ZENODO, md5, size)
    if size:  # everything is known: nothing is asked
        monkeypatch.setattr(zenodo, "ask_record", lambda *_: pytest.fail("a question"))
        downloads(monkeypatch)
        fetch(wanted, folder)
        return
    with pytest.raises(InputError, match=f"states md5 {MD5} .* the registry md5 {md5}"):
        fetch(wanted, folder)


def test_a_missing_size_is_asked_and_a_silent_api_is_a_warning(folder, monkeypatch, caplog):
    net = downloads(monkeypatch)
    api = answers(monkeypatch, UnavailableError("HTTP 503; given up"))
    path = fetch(entry(ON_ZENODO, MD5, None), folder)
    assert [attempts for *_, attempts in api] == [1]
    assert path.read_bytes() == PAYLOAD
    assert net == [(ON_ZENODO, None)]
    assert "its size could not be asked: HTTP 503" in caplog.text
    path.unlink()
    answers(monkeypatch, PIN)
    fetch(entry(ON_ZENODO, MD5, None), folder)
    assert net[1] == (ON_ZENODO, len(PAYLOAD))


def test_a_silent_api_is_an_error_where_the_md5_is_unknown(folder, monkeypatch):
    answers(monkeypatch, UnavailableError("HTTP 503; given up"))
    with pytest.raises(InputError) as error:
        fetch(entry(ON_ZENODO, "", None), folder)
    assert "HTTP 503" in str(error.value) and "write the md5 into the registry" in str(error.value)


def test_nothing_is_asked_without_need(source, folder, monkeypatch):
    fetch(entry(ON_ZENODO, MD5, None), folder, mirrors=[str(source.parent)])  # a folder has it
    downloads(monkeypatch)
    (folder / MD5 / NAME).unlink()
    fetch(entry("https://elsewhere.org/x", MD5, None), folder)  # not on Zenodo
    (folder / MD5 / NAME).unlink()
    fetch(entry(ON_ZENODO, MD5, None), folder, mirrors=["https://elsewhere.org"])  # not used
    (folder / MD5 / NAME).unlink()
    fetch(entry(ON_ZENODO), folder)  # all is known
    with pytest.raises(InputError, match="is missing and `offline` is on"):
        fetch(entry(ON_ZENODO, "", None), folder, offline=True)


def test_a_file_put_there_by_hand_is_verified_offline_by_its_pin(folder):
    there = folder / "zenodo-12" / NAME
    there.parent.mkdir(parents=True)
    there.write_bytes(PAYLOAD)
    wanted = entry(ON_ZENODO, "", None)
    with pytest.raises(InputError, match="md5: not known"):
        fetch(wanted, folder, offline=True)
    zenodo.write_pin(there, PIN)
    assert fetch(wanted, folder, offline=True) == there


def test_a_file_of_unknown_md5_is_not_fetched_again_when_the_registry_learns_it(folder):
    earlier = folder / "zenodo-12" / NAME
    earlier.parent.mkdir(parents=True)
    earlier.write_bytes(PAYLOAD)
    assert fetch(entry(ON_ZENODO, MD5, None), folder) == folder / MD5 / NAME


def test_a_pin_that_is_no_pin(folder):
    there = folder / "zenodo-12" / NAME
    there.parent.mkdir(parents=True)
    for text in ("{", '{"md5": "x"}', "[]"):
        pin_path(there).write_text(text)
        with pytest.raises(InputError, match=r"is no pin .*delete it"):
            fetch(entry(ON_ZENODO, "", None), folder)


def test_a_link_is_relative_and_replaced(tmp_path):
    stored = tmp_path / "elsewhere" / "downloads" / MD5 / NAME
    stored.parent.mkdir(parents=True)
    stored.write_bytes(PAYLOAD)
    work = tmp_path / "a work"
    (work / "far").mkdir(parents=True)
    (work / "resources").symlink_to(tmp_path / "elsewhere")  # shared
    (work / "results").symlink_to(work / "far")  # on another disk, say
    output = work / "results" / "downloads" / MD5 / NAME
    for _ in range(2):
        place(work / "resources" / "downloads" / MD5 / NAME, output)
        assert output.is_symlink() and output.read_bytes() == PAYLOAD
    work.rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "far" / "downloads" / MD5 / NAME).read_bytes() == PAYLOAD


def test_what_is_not_kept_is_handed_over(source, folder, tmp_path):
    stored = fetch(entry(source.as_uri()), folder)
    output = tmp_path / "results" / NAME
    place(stored, output, keep=False)
    assert output.read_bytes() == PAYLOAD and not output.is_symlink()
    assert not stored.exists()


def test_a_file_that_is_its_own_output_stays(source, folder):
    stored = fetch(entry(source.as_uri()), folder)
    place(stored, stored)
    place(stored, stored, keep=False)
    assert stored.read_bytes() == PAYLOAD and not stored.is_symlink()


@pytest.mark.parametrize("fault", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails(source, folder, monkeypatch, fault):
    """A folder that cannot be read is passed over; a full disk ends it. No half copy is left."""
    append = Part.append

    def fail_once(part, data):
        append(part, data[:100])
        monkeypatch.setattr(Part, "append", append)
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(Part, "append", fail_once)
    wanted = entry(source.as_uri())
    if fault == errno.EIO:
        path = fetch(wanted, folder, mirrors=[str(source.parent)])
        assert path.read_bytes() == PAYLOAD
        assert beside(path) == []
    else:
        with pytest.raises(InputError, match=r"No space left on device.*; nothing is kept"):
            fetch(wanted, folder, mirrors=[str(source.parent)])
        assert list((folder / MD5).iterdir()) == []


def test_a_disk_that_always_fails_is_named(source, folder, monkeypatch):
    def fail(part, data):
        raise OSError(errno.EIO, "Input/output error", "the disk")

    monkeypatch.setattr(Part, "append", fail)
    with pytest.raises(InputError, match=r"Input/output error: 'the disk'"):
        fetch(entry(source.as_uri()), folder)
