"""SPICE's parses of captions, kept on disk by the caption's text, for many jobs at once."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from captioner.errors import InputError

FILE_NAME = "spice-1.0-parses.sqlite"
BUSY_TIMEOUT_S = 60  # how long a job waits while others write; a write takes milliseconds
ASKED_AT_ONCE = 500  # captions; SQLite takes no more than 999 parameters in old versions

Tuples = list[list[str]]  # of one caption: objects, attributes and relations, of 1, 2 and 3 words


class ParseCache:
    """Parses by caption in an SQLite file in `folder`.

    Each call opens the file for itself, so that jobs hold it for milliseconds only.

    Raises:
        InputError: by each method, if the file is damaged or cannot be written.
    """

    def __init__(self, folder: str | Path):
        self.path = Path(folder) / FILE_NAME

    def find(self, captions: Iterable[str]) -> dict[str, Tuples]:
        """Give the parses that are there."""
        asked = list(dict.fromkeys(captions))
        if not self.path.exists():
            return {}
        found: dict[str, Tuples] = {}
        with self._open() as database:
            for start in range(0, len(asked), ASKED_AT_ONCE):
                some = asked[start : start + ASKED_AT_ONCE]
                marks = ",".join("?" * len(some))
                query = f"SELECT caption, tuples FROM parses WHERE caption IN ({marks})"
                rows = database.execute(query, some)
                found |= {caption: json.loads(text) for caption, text in rows}
        return found

    def add(self, parses: Mapping[str, Tuples]) -> None:
        """Keep parses; those that another job has added meanwhile stay."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        rows = [(caption, json.dumps(tuples)) for caption, tuples in parses.items()]
        with self._open() as database:
            database.executemany("INSERT OR IGNORE INTO parses VALUES (?, ?)", rows)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Give the file for one transaction."""
        try:
            with closing(sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S)) as database, database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS parses (caption TEXT PRIMARY KEY, tuples TEXT)"
                )
                yield database
        except sqlite3.Error as error:
            raise InputError(
                f"{self.path}: SPICE's kept parses cannot be used ({error}), expected an SQLite "
                "file that can be written. Free the disk, or remove the file: what it had is "
                "parsed again."
            ) from error
