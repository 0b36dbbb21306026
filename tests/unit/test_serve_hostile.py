"""Hostile uploads to `captioner serve`: each is refused in words, and nothing of it stays."""

import asyncio
import struct
import threading
import tracemalloc
from urllib.parse import unquote

import numpy as np
import pytest

from captioner.serving import checking
from captioner.serving.guard import Guard
from captioner.serving.turns import StoppedError
from captioner.serving.uploads import Limits
from serving import (
    LIMITS,
    Server,
    ask,
    body,
    forever,
    make_answerer,
    save_small_model,
    sound,
    written,
)

HOUR_S = 3600


@pytest.fixture(scope="module")
def answerer(tmp_path_factory, repository):
    folder = save_small_model(tmp_path_factory.mktemp("serve") / "model", repository)
    return make_answerer(folder)


@pytest.fixture
def server(answerer, tmp_path):
    """A server whose folder of temporary files is empty at the end, and that still captions."""
    server = Server(answerer, tmp_path / "scratch")
    yield server
    assert server.caption(sound()).status_code == 200
    assert list(server.scratch.iterdir()) == []
    assert [each.name for each in tmp_path.iterdir()] == ["scratch"]


def wav_header(n_bytes, rate=8000, n_channels=1, bits=16, kind=1):
    """Give a RIFF header that promises `n_bytes` of samples."""
    frame = n_channels * bits // 8
    numbers = (16, kind, n_channels, rate, min(rate * frame, 2**32 - 1), frame, bits)
    head = b"WAVEfmt " + struct.pack("<IHHIIHH", *numbers) + b"data" + struct.pack("<I", n_bytes)
    return b"RIFF" + struct.pack("<I", (n_bytes + 36) % 2**32) + head


def flac_promising(n_samples, content):
    """Change the number of samples in a FLAC's first block, 36 bits from the middle of byte 21."""
    assert content[:4] == b"fLaC"
    high, low = divmod(n_samples, 2**32)
    return content[:21] + bytes([content[21] & 0xF0 | high]) + struct.pack(">I", low) + content[26:]


@pytest.mark.parametrize(
    "content",
    [
        b"This is a text, whatever its name.\n" * 100,
        b"\0" * 5000,
        b"\x89PNG\r\n\x1a\n" + bytes(1000),
        b"PK\x03\x04" + bytes(1000),
        b"RIFF",
        b"RIFF\xff\xff\xff\xffWAVE",
        b"ID3\x04\0\0\x7f\x7f\x7f\x7f",
        b"OggS" + b"\xff" * 200,
        b"fLaC" + b"\xff" * 200,
        b"../../../../etc/passwd",
        np.random.default_rng(0).bytes(20_000),
        b"#!/bin/sh\ntouch /tmp/owned\n",
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
    ],
)
def test_what_is_not_audio(server, content):
    server.refused(content, 415, "cannot be read as audio", "wav, flac, ogg, mp3")


def test_a_form_is_not_the_sound(server):
    answer = server.request("POST", "/caption", files={"file": ("../../dog.wav", sound())})
    assert answer.status_code == 415
    assert "expected the sound itself as the body" in answer.json()["error"]


def test_no_bytes(server):
    server.refused(b"", 422, "0 bytes")

    async def nothing():  # sent in pieces, without a length
        yield b""

    server.refused(nothing(), 422, "0 bytes")


def test_a_sound_without_samples(server):
    server.refused(written(np.zeros(0)), 422, "without samples")


def test_too_many_bytes(server):
    read = []

    async def pieces(n):
        for number in range(n):
            read.append(number)
            yield bytes(100_000)

    server.refused(bytes(LIMITS.n_bytes + 1), 413, "2.0 MB", "at most 2 MB", "--max-mb")
    server.refused(pieces(10**6), 413, "more than 2 MB")  # no length, and no end
    assert len(read) == 21  # the limit, and the piece that passed it


