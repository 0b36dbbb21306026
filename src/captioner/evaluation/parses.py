"""SPICE's parses of captions, kept on disk by the caption's text, for many jobs at once."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
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
        for start in range(0, len(asked), ASKED_AT_ONCE):
            some = asked[start : start + ASKED_AT_ONCE]
            marks = ",".join("?" * len(some))
            query = f"SELECT caption, tuples FROM parses WHERE caption IN ({marks})"
            found |= {caption: json.loads(text) for caption, text in self._run(query, some)}
        return found

    def add(self, parses: Mapping[str, Tuples]) -> None:
        """Keep parses; those that another job has added meanwhile stay."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._run("CREATE TABLE IF NOT EXISTS parses (caption TEXT PRIMARY KEY, tuples TEXT)")
        rows = [(caption, json.dumps(tuples)) for caption, tuples in parses.items()]
        self._run("INSERT OR IGNORE INTO parses VALUES (?, ?)", rows, many=True)

    def _run(self, query: str, values: list = [], *, many: bool = False) -> list[tuple[str, str]]:  # noqa: B006
        try:
            with closing(sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S)) as database, database:
                if many:
                    return database.executemany(query, values).fetchall()
                return database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise InputError(
                f"{self.path}: SPICE's kept parses cannot be used ({error}), expected an SQLite "
                "file that can be written. Free the disk, or remove the file: what it had is "
                "parsed again."
            ) from error
