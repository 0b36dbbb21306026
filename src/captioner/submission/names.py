"""Names of the challenge's files and labels.

Files: `<author>_<institute>_task6_submission_<index>_<output|metadata|report>.<csv|yaml|pdf>`;
labels: `<last name>_<institute>_task6_<index>` (DCASE 2021 Task 6 page).
"""

import re
import unicodedata
from dataclasses import dataclass

EXTENSIONS = {"output": "csv", "metadata": "yaml", "report": "pdf"}
N_SYSTEMS = 4  # that a team may send
LABEL = re.compile(r"([^_\s]+)_([^_\s]+)_task6_([1-4])", re.IGNORECASE)
LABEL_FORM = "<last name>_<institute>_task6_<1-4>"
FILE_FORM = "<author>_<institute>_task6_submission_<1-4>_<output.csv|metadata.yaml|report.pdf>"
_FILE = re.compile(
    r"([^_]+)_([^_]+)_task6_submission_([1-4])_(?:(output)\.csv|(metadata)\.yaml|(report)\.pdf)"
)
# Letters that no decomposition takes apart.
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
)


@dataclass(frozen=True)
class FileName:
    """The parts of a file's name."""

    author: str
    institute: str
    index: int
    kind: str  # of `EXTENSIONS`

    @property
    def team(self) -> str:
        """What the names of all files of a team begin with."""
        return f"{self.author}_{self.institute}"


def file_name(author: str, institute: str, index: int | str, kind: str) -> str:
    """Give the name of a file."""
    return f"{author}_{institute}_task6_submission_{index}_{kind}.{EXTENSIONS[kind]}"


def label(author: str, institute: str, index: int) -> str:
    """Give the label of a submission."""
    return f"{author}_{institute}_task6_{index}"


def parse_file_name(name: str) -> FileName | None:
    """Take a file's name apart; None where it is another's."""
    found = _FILE.fullmatch(name)
    if found is None:
        return None
    author, institute, index, *kinds = found.groups()
    return FileName(author, institute, int(index), next(filter(None, kinds)))


def folded(name: str) -> str:
    """Give a name as file names hold it: a-z and 0-9, without accents; "" if nothing is left."""
    plain = unicodedata.normalize("NFKD", name.lower().translate(_LETTERS))
    return "".join(c for c in plain if c.isascii() and c.isalnum())
