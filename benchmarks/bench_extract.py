"""Extraction of 16-bit audio against `7z x`: wall time, CPU time, peak memory.

    PYTHONPATH=src python benchmarks/bench_extract.py --gigabytes 1

Noise with a falling spectrum (it packs to about half, as recorded sound does) is packed by 7-Zip,
then unpacked by `7z x`, by `extract` with 7-Zip and by `extract` with Python alone, in turn. A
ratio is the median over the rounds of ours / `7z x` in the same round. Ours holds the start of
Python, the checks of names, sizes and checksums, and the move to the destination.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile

from captioner.corpus.download.archives import TOOLS

RATE_HZ = 44_100
CLIP_S = 22.5  # the mean of Clotho
OURS = """
import sys
from captioner.corpus.download import archives, extract
archives.TOOLS = archives.TOOLS if sys.argv[3] == "tool" else ()
extract.extract(*sys.argv[1:3])
"""


@dataclass(frozen=True)
class Run:
    """What one run took."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=1.0, help="audio to unpack (default 1)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default 3)")
    parser.add_argument("--level", type=int, default=1, help="of 7-Zip's packing (default 1)")
    options = parser.parse_args()
    tool = next(filter(None, map(shutil.which, TOOLS)), None)
    if tool is None:
        sys.exit(f"7-Zip ({', '.join(TOOLS)}) is not installed: nothing to compare with")
    with tempfile.TemporaryDirectory(prefix="bench-extract-") as holder:
        clips = Path(holder) / "clips" / "development"
        write_clips(clips, options.gigabytes)
        megabytes = sum(path.stat().st_size for path in clips.iterdir()) / 1e6
        for kind in ("7z", "zip"):
            archive = Path(holder) / f"audio.{kind}"
            pack = [tool, "a", f"-t{kind}", "-bso0", "-bsp0", f"-mx={options.level}"]
            subprocess.run([*pack, archive, clips], check=True)
            packed = archive.stat().st_size / 1e6
            print(f"{kind}: {megabytes:.0f} MB of audio in {packed:.0f} MB", flush=True)
            report(compare(tool, archive, Path(holder) / "out", options.rounds), megabytes)


def compare(tool: str, archive: Path, out: Path, rounds: int) -> dict[str, list[Run]]:
    """Unpack by `7z x` and by ours in turn, the order reversed in every second round."""
    commands = {
        "7z x": [tool, "x", "-bso0", "-bsp0", "-y", f"-o{out}", archive],
        "ours, 7-Zip": [sys.executable, "-c", OURS, archive, out / "development", "tool"],
        "ours, Python": [sys.executable, "-c", OURS, archive, out / "development", "library"],
    }
    if archive.suffix == ".zip":  # always read by Python
        del commands["ours, 7-Zip"]
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(rounds):
        for name in list(commands)[:: -1 if number % 2 else 1]:
            runs[name].append(measure(commands[name]))
            shutil.rmtree(out)
    return runs


def report(runs: dict[str, list[Run]], megabytes: float) -> None:
    """Print rates, ratios and memory."""
    for name, ours in runs.items():
        pairs = list(zip(ours, runs["7z x"], strict=True))
        rate = megabytes / statistics.median(run.wall_s for run in ours)
        wall = statistics.median(run.wall_s / peer.wall_s for run, peer in pairs)
        cpu = statistics.median(run.cpu_s / peer.cpu_s for run, peer in pairs)
        peak = max(run.peak_mb for run in ours)
        print(
            f"  {name:12s} {rate:4.0f} MB/s of audio; wall {wall:.2f}, CPU {cpu:.2f} times `7z x`; "
            f"peak memory {peak:.0f} MB",
            flush=True,
        )


def write_clips(folder: Path, gigabytes: float) -> None:
    """Write wavs of noise with a falling spectrum that swells and fades."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    n_samples = int(RATE_HZ * CLIP_S)
    for number in range(max(1, round(gigabytes * 1e9 / (2 * n_samples)))):
        white = rng.standard_normal(n_samples, np.float32)
        noise = scipy.signal.lfilter([0.01], [1, -0.98], white)
        swell = 1 + np.sin(np.arange(n_samples) / RATE_HZ * rng.uniform(0.2, 2))
        sound = noise * swell * rng.uniform(0.05, 0.5)
        soundfile.write(folder / f"clip [{number}] é.wav", sound, RATE_HZ, subtype="PCM_16")


def measure(command: list[str | Path]) -> Run:
    """Run a command; the memory is the sum of its processes' peaks."""
    before, start = os.times(), time.perf_counter()
    process = subprocess.Popen(command)
    peaks_kb: dict[int, int] = {}
    watcher = threading.Thread(target=watch, args=(process.pid, peaks_kb), daemon=True)
    watcher.start()
    code = process.wait()
    wall_s, after = time.perf_counter() - start, os.times()
    watcher.join()
    if code:
        sys.exit(f"{command[0]} failed with exit code {code}")
    cpu_s = after.children_user + after.children_system
    cpu_s -= before.children_user + before.children_system
    return Run(wall_s, cpu_s, sum(peaks_kb.values()) / 1e3)


def watch(parent: int, peaks_kb: dict[int, int]) -> None:
    """Note the peak memory of a process and its children (Linux) until it ends."""
    while True:
        try:
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        except OSError:
            return
        for pid in (parent, *map(int, children)):
            with suppress(OSError, IndexError):  # it has ended meanwhile
                status = Path(f"/proc/{pid}/status").read_text()
                peaks_kb[pid] = int(status.split("VmHWM:")[1].split()[0])
        time.sleep(0.05)


if __name__ == "__main__":
    main()
