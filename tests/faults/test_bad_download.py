import hashlib
import random
from urllib.parse import quote

import pytest
from faulty_server import Behaviour, serve

from captioner.corpus import fetch as fetch_module
from captioner.corpus.fetch import fetch
from captioner.corpus.registry import Entry
from captioner.errors import InputError

PAYLOAD = random.Random(0).randbytes(300_000)
NAME = "odd name.v2 [é].7z"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(fetch_module, "BACKOFF_S", 0.001)
    monkeypatch.setattr(fetch_module, "CHUNK_BYTES", 10_000)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def entry(url, payload=PAYLOAD, md5=None, size_bytes=None):
    md5 = md5 or hashlib.md5(payload).hexdigest()
    return Entry("development", "audio_archive", NAME, url, md5, size_bytes)


@pytest.fixture
def destination(tmp_path):
    return tmp_path / "downloads" / NAME


def only_file(destination):
    assert [path.name for path in destination.parent.iterdir()] == [destination.name]
    return destination.read_bytes()


def test_a_dropped_connection_is_resumed_where_it_broke(destination):
    server = Behaviour(PAYLOAD, drop_after=100_000)
    with serve(server) as url:
        fetch(entry(f"{url}/x", size_bytes=len(PAYLOAD)), destination)
    assert only_file(destination) == PAYLOAD
    starts = [int(asked[6:-1]) if asked else 0 for _, asked in server.requests]
    assert starts == [0, 100_000, 200_000]  # no byte comes twice


def test_without_ranges_the_whole_comes_again(destination):
    part = destination.with_name(NAME + ".part")
    part.parent.mkdir()
    part.write_bytes(PAYLOAD[:1000])
    server = Behaviour(PAYLOAD, ranges=False)
    with serve(server) as url:
        fetch(entry(f"{url}/x"), destination)
    assert only_file(destination) == PAYLOAD
    assert server.requests == [("/x", "bytes=1000-")]


def test_endless_drops_without_ranges_end(destination):
    server = Behaviour(PAYLOAD, ranges=False, drop_after=100_000)
    with serve(server) as url, pytest.raises(InputError, match="the connection broke off; given"):
        fetch(entry(f"{url}/x"), destination)
    assert len(server.requests) == 6
    assert not destination.exists()


def test_a_beginning_of_another_file_is_not_trusted(destination):
    part = destination.with_name(NAME + ".part")
    part.parent.mkdir()
    part.write_bytes(b"x" * 1000)
    server = Behaviour(PAYLOAD)
    with serve(server) as url:
        fetch(entry(f"{url}/x"), destination)
    assert only_file(destination) == PAYLOAD
    assert [asked for _, asked in server.requests] == ["bytes=1000-", None]


def test_a_part_that_is_longer_than_the_file_is_started_again(destination):
    part = destination.with_name(NAME + ".part")
    part.parent.mkdir()
    part.write_bytes(b"x" * (len(PAYLOAD) + 1))
    with serve(Behaviour(PAYLOAD)) as url:
        fetch(entry(f"{url}/x"), destination)
    assert only_file(destination) == PAYLOAD


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(destination, status):
    server = Behaviour(PAYLOAD, statuses=[status] * 3)
    with serve(server) as url:
        fetch(entry(f"{url}/x"), destination)
    assert only_file(destination) == PAYLOAD
    assert len(server.requests) == 4


def test_a_stall_is_resumed(destination, monkeypatch):
    monkeypatch.setattr(fetch_module, "STALL_TIMEOUT_S", 0.2)
    server = Behaviour(PAYLOAD, stall_s=0.6)
    with serve(server) as url:
        fetch(entry(f"{url}/x"), destination)
    assert only_file(destination) == PAYLOAD
    assert [asked for _, asked in server.requests] == [None, "bytes=150000-"]


def test_a_server_that_stays_busy_is_given_up(destination):
    server = Behaviour(PAYLOAD, statuses=[503] * 50)
    with serve(server) as url, pytest.raises(InputError, match=r"HTTP 503 .* given up after 5"):
        fetch(entry(f"{url}/x"), destination)


def test_404_is_an_error_at_once(destination):
    server = Behaviour(PAYLOAD, statuses=[404])
    with serve(server) as url:
        with pytest.raises(InputError) as error:
            fetch(entry(f"{url}/x"), destination)
        told = str(error.value)
        assert f"{url}/x: HTTP 404 Not Found" in told
        assert f"put the file at {destination}" in told
    assert len(server.requests) == 1
    assert list(destination.parent.iterdir()) == []


def test_an_html_page_is_an_error_at_once(destination):
    server = Behaviour(b"<html>Sign in</html>", content_type="text/html; charset=utf-8")
    with serve(server) as url, pytest.raises(InputError, match="an html page came in place of"):
        fetch(entry(f"{url}/x"), destination)
    assert len(server.requests) == 1
    assert list(destination.parent.iterdir()) == []


def test_a_mirror_that_lacks_the_file_is_passed_over(destination):
    mirror, origin = Behaviour(statuses=[404]), Behaviour(PAYLOAD)
    with serve(mirror) as first, serve(origin) as second:
        fetch(entry(f"{second}/x"), destination, mirrors=[f"{first}/clotho/"])
    assert only_file(destination) == PAYLOAD
    assert [path for path, _ in mirror.requests] == [f"/clotho/{quote(NAME)}"]
    assert [path for path, _ in origin.requests] == ["/x"]


def test_no_server_is_an_error(destination):
    with serve(Behaviour()) as url:
        pass  # closed: nobody listens there now
    with pytest.raises(InputError, match="no answer"):
        fetch(entry(f"{url}/x"), destination)


def test_wrong_md5_in_the_registry(destination):
    found = hashlib.md5(PAYLOAD).hexdigest()
    with serve(Behaviour(PAYLOAD)) as url, pytest.raises(InputError) as error:
        fetch(entry(f"{url}/x", md5="0" * 32), destination)
    assert f"has md5 {found}, expected {'0' * 32}" in str(error.value)
    assert "check the registry's url, md5 and size" in str(error.value)
    assert list(destination.parent.iterdir()) == []


@pytest.mark.parametrize("local", [True, False])
def test_wrong_size_in_the_registry(tmp_path, destination, local):
    (tmp_path / "x").write_bytes(PAYLOAD)
    with serve(Behaviour(PAYLOAD)) as url:
        source = (tmp_path / "x").as_uri() if local else f"{url}/x"
        with pytest.raises(InputError, match="has 300000 bytes, expected 7 by the registry"):
            fetch(entry(source, size_bytes=7), destination)
    assert list(destination.parent.iterdir()) == []


def test_too_little_disk(destination, monkeypatch):
    monkeypatch.setattr(
        fetch_module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})
    )
    with serve(Behaviour(PAYLOAD)) as url, pytest.raises(InputError, match="make room"):
        fetch(entry(f"{url}/x"), destination)


def test_offline_never_opens_a_socket_and_says_where_to_put_the_file(destination, monkeypatch):
    monkeypatch.setattr(fetch_module.requests, "get", lambda *_, **__: pytest.fail("a request"))
    wanted = entry("https://host/x?download=1")
    with pytest.raises(InputError) as error:
        fetch(wanted, destination, mirrors=["http://mirror/", "https://mirror"], offline=True)
    told = str(error.value)
    assert "`offline` is on" in told
    assert "url: https://host/x?download=1" in told
    assert f"md5: {wanted.md5}" in told
    assert f"put the file at {destination}" in told
