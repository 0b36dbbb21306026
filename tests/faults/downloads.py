"""What the tests of downloads share."""

import hashlib
import random
from pathlib import Path

from captioner.corpus.download.registry import Entry

PAYLOAD = random.Random(0).randbytes(300_000)
NAME = "odd name.v2 [é].7z"


def entry(url, payload=PAYLOAD, md5=None, size_bytes=None, file=NAME, kind="captions"):
    md5 = hashlib.md5(payload, usedforsecurity=False).hexdigest() if md5 is None else md5
    return Entry("development", kind, file, url, md5, size_bytes)


def place(folder: Path, wanted: Entry) -> Path:
    return folder / wanted.key / wanted.file


def part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def put_part(folder: Path, wanted: Entry, content: bytes) -> Path:
    """Leave the beginning of a file, as a killed process does."""
    part = part_of(place(folder, wanted))
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    return part


def assert_only_file(path: Path, payload=PAYLOAD):
    """The file is there, whole, and nothing else is beside it."""
    assert path.read_bytes() == payload
    assert [other.name for other in path.parent.iterdir()] == [path.name]