@pytest.mark.parametrize("announced", [b"10", b"0x10", b"-5", b"99999999999999999999999", b"\xff"])
def test_a_length_that_lies(server, announced):
    pieces = [body(bytes(500_000), more=True) for _ in range(100)]
    headers = [(b"content-length", announced)]
    status, answer = asyncio.run(ask(server.app, pieces, headers))
    assert (status, "at most 2 MB" in answer["error"]) == (413, True)


def test_a_large_announcement_is_refused_unread(server):
    async def sent():
        raise AssertionError("the body was read")

    headers = [(b"content-length", b"2000001")]
    status, answer = asyncio.run(ask(server.app, [], headers, after=sent))
    assert (status, "2.0 MB" in answer["error"]) == (413, True)


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_too_long_is_seen_in_the_header(server, form, monkeypatch):
    def decode(*_):
        raise AssertionError("it was decoded")

    with monkeypatch.context() as patch:
        patch.setattr(checking, "read_parts", decode)
        silence = np.zeros(61 * 8000)  # of which FLAC and Ogg make a few kB
        server.refused(written(silence, 8000, form), 422, "1 min", "--max-seconds")


def test_a_header_that_promises_ten_hours(server):
    real = sound(1.0)
    promise = wav_header(10 * HOUR_S * 16000 + 44) + real[44:]
    assert server.caption(promise).json()["duration_s"] == 1.0  # as far as it goes, with a note
    server.refused(wav_header(10 * HOUR_S * 16000), 422, "without samples")
    flac = flac_promising(10 * HOUR_S * 8000, sound(1.0, form="FLAC"))
    server.refused(flac, 422, "10 h", "at most 1 min")
    server.refused(flac_promising(2**36 - 1, flac), 422, "at most 1 min")


def test_memory_does_not_follow_a_promise(server):
    flac = sound(1.0, 192_000, form="FLAC")
    flac = flac_promising(59 * 192_000, flac)  # 45 MB of float32, within the limit
    server.refused(flac, 422)
    tracemalloc.start()
    server.refused(flac, 422, "damaged or cut short")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(server, value):
    samples = np.zeros(20 * 8000)
    samples[-1] = value
    server.refused(written(samples, subtype="FLOAT"), 422, "1 samples that are NaN or infinite")


def test_samples_far_beyond_full_scale(server):
    loud = np.full(8000, 1e30)
    server.refused(written(loud, subtype="FLOAT"), 422, "up to 1e+30")


@pytest.mark.parametrize("rate", [1, 999, 192_001, 4_000_000])
def test_absurd_sample_rates(server, rate):
    content = wav_header(2000, rate) + bytes(2000)
    if 1000 / rate > LIMITS.duration_s:
        server.refused(content, 422, "min")
    else:
        server.refused(content, 422, f"{rate:,} Hz", "1,000 to 192,000 Hz")


@pytest.mark.parametrize("rate", [0, 2**31, 2**32 - 1])
def test_sample_rates_that_are_none(server, rate):
    answer = server.caption(wav_header(2000, rate) + bytes(2000))
    assert answer.status_code in (415, 422), answer.text


@pytest.mark.parametrize("n_channels, status", [(17, 422), (1000, 422), (0, 415), (65535, 415)])
def test_absurd_channel_counts(server, n_channels, status):
    content = wav_header(4 * n_channels, n_channels=n_channels, bits=8) + bytes(4 * n_channels)
    server.refused(content, status, *(["channels"] if status == 422 else []))


