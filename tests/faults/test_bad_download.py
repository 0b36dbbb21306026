"""A server or a mirror that misbehaves: the file arrives whole, or the message says why not."""

import datetime
import email.utils
import hashlib
import json
import logging
import re
import socket
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from downloads import NAME, PAYLOAD, assert_only_file, entry, part_of, place, put_part
from faulty_server import Behaviour, serve

from captioner.corpus.download import fetch as fetch_module
from captioner.corpus.download import part, registry, transfer
from captioner.corpus.download.fetch import fetch
from captioner.errors import InputError

HTML = b"\n <!DOCTYPE html><html><title>Sign in</title></html>" * 10


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(transfer, "BACKOFF_S", 0.001)
    monkeypatch.setattr(part, "CHUNK_BYTES", 10_000)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def waits(monkeypatch):
    """The seconds that were waited, without waiting."""
    waited = []
    monkeypatch.setattr(transfer, "time", SimpleNamespace(sleep=waited.append))
    return waited


def starts(server):
    return [int(asked[6:-1]) if asked else 0 for _, asked in server.requests]


@pytest.mark.parametrize("size_bytes", [None, len(PAYLOAD)])
def test_a_dropped_connection_is_resumed_where_it_broke(tmp_path, size_bytes):
    server = Behaviour(PAYLOAD, drop_after=100_000)
    with serve(server) as url:
        path = fetch(entry(f"{url}/x", size_bytes=size_bytes), tmp_path)
    assert_only_file(path)
    assert starts(server) == [0, 100_000, 200_000]
    assert server.n_bytes_sent == len(PAYLOAD)  # no byte comes twice
    assert [headers.get("If-Range") for headers in server.headers] == [None, *[server.tag()] * 2]


def test_a_weak_etag_is_no_condition_but_the_date_is(tmp_path):
    date = "Wed, 26 May 2021 10:00:00 GMT"
    server = Behaviour(PAYLOAD, drop_after=200_000, etag='W/"1"', last_modified=date)
    with serve(server) as url:
        assert_only_file(fetch(entry(f"{url}/x"), tmp_path))
    assert [headers.get("If-Range") for headers in server.headers] == [None, date]


def test_what_an_earlier_process_left_is_not_fetched_again(tmp_path):
    server = Behaviour(PAYLOAD)
    with serve(server) as url:
        wanted = entry(f"{url}/x")
        put_part(tmp_path, wanted, PAYLOAD[:123_456])
        assert_only_file(fetch(wanted, tmp_path))
    assert server.sent == [(123_456, len(PAYLOAD) - 123_456)]


@pytest.mark.parametrize("size_bytes", [None, len(PAYLOAD)])
def test_killed_between_the_last_byte_and_the_name(tmp_path, size_bytes):
    server = Behaviour(PAYLOAD)
    with serve(server) as url:
        wanted = entry(f"{url}/x", size_bytes=size_bytes)
        put_part(tmp_path, wanted, PAYLOAD)
        assert_only_file(fetch(wanted, tmp_path))
    assert server.n_bytes_sent == 0
    assert len(server.requests) == (0 if size_bytes else 1)


def test_without_ranges_the_whole_comes_again(tmp_path, caplog):
    server = Behaviour(PAYLOAD, ranges=False)
    with serve(server) as url:
        wanted = entry(f"{url}/x")
        put_part(tmp_path, wanted, PAYLOAD[:1000])
        assert_only_file(fetch(wanted, tmp_path))
    assert server.requests == [("/x", "bytes=1000-")]
    assert "from the start, not a range" in caplog.text


def test_endless_drops_without_ranges_end(tmp_path):
    server = Behaviour(PAYLOAD, ranges=False, drop_after=100_000)
    with serve(server) as url, pytest.raises(InputError, match="the connection broke off"):
        fetch(entry(f"{url}/x"), tmp_path)
    assert len(server.requests) == transfer.ATTEMPTS
    assert not list(tmp_path.rglob(NAME))
    (kept,) = tmp_path.rglob("*.part")
    assert kept.read_bytes() == PAYLOAD[:100_000]


