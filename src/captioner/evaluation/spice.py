"""SPICE 1.0: the official program's classes on a current Java, parses kept by the caption's text.

`spice.js`, run by a JavaScript engine inside SPICE's own Java process, calls them. Parsing nearly
is the whole cost, so it is done once for a text: see `captioner.evaluation.parses`.
"""

import json
import os
import random
from collections.abc import Sequence
from pathlib import Path

from pycocoevalcap.spice import spice

from captioner.errors import InputError
from captioner.evaluation.java import SPICE_JARS, java_command, missing_jars
from captioner.evaluation.parses import ParseCache, Tuples
from captioner.evaluation.process import Crew, JavaProcess
from captioner.job import Progress

JAR = Path(spice.__file__).with_name(spice.SPICE_JAR)
DRIVER = Path(__file__).with_name("spice.js")
MAIN_CLASS = "org.mozilla.javascript.tools.shell.Main"
CAPTIONS_AT_ONCE = 64  # parsed between two looks into the cache
# A heap that is wide from the start, most of it for short-lived objects: parsing makes many. Half
# the time of Java's defaults (docs/metrics.md).
START_MEMORY_MB = 2048


def spice_scores(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    folder: Path,
    *,
    java_folder: Path,
    cache: ParseCache | None,
    threads: int,
    memory_mb: int,
    timeout_s: float,
    crew: Crew | None = None,
) -> list[float]:
    """Return each clip's F-score over all tuples; the corpus value is its mean.

    Jobs that share a cache do not wait for each other: each parses what is still missing, some
    captions at a time, in an order of its own, and finds what the others have done by then.

    Args:
        candidates: tokenised, one a clip.
        references: tokenised, one or more a clip.
        folder: an empty one, for files that are not needed afterwards.
        java_folder: where SPICE's jars are.
        cache: where parses are kept; None keeps none.
        threads: parsing threads.
        memory_mb: limit of the heap in MiB.
        timeout_s: the longest wait for a few captions' parses, or for the scores.
        crew: whom the Java process belongs to.

    Raises:
        InputError: jars are missing, the cache is damaged, or SPICE failed.
    """
    if missing := missing_jars(java_folder):
        names = ", ".join(jar.file_name for jar in missing)
        raise InputError(
            f"SPICE's jars are missing from {java_folder}: {names}. Fetch them first "
            "(captioner.evaluation.java.fetch_spice_jars)."
        )
    captions = dict.fromkeys([*candidates, *(text for of_clip in references for text in of_clip)])
    parses = {} if cache is None else cache.find(captions)
    unparsed = [text for text in captions if text not in parses]
    # Without parsing it runs for two seconds: the second compiler does not pay.
    flags = [] if unparsed else ["-XX:TieredStopAtLevel=1"]
    command = _command(java_folder, folder, threads, memory_mb, flags)
    with JavaProcess("SPICE", command, folder, timeout_s, talks=True, crew=crew) as process:
        _parse(unparsed, parses, cache, process)
        clips = [
            [parses[candidate], [parses[text] for text in of_clip]]
            for candidate, of_clip in zip(candidates, references, strict=True)
        ]
        return [float(f) for f in json.loads(process.ask(json.dumps({"score": clips})))]


def _parse(
    missing: list[str], parses: dict[str, Tuples], cache: ParseCache | None, process: JavaProcess
) -> None:
    """Add the missing captions' parses to `parses` and to the cache."""
    random.Random().shuffle(missing)  # another order in each job, so that jobs share the work
    with Progress(len(missing), "Parsing captions for SPICE", "caption") as progress:
        while missing:
            some, missing = missing[:CAPTIONS_AT_ONCE], missing[CAPTIONS_AT_ONCE:]
            if cache is not None:
                parses |= cache.find(some)
            if new := [text for text in some if text not in parses]:
                answer = json.loads(process.ask(json.dumps({"parse": new})))
                found = dict(zip(new, answer, strict=True))
                parses |= found
                if cache is not None:
                    cache.add(found)
            progress.advance(len(some))


def _command(
    java_folder: Path, folder: Path, threads: int, memory_mb: int, flags: list[str]
) -> list[str]:
    # CoreNLP stands first, as in the manifest of SPICE's jar: others hold classes of its name.
    class_path = [java_folder.resolve() / jar.file_name for jar in SPICE_JARS] + [JAR]
    start_mb = min(START_MEMORY_MB, memory_mb)
    command = java_command(
        memory_mb,
        *flags,
        f"-Xms{start_mb}m",
        f"-Xmn{start_mb * 3 // 4}m",
        # CoreNLP parses with as many threads as it sees processors.
        f"-XX:ActiveProcessorCount={threads}",
        "-XX:+UseParallelGC",
        f"-Djava.io.tmpdir={folder}",
        "-cp",
        os.pathsep.join(map(str, class_path)),
    )
    return [*command, MAIN_CLASS, "-encoding", "UTF-8", str(DRIVER)]