@pytest.mark.parametrize("form", ["FLAC", "OGG", "MP3", "WAV"])
@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_never_fail_the_server(server, form, seed):
    random = np.random.default_rng(seed)
    content = bytearray(sound(1.0, 22050, form))
    for place in random.integers(0, len(content) if seed % 2 else 200, 20):
        content[place] = random.integers(256)
    answer = server.caption(bytes(content[: len(content) // (1 + seed // 2)]))
    assert answer.status_code in (200, 415, 422), answer.text


ELSEWHERE = [
    "/../app.py",
    "/page/../app.py",
    "/..%2fapp.py",
    "/%2e%2e/app.py",
    "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "//etc/passwd",
    "/etc/passwd",
    "/..\\app.py",
    "/page.js%00.html",
    "/%00",
    "/./page.js",
    "/index.html",
    "/page.js/",
    "/style.css/../../app.py",
    "/file:///etc/passwd",
    "/about/../../app.py",
]


@pytest.mark.parametrize("address", ELSEWHERE)
def test_addresses_are_no_paths(server, address):
    for path in {address, unquote(address)}:  # as sent and as servers decode it
        status, _, text = asyncio.run(get(server.app, path))
        assert status == 404
        assert b"root:" not in text and b"import" not in text


async def get(app, path, host=b"127.0.0.1:8000", method="GET", headers=()):
    sent = []

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [*([(b"host", host)] if host is not None else []), *headers],
    }
    await app(scope, forever, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


@pytest.mark.parametrize(
    "host, known",
    [
        (b"127.0.0.1:8000", True),
        (b"localhost:8000", True),
        (b"LOCALHOST", True),
        (b"[::1]:8000", True),
        (b"evil.example", False),
        (b"127.0.0.1.evil.example", False),
        (b"localhost.", False),
        (b"evil@127.0.0.1", False),
        (b"127.0.0.1@evil.example", False),
        (b"192.168.0.7:8000", False),
        (b"[::1", False),
        (b"", False),
        (None, False),
    ],
)
def test_names_that_may_be_asked(server, host, known):
    status, headers, _ = asyncio.run(get(server.app, "/about", host))
    assert status == (200 if known else 400)
    assert headers[b"x-content-type-options"] == b"nosniff"


def test_a_server_for_others_is_known_by_addresses_and_its_name_alone(server):
    app = Guard(server.app._app, frozenset({"box"}), addresses=True)
    hosts = {b"192.168.0.7:8000": 200, b"[fe80::1]": 200, b"box:80": 200, b"evil.example": 400}
    for host, status in hosts.items():
        assert asyncio.run(get(app, "/about", host))[0] == status


@pytest.mark.parametrize(
    "origin, allowed",
    [
        (b"http://127.0.0.1:8000", True),
        (b"https://127.0.0.1:8000", True),  # behind a proxy that encrypts
        (b"http://127.0.0.1:9000", False),
        (b"http://localhost:8000", False),
        (b"https://evil.example", False),
        (b"http://127.0.0.1:8000.evil.example", False),
        (b"null", False),
        (b"", False),
    ],
)
def test_other_sites_may_not_send(server, origin, allowed):
    headers = [(b"origin", origin)]
    status, _ = asyncio.run(ask(server.app, [body(sound())], headers, after=forever))
    assert status == (200 if allowed else 403)


def test_two_hosts_are_none(server):
    headers = [(b"host", b"evil.example")]
    assert asyncio.run(get(server.app, "/about", headers=headers))[0] == 400


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "GET", "X"])
def test_other_methods(server, method):
    status, headers, _ = asyncio.run(get(server.app, "/caption", method=method))
    assert (status, headers[b"allow"]) == (405, b"POST")


class Gate:
    """An answerer whose work waits until it is let go, and counts what runs at once."""

    def __init__(self):
        self.started, self.free = threading.Semaphore(0), threading.Event()
        self.running = self.most = self.n_stopped = 0
        self.order = []
        self.files = []

    def answer(self, path, _query, stop):
        self.running += 1
        self.most = max(self.most, self.running)
        self.files.append(path)
        self.order.append(path.read_bytes())
        self.started.release()
        try:
            while not self.free.wait(0.01):
                if stop.is_set():
                    assert path.is_file()  # its file stays as long as it runs
                    self.n_stopped += 1
                    raise StoppedError
            return {"caption": "a sound"}
        finally:
            self.running -= 1


async def started(gate):
    while not gate.started.acquire(blocking=False):
        await asyncio.sleep(0.005)


def test_one_at_a_time_in_order_and_no_more_than_there_is_room_for(tmp_path):
    gate = Gate()
    server = Server(gate, tmp_path / "scratch", Limits(10_000, 60.0, n_requests=3))

    async def crowd():
        asked = []
        for number in range(3):
            asked.append(
                asyncio.create_task(ask(server.app, [body(b"%d" % number)], after=forever))
            )
            await asyncio.sleep(0.05)
        status, answer = await ask(server.app, [body(b"3")], after=forever)
        assert (status, "Send it again" in answer["error"]) == (503, True)
        assert (await get(server.app, "/"))[0] == 200  # the page is there all the time
        gate.free.set()
        assert [status for status, _ in await asyncio.gather(*asked)] == [200] * 3
        assert (await ask(server.app, [body(b"4")], after=forever))[0] == 200

    asyncio.run(crowd())
    assert (gate.most, gate.order) == (1, [b"0", b"1", b"2", b"4"])
    assert len({path.name for path in gate.files}) == 1  # a name of ours
    assert list(server.scratch.iterdir()) == []


def test_a_client_that_leaves_while_it_sends(server):
    pieces = [body(sound()[:2000], more=True)]
    status, answer = asyncio.run(ask(server.app, pieces))
    assert (status, answer) == (499, None)


def test_a_client_that_leaves_while_its_sound_is_captioned(tmp_path):
    gate = Gate()
    server = Server(gate, tmp_path / "scratch", Limits(10_000, 60.0, n_requests=1))
    left = ask(server.app, [body(b"0")], after=lambda: started(gate))
    assert asyncio.run(left) == (499, None)
    assert gate.n_stopped == 1
    assert list(server.scratch.iterdir()) == []
    gate.free.set()
    assert asyncio.run(ask(server.app, [body(b"1")], after=forever))[0] == 200  # the place is free


def test_a_client_that_leaves_while_it_waits(tmp_path):
    gate = Gate()
    server = Server(gate, tmp_path / "scratch", Limits(10_000, 60.0, n_requests=2))

    async def two():
        first = asyncio.create_task(ask(server.app, [body(b"0")], after=forever))
        await started(gate)
        assert await ask(server.app, [body(b"1")]) == (499, None)
        assert len(list(server.scratch.iterdir())) == 1
        gate.free.set()
        assert (await first)[0] == 200

    asyncio.run(two())
    assert gate.order == [b"0"]  # what nobody waits for is not begun
    assert list(server.scratch.iterdir()) == []


@pytest.mark.parametrize("slow", [{"silence_s": 0.05}, {"upload_s": 0.05}])
def test_a_slow_upload_ends_and_holds_nobody_up(answerer, tmp_path, slow):
    server = Server(answerer, tmp_path / "scratch", Limits(2_000_000, 60.0, n_requests=2, **slow))

    async def both():
        pieces = [body(b"RIFF", more=True)]
        trickle = asyncio.create_task(ask(server.app, pieces, after=forever))
        await asyncio.sleep(0)
        assert (await ask(server.app, [body(sound())], after=forever))[0] == 200
        return await trickle

    status, answer = asyncio.run(both())
    assert (status, "4 bytes" in answer["error"]) == (408, True)
    assert list(server.scratch.iterdir()) == []


def test_a_failure_of_ours_is_told_and_cleaned_up(tmp_path):
    class Broken:
        def answer(self, path, _query, _stop):
            raise RuntimeError(f"of no interest to others: {path}")

    server = Server(Broken(), tmp_path / "scratch")
    for _ in range(2 * LIMITS.n_requests):  # and no place is lost
        answer = server.caption(sound())
        assert answer.status_code == 500
        assert "the server failed" in answer.text.lower() and "interest" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert list(server.scratch.iterdir()) == []


def test_a_full_disk(server, monkeypatch):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.open", full)
        server.refused(sound(), 507, "No space left on device")
