"""SPICE 1.0, the official program, on a current Java and with a cache of parses that lasts.

Only the call is ours. On Java >= 16 its serializer needs `--add-opens`, and a JavaScript engine
must stand on the class path, which `-jar` would not look at: hence the main class by its name.
"""

import fcntl
import json
import logging
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pycocoevalcap.spice import spice

from captioner.errors import InputError
from captioner.evaluation.java import SPICE_JARS, java_command, missing_jars
from captioner.evaluation.process import JavaProcess

JAR = Path(spice.__file__).with_name(spice.SPICE_JAR)
MAIN_CLASS = "edu.anu.spice.SpiceScorer"
OPENED_PACKAGES = (  # to FST 2.47, which serializes the cached parses
    "java.lang",
    "java.math",
    "java.net",
    "java.text",
    "java.util",
    "java.util.concurrent",
    "java.io",
    "java.nio",
    "sun.nio.ch",
)
CACHE_PROCESSORS = ("x86_64", "AMD64")  # those the cache's native library (lmdbjni) exists for
# A heap that is wide from the start, most of it for short-lived objects: parsing makes many. Half
# the time of Java's defaults (docs/metrics.md).
START_MEMORY_MB = 2048

log = logging.getLogger(__name__)


@contextmanager
def running_spice(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    scratch: Path,
    *,
    java_folder: Path,
    cache_folder: Path | None,
    threads: int,
    memory_mb: int,
    timeout_s: float,
) -> Iterator[JavaProcess]:
    """Start SPICE on tokenised captions; hand the process to `spice_scores` when others are done.

    Parses are kept under `cache_folder`, keyed by the caption's text. One process at a time works
    in a cache (file lock): a second one waits, and then finds the parses of the first.

    Raises:
        InputError: SPICE's jars are not in `java_folder`.
    """
    if missing := missing_jars(java_folder):
        names = ", ".join(jar.file_name for jar in missing)
        raise InputError(
            f"SPICE's jars are missing from {java_folder}: {names}. Fetch them first "
            "(captioner.evaluation.java.fetch_spice_jars)."
        )
    folder = scratch / "spice"
    folder.mkdir()
    clips = [
        {"image_id": number, "test": candidate, "refs": list(of_clip)}
        for number, (candidate, of_clip) in enumerate(zip(candidates, references, strict=True))
    ]
    (folder / "input.json").write_text(json.dumps(clips), encoding="utf-8")
    options = ["input.json", "-out", "scores.json", "-silent", "-threads", str(threads)]
    if cache_folder is not None and platform.machine() not in CACHE_PROCESSORS:
        log.warning("SPICE's cache does not exist for %s: going without", platform.machine())
        cache_folder = None
    command = [*_java(java_folder, folder, threads, memory_mb), MAIN_CLASS, *options]
    if cache_folder is None:
        with JavaProcess("SPICE", command, folder, timeout_s) as process:
            yield process
        return
    with _locked(cache_folder):
        command += ["-cache", str(cache_folder.resolve())]
        with JavaProcess("SPICE", command, folder, timeout_s) as process:
            yield process


def spice_scores(process: JavaProcess, scratch: Path) -> list[float]:
    """Wait for SPICE and return each clip's F-score over all tuples; the corpus value is its mean.

    Raises:
        InputError: SPICE failed.
    """
    process.finish()
    clips = json.loads((scratch / "spice" / "scores.json").read_text(encoding="utf-8"))
    by_number = {clip["image_id"]: float(clip["scores"]["All"]["f"]) for clip in clips}
    return [by_number[number] for number in range(len(by_number))]


def _java(java_folder: Path, folder: Path, threads: int, memory_mb: int) -> list[str]:
    # CoreNLP stands first, as in the manifest of SPICE's jar: others hold classes of its name.
    class_path = [java_folder.resolve() / jar.file_name for jar in SPICE_JARS] + [JAR]
    start_mb = min(START_MEMORY_MB, memory_mb)
    return java_command(
        memory_mb,
        f"-Xms{start_mb}m",
        f"-Xmn{start_mb * 3 // 4}m",
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED_PACKAGES),
        # CoreNLP parses with as many threads as it sees processors, whatever `-threads` says.
        f"-XX:ActiveProcessorCount={threads}",
        "-XX:+UseParallelGC",
        f"-Djava.io.tmpdir={folder}",  # the cache's native library is unpacked there
        "-cp",
        os.pathsep.join(map(str, class_path)),
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "in-use.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("Waiting for another scoring job to leave SPICE's cache %s", folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
