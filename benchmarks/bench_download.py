"""Downloads over loopback: MB/s with md5 and writing, against `curl -o` (alone, and with md5sum).

    PYTHONPATH=src python benchmarks/bench_download.py --gigabytes 2

The server, a process of its own, sends one random block over and over. Stages take turns; the table
shows the fastest of `--repeats` turns, its ratio to `curl -o` (which neither verifies nor brings
anything to the disk), and CPU seconds. Wall time of ours is from the call of `fetch` to its return,
CPU time that of its whole process.
"""

import argparse
import hashlib
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path

BLOCK = random.Random(1).randbytes(1 << 24)
NAME = "archive.7z"


def main() -> None:
    """Measure every stage and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=2, help="size of the file (default 2)")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each stage (default 3)")
    parser.add_argument("--fetch", nargs=3, help=argparse.SUPPRESS)  # one turn of ours
    arguments = parser.parse_args()
    if arguments.fetch:
        return fetch_once(*arguments.fetch)
    n_blocks = max(1, round(arguments.gigabytes * 1e9 / len(BLOCK)))
    megabytes = n_blocks * len(BLOCK) / 1e6
    receiver, sender = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.Process(target=serve, args=(n_blocks, sender), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{receiver.recv()}/{NAME}"
    turns: dict[str, list[tuple[float, float]]] = {}  # wall and CPU seconds
    peaks_mb = []
    try:
        for _ in range(arguments.repeats):
            measured, peak_mb = ours(url, n_blocks)
            peaks_mb.append(peak_mb)
            for name, seconds in {"captioner: fetch (md5, fsync)": measured, **curl(url)}.items():
                turns.setdefault(name, []).append(seconds)
    finally:
        server.terminate()
    fastest = {name: min(measured) for name, measured in turns.items()}
    print(f"{'stage':36}{'MB/s':>8}{'ratio to curl -o':>20}{'CPU s':>10}")
    for name, (wall_s, cpu_s) in fastest.items():
        ratio = fastest["curl -o"][0] / wall_s
        print(f"{name:36}{megabytes / wall_s:8.0f}{ratio:20.2f}{cpu_s:10.2f}")
    print(f"{megabytes:.0f} MB; peak memory of ours {max(peaks_mb):.0f} MB")


def serve(n_blocks: int, port: Connection) -> None:
    """Send `BLOCK` `n_blocks` times to whoever asks."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(n_blocks * len(BLOCK)))
            self.end_headers()
            for _ in range(n_blocks):
                self.connection.sendall(BLOCK)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port.send(server.server_port)
    server.serve_forever()


def ours(url: str, n_blocks: int) -> tuple[tuple[float, float], float]:
    """Run `fetch` in a process of its own; return wall and CPU seconds, and peak memory (MB)."""
    digest = hashlib.md5(usedforsecurity=False)
    for _ in range(n_blocks):
        digest.update(BLOCK)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--fetch", url, folder, digest.hexdigest()]
        usage, printed = run(command)
    return (float(printed), usage.ru_utime + usage.ru_stime), usage.ru_maxrss / 1024


def fetch_once(url: str, folder: str, md5: str) -> None:
    """Fetch into `folder` and print the seconds."""
    from captioner.corpus.download.fetch import fetch
    from captioner.corpus.download.registry import Entry

    entry = Entry("development", "captions", NAME, url, md5, None)
    started = time.perf_counter()
    fetch(entry, folder)
    print(time.perf_counter() - started)


def curl(url: str) -> dict[str, tuple[float, float]]:
    """Time curl, and what it leaves to be done."""
    with tempfile.TemporaryDirectory() as folder:
        target = str(Path(folder) / NAME)
        steps = {
            "curl -o": ["curl", "--silent", "--fail", "-o", target, url],
            "curl -o, then md5sum": ["md5sum", target],
            "curl -o, then md5sum, then sync": ["sync", target],
        }
        wall_s, cpu_s, seconds = 0.0, 0.0, {}
        for name, command in steps.items():
            started = time.perf_counter()
            usage, _ = run(command)
            wall_s += time.perf_counter() - started
            cpu_s += usage.ru_utime + usage.ru_stime
            seconds[name] = (wall_s, cpu_s)
    return seconds


def run(command: list[str]) -> tuple[resource.struct_rusage, str]:
    """Run a command; return what it used, and what it printed."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    printed = process.stdout.read()
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} ended with {process.returncode}")
    return usage, printed


if __name__ == "__main__":
    main()