def test_a_beginning_of_another_file_is_not_trusted(tmp_path):
    server = Behaviour(PAYLOAD)
    with serve(server) as url:
        wanted = entry(f"{url}/x")
        put_part(tmp_path, wanted, b"x" * 1000)
        assert_only_file(fetch(wanted, tmp_path))
    assert starts(server) == [1000, 0]


@pytest.mark.parametrize("size_bytes", [None, len(PAYLOAD)])
def test_a_part_that_is_longer_than_the_file_is_started_again(tmp_path, size_bytes):
    server = Behaviour(PAYLOAD)
    with serve(server) as url:
        wanted = entry(f"{url}/x", size_bytes=size_bytes)
        put_part(tmp_path, wanted, b"x" * 400_000)
        assert_only_file(fetch(wanted, tmp_path))
    assert starts(server) == ([0] if size_bytes else [400_000, 0])


@pytest.mark.parametrize("condition_kept", [True, False])
def test_a_file_changed_between_two_ranges_starts_over(tmp_path, condition_kept, caplog):
    new = PAYLOAD[::-1]
    server = Behaviour(b"y" * len(new), drop_after=100_000, later=new)
    if not condition_kept:
        server.last_modified, server.etag = None, None  # the size alone tells
        server.payload += b"y"
    with serve(server) as url:
        path = fetch(entry(f"{url}/x", new), tmp_path)
    assert_only_file(path, new)
    assert starts(server)[:2] == [0, 100_000]
    assert server.sent[1][0] == (0 if condition_kept else 100_000)
    assert "start" in caplog.text


def test_a_server_that_ignores_if_range_is_seen_through(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(part.Origin, "validator", property(lambda _: None))  # none is sent
    new = PAYLOAD[::-1]
    server = Behaviour(b"y" * len(new), drop_after=100_000, later=new)
    with serve(server) as url:
        assert_only_file(fetch(entry(f"{url}/x", new), tmp_path), new)
    assert starts(server)[:3] == [0, 100_000, 0]
    assert "the file on the server has changed" in caplog.text


@pytest.mark.parametrize("shift", [-7, 1])
def test_a_206_with_another_range_is_not_appended(tmp_path, shift, caplog):
    server = Behaviour(PAYLOAD, range_shift=shift)
    with serve(server) as url:
        wanted = entry(f"{url}/x")
        put_part(tmp_path, wanted, PAYLOAD[:1000])
        assert_only_file(fetch(wanted, tmp_path))
    assert starts(server) == [1000, 0]
    assert f"bytes from {1000 + shift} came, 1000 was asked for" in caplog.text


@pytest.mark.parametrize(
    ("told", "size_bytes", "message"),
    [
        (400_000, len(PAYLOAD), "the file there has 400000 bytes, expected 300000"),
        (200_000, len(PAYLOAD), "the file there has 200000 bytes, expected 300000"),
        (200_000, None, "the file there has md5"),
    ],
)
def test_a_wrong_content_length(tmp_path, told, size_bytes, message):
    server = Behaviour(PAYLOAD, content_length=told)
    with serve(server) as url, pytest.raises(InputError, match=message):
        fetch(entry(f"{url}/x", size_bytes=size_bytes), tmp_path)
    assert len(server.requests) == 1
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".7z", ".part")]


def test_a_content_length_too_large_is_no_loss(tmp_path):
    server = Behaviour(PAYLOAD, content_length=400_000, etag=None)
    with serve(server) as url:
        assert_only_file(fetch(entry(f"{url}/x"), tmp_path))
    assert starts(server) == [0, 300_000]


def test_no_content_length(tmp_path):
    with serve(Behaviour(PAYLOAD, content_length=None)) as url:
        assert_only_file(fetch(entry(f"{url}/x"), tmp_path))


@pytest.mark.parametrize("size_bytes", [None, 1000])
def test_endless_bytes_are_cut(tmp_path, size_bytes):
    server = Behaviour(PAYLOAD, content_length=None)
    with serve(server) as url, pytest.raises(InputError) as error:
        fetch(entry(f"{url}/x", b"other", size_bytes=size_bytes), tmp_path)
    told = "more than the 1000 bytes of the file came" if size_bytes else "the file there has md5"
    assert told in str(error.value)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_busy_server_is_asked_again(tmp_path, status):
    server = Behaviour(PAYLOAD, statuses=[status] * 3)
    with serve(server) as url:
        assert_only_file(fetch(entry(f"{url}/x"), tmp_path))
    assert len(server.requests) == 4


