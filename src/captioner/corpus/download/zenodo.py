"""What Zenodo's record API says of a published file, and the pin that keeps it."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from captioner.corpus.download.transfer import (
    ATTEMPTS,
    TransientError,
    UnavailableError,
    get,
    persist,
)
from captioner.errors import InputError
from captioner.job import write_json

API = "https://zenodo.org/api/records"


@dataclass(frozen=True)
class Pin:
    """Size and md5 of a file as its record stated them on the day it was first asked."""

    record: str
    file: str
    size_bytes: int
    md5: str
    asked: str  # date, UTC

    def agrees(self, other: "Pin") -> bool:
        """Tell whether both describe the same content."""
        return (self.size_bytes, self.md5) == (other.size_bytes, other.md5)


def ask_record(record: str, file: str, api: str = API, attempts: int = ATTEMPTS) -> Pin:
    """Ask for size and md5 of one file of a record.

    Raises `UnavailableError` if there is no (usable) answer, or the record has no such file.
    """
    url = f"{api}/{record}"
    with requests.Session() as session:
        answer = persist(lambda: _read_json(session, url), url, attempts=attempts)
    files = answer.get("files") if isinstance(answer, dict) else None
    found = [item for item in _items(files) if item.get("key") == file]
    if not found:
        names = ", ".join(sorted(str(item.get("key")) for item in _items(files))) or "none"
        raise UnavailableError(f"{url} lists no file {file!r}, only: {names}")
    md5 = re.fullmatch("md5:([0-9a-f]{32})", str(found[0].get("checksum")))
    size = found[0].get("size")
    if not md5 or not isinstance(size, int):
        raise UnavailableError(f"{url} states no size and md5 of {file}: {found[0]}")
    return Pin(record, file, size, md5[1], datetime.now(UTC).date().isoformat())


def pin_path(download: Path) -> Path:
    """Give the path of the pin beside a download."""
    return download.with_name(download.name + ".pin.json")


def read_pin(download: Path) -> Pin | None:
    """Read the pin beside a download, if there is one."""
    path = pin_path(download)
    try:
        return Pin(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path} is no pin ({error}); expected JSON with record, file, size_bytes, md5, asked: "
            "delete it, and Zenodo is asked again"
        ) from None


def write_pin(download: Path, pin: Pin) -> None:
    """Write the pin beside a download."""
    write_json(pin_path(download), asdict(pin))


def _read_json(session: requests.Session, url: str) -> Any:
    with get(session, url, {"Accept": "application/json"}) as response:
        try:
            return response.json()
        except requests.exceptions.JSONDecodeError:
            raise UnavailableError(f"{url} gave no JSON") from None
        except requests.RequestException as error:
            raise TransientError(f"the connection broke off or stalled ({error})") from error


def _items(files: Any) -> Iterable[dict[str, Any]]:
    """Give the files of either form: a list, or InvenioRDM's mapping under `entries`."""
    if isinstance(files, dict):
        entries = files.get("entries", {})
        files = list(entries.values()) if isinstance(entries, dict) else entries
    return [item for item in files or () if isinstance(item, dict)]
