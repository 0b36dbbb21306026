"""Processes that are killed, run into a full disk, or want the same file at once."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from downloads import NAME, entry, part_of, place
from faulty_server import Behaviour, serve

import captioner
from captioner.corpus.download.part import md5_of

N_KILLS = 20
SOURCE = Path(captioner.__file__).parents[1]


def child(folder, wanted, before="", prefix=()):
    """Start a process that fetches `wanted`; its log goes to standard error."""
    code = f"""
        import logging, sys
        sys.path.insert(0, {str(SOURCE)!r})
        logging.basicConfig(level=logging.INFO)
        from captioner.corpus.download import fetch
        from captioner.corpus.download.registry import Entry
        from captioner.errors import InputError
        {before}
        try:
            fetch.fetch({wanted!r}, {str(folder)!r})
        except InputError as error:
            sys.exit(str(error))
    """
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", textwrap.dedent(code)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
    )


def test_killed_twenty_times_at_random_points(tmp_path):
    """Nothing that had been written comes again, and the file is whole in the end."""
    generator = random.Random(20)
    payload = generator.randbytes(24_000_000)
    server = Behaviour(payload, chunk_bytes=1 << 13, delay_s=0.004)  # at most 2 MB/s
    with serve(server) as url:
        wanted = entry(f"{url}/x", payload)
        part = part_of(place(tmp_path, wanted))
        kept = [0]
        for _ in range(N_KILLS):
            n_requests = len(server.requests)
            process = child(tmp_path, wanted)
            if generator.random() < 0.8:  # the others may be killed before they ask
                while len(server.requests) == n_requests and process.poll() is None:
                    time.sleep(0.005)
            time.sleep(generator.uniform(0, 0.5))
            process.kill()
            assert process.wait() == -signal.SIGKILL
            process.stderr.close()
            kept.append(part.stat().st_size if part.exists() else 0)
            assert kept[-1] >= kept[-2]  # nothing is lost
            assert not place(tmp_path, wanted).exists()
        assert 0 < kept[-1] < len(payload)
        while server.n_active:  # the last killed client's connection
            time.sleep(0.01)
        server.delay_s, server.chunk_bytes = 0, 1 << 16
        process = child(tmp_path, wanted)
        told = process.communicate(timeout=60)[1]
        assert process.returncode == 0, told
    assert md5_of(place(tmp_path, wanted)) == wanted.md5
    assert [path.name for path in place(tmp_path, wanted).parent.iterdir()] == [NAME]
    starts = [int(asked[6:-1]) if asked else 0 for _, asked in server.requests]
    assert set(starts) <= set(kept)  # each goes on at the last byte written
    n_again = server.n_bytes_sent - len(payload)
    assert n_again <= N_KILLS * 2 * (1 << 13)  # what was under way to a killed process


def test_two_processes_want_the_same_file(tmp_path):
    payload = random.Random(2).randbytes(2_000_000)
    server = Behaviour(payload, delay_s=0.05)
    with serve(server) as url:
        wanted = entry(f"{url}/x", payload)
        processes = [child(tmp_path, wanted) for _ in range(3)]
        logs = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], logs
    assert place(tmp_path, wanted).read_bytes() == payload
    assert server.n_bytes_sent == len(payload)
    assert sum("another process is at it; waiting" in log for log in logs) == 2
    assert sum("is there already" in log for log in logs) == 2


def test_whoever_waited_goes_on_for_a_killed_one(tmp_path):
    payload = random.Random(3).randbytes(2_000_000)
    server = Behaviour(payload, delay_s=0.05)
    with serve(server) as url:
        wanted = entry(f"{url}/x", payload)
        first = child(tmp_path, wanted)
        part = part_of(place(tmp_path, wanted))
        while not (part.exists() and part.stat().st_size > 200_000):
            time.sleep(0.01)
        second = child(tmp_path, wanted)
        time.sleep(0.1)
        first.kill()
        first.communicate()
        log = second.communicate(timeout=60)[1]
    assert second.returncode == 0, log
    # What the killed one left unread in its socket is asked for again, and no more than that.
    assert int(re.search(r"goes on at byte (\d+)", log)[1]) > 200_000
    assert place(tmp_path, wanted).read_bytes() == payload


def test_processes_share_the_connections_to_a_host(tmp_path):
    payload = random.Random(4).randbytes(500_000)
    server = Behaviour(payload, delay_s=0.02)
    with serve(server) as url:
        wanted = [entry(f"{url}/{n}", payload, file=f"{n}.csv") for n in range(5)]
        limit = (
            "from captioner.corpus.download import locks; locks.PER_HOST, locks.POLL_S = 2, 0.01"
        )
        processes = [child(tmp_path, each, limit) for each in wanted]
        logs = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 5, logs
    assert server.n_active_max == 2
    assert "2 files come from there now; waiting" in "".join(logs)


def tmpfs(size_bytes, folder):
    """Give the start of a command that runs with a small disk at `folder`, or skip the test."""
    unshare = shutil.which("unshare")
    mount = f'mount -t tmpfs -o size={size_bytes} none "{folder}" && exec "$@"'
    prefix = [unshare or "", "-rm", "sh", "-c", mount, "sh"]
    if not unshare or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here (unshare -rm, tmpfs)")
    return prefix


@pytest.mark.parametrize("size_told", [True, False])
def test_a_full_disk(tmp_path, size_told):
    """With a size: refused before the first byte. Without: the message comes, the part stays."""
    payload = random.Random(6).randbytes(2_000_000)
    server = Behaviour(payload, content_length="right" if size_told else None)
    (tmp_path / "disk").mkdir()
    prefix = tmpfs(1 << 20, tmp_path / "disk")
    wanted_at = place(tmp_path / "disk", entry("", payload))
    listing = f"""
        import atexit, pathlib
        atexit.register(lambda: print(sorted(
            (path.name, path.stat().st_size)
            for path in pathlib.Path({str(wanted_at.parent)!r}).iterdir()), file=sys.stderr))
    """.strip()
    with serve(server) as url:
        process = child(tmp_path / "disk", entry(f"{url}/x", payload), listing, prefix)
        told = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "make room and start again" in told
    if size_told:
        assert re.search(r"has (1|0\.\d) MB free", told) and told.rstrip().endswith("[]")
    else:
        assert "No space left on device" in told
        kept = int(told.partition("the first ")[2].partition(" bytes are kept")[0])
        assert 500_000 < kept < 1 << 20
        assert f"('{NAME}.part', {kept})" in told and f"('{NAME}'," not in told