def test_the_wait_doubles_with_jitter(tmp_path, waits, monkeypatch):
    monkeypatch.setattr(transfer, "BACKOFF_S", 16)
    with serve(Behaviour(PAYLOAD, statuses=[503] * 5)) as url:
        fetch(entry(f"{url}/x"), tmp_path)
    expected = [16, 32, 60, 60, 60]  # at most a minute
    assert all(0.5 * s <= wait <= s for s, wait in zip(expected, waits, strict=True))
    assert len({wait / s for s, wait in zip(expected, waits, strict=True)}) > 1


def in_two_minutes():
    date = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=120)
    return email.utils.format_datetime(date, usegmt=True)


@pytest.mark.parametrize(
    ("told", "low", "high"),
    [
        ("7", 7, 7),
        ("in two minutes", 100, 120),
        ("Wed, 26 May 2021 10:00:00 GMT", 0, 0),
        ("86400", 900, 900),
        ("soon", 0, 0.001),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(tmp_path, waits, caplog, status, told, low, high):
    retry_after = in_two_minutes() if told == "in two minutes" else told
    server = Behaviour(PAYLOAD, statuses=[status], retry_after=retry_after)
    with serve(server) as url:
        assert_only_file(fetch(entry(f"{url}/x"), tmp_path))
    assert len(waits) == 1 and low <= waits[0] <= high
    assert f"HTTP {status}" in caplog.text
    assert ("to come back in 86400 s; asked sooner" in caplog.text) == (told == "86400")


def test_a_stall_is_resumed(tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "STALL_TIMEOUT_S", 0.2)
    server = Behaviour(PAYLOAD, stall_s=0.6)
    with serve(server) as url:
        assert_only_file(fetch(entry(f"{url}/x"), tmp_path))
    assert starts(server) == [0, 150_000]


def test_a_server_that_stays_busy_is_given_up(tmp_path):
    server = Behaviour(PAYLOAD, statuses=[503] * 50)
    with serve(server) as url, pytest.raises(InputError, match=r"HTTP 503 .* given up, attempt 8"):
        fetch(entry(f"{url}/x"), tmp_path)
    assert len(server.requests) == 8


def test_404_is_an_error_at_once(tmp_path):
    server = Behaviour(PAYLOAD, statuses=[404])
    with serve(server) as url:
        wanted = entry(f"{url}/x")
        with pytest.raises(InputError) as error:
            fetch(wanted, tmp_path)
        assert f"{url}/x: HTTP 404 Not Found" in str(error.value)
        assert f"put the file at {place(tmp_path, wanted)}" in str(error.value)
    assert len(server.requests) == 1
    assert list(place(tmp_path, wanted).parent.iterdir()) == []


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
@pytest.mark.parametrize("begun", [True, False])
def test_an_html_page_is_an_error_at_once(tmp_path, kind, begun):
    server = Behaviour(HTML, content_type=kind, ranges=False)
    with serve(server) as url:
        wanted = entry(f"{url}/x")
        if begun:
            put_part(tmp_path, wanted, PAYLOAD[:1000])
        with pytest.raises(InputError, match="an html page came in place of the file"):
            fetch(wanted, tmp_path)
    assert len(server.requests) == 1
    left = [path.name for path in place(tmp_path, wanted).parent.iterdir()]
    assert left == ([NAME + ".part"] if begun else [])  # what has come is not lost to the page


def test_a_mirror_that_lacks_the_file_is_passed_over(tmp_path):
    mirror, origin = Behaviour(statuses=[404]), Behaviour(PAYLOAD)
    with serve(mirror) as first, serve(origin) as second:
        assert_only_file(fetch(entry(f"{second}/x"), tmp_path, mirrors=[f"{first}/clotho/"]))
    assert [path for path, _ in mirror.requests] == [f"/clotho/{quote(NAME)}"]
    assert [path for path, _ in origin.requests] == ["/x"]


def test_what_one_source_began_another_one_ends(tmp_path):
    mirror, origin = Behaviour(PAYLOAD, drop_after=100_000), Behaviour(PAYLOAD)
    mirror.statuses = [200, *[503] * 50]
    with serve(mirror) as first, serve(origin) as second:
        assert_only_file(fetch(entry(f"{second}/x"), tmp_path, mirrors=[first]))
    assert origin.requests == [("/x", "bytes=100000-")]
    assert "If-Range" not in origin.headers[0]  # the mirror's tag means nothing there


def test_no_server_is_an_error(tmp_path):
    with serve(Behaviour()) as url:
        pass  # closed: nobody listens there now
    with pytest.raises(InputError, match="no answer"):
        fetch(entry(f"{url}/x"), tmp_path)


def test_wrong_md5_in_the_registry(tmp_path):
    found = hashlib.md5(PAYLOAD, usedforsecurity=False).hexdigest()
    with serve(Behaviour(PAYLOAD)) as url:
        wanted = entry(f"{url}/x", md5="0" * 32)
        with pytest.raises(InputError) as error:
            fetch(wanted, tmp_path)
    assert f"has md5 {found}, expected {'0' * 32} (the registry)" in str(error.value)
    assert "check the registry's url, md5 and size" in str(error.value)
    assert list(place(tmp_path, wanted).parent.iterdir()) == []


@pytest.mark.parametrize("local", [True, False])
def test_wrong_size_in_the_registry(tmp_path, local):
    (tmp_path / "x").write_bytes(PAYLOAD)
    server = Behaviour(PAYLOAD)
    with serve(server) as url:
        wanted = entry((tmp_path / "x").as_uri() if local else f"{url}/x", size_bytes=7)
        with pytest.raises(InputError, match="has 300000 bytes, expected 7"):
            fetch(wanted, tmp_path)
    assert list(place(tmp_path, wanted).parent.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "free", "enough"),
    [
        ("captions", 300_000, True),
        ("captions", 299_999, False),
        ("audio_archive", 766_667, True),  # 300,000 and 14 / 9 of it
        ("audio_archive", 766_666, False),
    ],
)
def test_room_is_checked_before_the_first_byte(tmp_path, monkeypatch, kind, free, enough):
    usage = SimpleNamespace(free=free)
    monkeypatch.setattr(fetch_module.shutil, "disk_usage", lambda _: usage)
    server = Behaviour(PAYLOAD)
    with serve(server) as url:
        wanted = entry(f"{url}/x", kind=kind)
        if enough:
            assert_only_file(fetch(wanted, tmp_path))
        else:
            with pytest.raises(InputError, match="make room and start again"):
                fetch(wanted, tmp_path)
            assert list(place(tmp_path, wanted).parent.iterdir()) == []


def test_what_is_there_of_it_needs_no_room(tmp_path, monkeypatch):
    usage = SimpleNamespace(free=1000)
    monkeypatch.setattr(fetch_module.shutil, "disk_usage", lambda _: usage)
    with serve(Behaviour(PAYLOAD)) as url:
        wanted = entry(f"{url}/x")
        put_part(tmp_path, wanted, PAYLOAD[:-1000])
        assert_only_file(fetch(wanted, tmp_path))


@pytest.fixture
def no_sockets(monkeypatch):
    def refuse(*_, **__):
        pytest.fail("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_offline_never_opens_a_socket_and_lists_all_that_is_missing(tmp_path, no_sockets):
    folder = tmp_path / "downloads"
    wanted = entry("https://host/x?download=1")
    others = [
        entry("https://host/there", b"1", file="there.csv"),
        entry("https://host/begun", b"2", file="begun.csv"),
        entry("https://host/in-mirror", b"3", file="in mirror.csv"),
        entry("https://zenodo.org/records/7/files/pt", md5="", file="net.pt"),
        entry((tmp_path / "disk.csv").as_uri(), b"4", file="disk.csv"),
    ]
    (tmp_path / "disk.csv").write_bytes(b"4")
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "in mirror.csv").write_bytes(b"3")
    place(folder, others[0]).parent.mkdir(parents=True)
    place(folder, others[0]).write_bytes(b"1")
    put_part(folder, others[1], b"2")
    mirrors = ["http://mirror/", "https://mirror", str(tmp_path / "mirror")]
    with pytest.raises(InputError) as error:
        fetch(wanted, folder, mirrors=mirrors, offline=True, registry=[wanted, *others])
    told = str(error.value)
    assert "3 files are missing and `offline` is on" in told
    for missing in (wanted, others[1]):
        assert f"url: {missing.url}\n    md5: {missing.md5}\n" in told
    assert "url: https://zenodo.org/records/7/files/pt\n    md5: not known" in told
    for missing in (wanted, others[1], others[3]):
        assert f"put it at: {place(folder, missing)}\n" in told
    for present in (others[0], others[2], others[4]):
        assert present.file not in told


def test_offline_reads_folders(tmp_path, no_sockets):
    (tmp_path / NAME).write_bytes(PAYLOAD)
    wanted = entry("https://host/x")
    path = fetch(wanted, tmp_path / "d", mirrors=["http://m", str(tmp_path)], offline=True)
    assert_only_file(path)


def test_proxy_variables_are_respected(tmp_path, monkeypatch):
    proxy = Behaviour(PAYLOAD)
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy", raising=False)
    with serve(proxy) as url:
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.setenv("http_proxy", url)
        assert_only_file(fetch(entry("http://corpus.invalid/x"), tmp_path))
    assert [path for path, _ in proxy.requests] == ["http://corpus.invalid/x"]


def test_the_log_tells_what_was_resumed(tmp_path, caplog):
    server = Behaviour(PAYLOAD, drop_after=200_000)
    with caplog.at_level(logging.INFO), serve(server) as url:
        fetch(entry(f"{url}/x"), tmp_path)
    assert "the connection broke off" in caplog.text
    assert "at byte 200000; again in" in caplog.text
    assert "goes on at byte 200000" in caplog.text


def test_the_part_of_a_download_outlives_a_bad_mirror_folder(tmp_path):
    (tmp_path / NAME).write_bytes(PAYLOAD[::-1])
    server = Behaviour(PAYLOAD)
    with serve(server) as url:
        wanted = entry(f"{url}/x")
        put_part(tmp_path / "d", wanted, PAYLOAD[:1000])
        assert_only_file(fetch(wanted, tmp_path / "d", mirrors=[str(tmp_path)]))
    assert starts(server) == [1000]
    assert not part_of(place(tmp_path / "d", wanted)).exists()


def zenodo_api(payload=PAYLOAD, **behaviour):
    """An API whose record 12 states the size and md5 of `payload`."""
    checksum = f"md5:{hashlib.md5(payload, usedforsecurity=False).hexdigest()}"
    files = [{"key": NAME, "size": len(payload), "checksum": checksum}]
    return Behaviour(json.dumps({"files": files}).encode(), **behaviour)


def test_what_zenodo_is_asked_comes_through_a_bad_line(tmp_path, monkeypatch):
    """The API is busy and drops; then the file comes, under the name of its record."""
    server = Behaviour(PAYLOAD, drop_after=200_000)
    api = zenodo_api(statuses=[429, 503])
    with serve(server) as url, serve(api) as asked:
        monkeypatch.setattr(registry, "ZENODO_RECORD", re.compile(rf"{url}/records/(\d+)/files/"))
        wanted = entry(f"{url}/records/12/files/x", md5="")
        path = fetch(wanted, tmp_path, api=f"{asked}/api/records")
    assert path == tmp_path / "zenodo-12" / NAME
    assert path.read_bytes() == PAYLOAD
    assert [path for path, _ in api.requests] == ["/api/records/12"] * 3
    assert starts(server) == [0, 200_000]


def test_zenodo_does_not_know_the_record(tmp_path):
    wanted = entry("https://zenodo.org/records/12/files/x", md5="")
    with serve(zenodo_api(statuses=[404])) as api, pytest.raises(InputError, match="HTTP 404"):
        fetch(wanted, tmp_path, api=api)


def test_another_size_than_zenodo_states(tmp_path, monkeypatch):
    server = Behaviour(PAYLOAD[:-1])
    with serve(server) as url, serve(zenodo_api()) as api:
        monkeypatch.setattr(registry, "ZENODO_RECORD", re.compile(rf"{url}/records/(\d+)/files/"))
        wanted = entry(f"{url}/records/12/files/x")
        with pytest.raises(InputError, match="the file there has 299999 bytes, expected 300000"):
            fetch(wanted, tmp_path, api=api)
    assert len(server.requests) == 1
    assert not part_of(place(tmp_path, wanted)).exists()  # refused by its headers
