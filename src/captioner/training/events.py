"""TensorBoard's event files: the history of a training as curves, one point per epoch."""

import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

NAME = "events.out.tfevents.history"  # TensorBoard reads files with `tfevents` in their name
HEADER = struct.Struct("<QI")  # length of the data, its checksum; data and their checksum follow
CHECKSUM = struct.Struct("<I")


def write_events(folder: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Let the event file in `folder` hold the rows of a history, an event each.

    Events that agree with the rows stay, so that a reader who follows the file goes on; what comes
    behind them (half an event, epochs of a training that began anew) is cut off, and the rows that
    are not there yet are appended. So no epoch has two points, however often a training resumed.
    """
    path = Path(folder) / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with path.open("rb+") as file:
        content = file.read()
        end, n_kept = _agreeing(content, rows)
        file.truncate(end)
        file.seek(end)
        if end == 0:
            file.write(_record({"file_version": "brain.Event:2"}))
        for row in rows[n_kept:]:
            values = [{"tag": tag, "simple_value": value} for tag, value in _points(row).items()]
            file.write(_record({"step": row["epoch"], "summary": {"value": values}}))


def read_events(path: str | Path) -> list[tuple[int, dict[str, float]]]:
    """Give the step and the values by tag of every whole event in a file."""
    return [found for _, found in _events(Path(path).read_bytes())]


def _agreeing(content: bytes, rows: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Give where the events that agree with the rows end, and how many they are."""
    expected = [None, *((row["epoch"], _points(row)) for row in rows)]  # first the file's version
    end, n_kept = 0, 0
    for (after, found), row in zip(_events(content), expected, strict=False):
        if row not in (None, found):
            break
        end, n_kept = after, n_kept + 1
    return end, max(n_kept - 1, 0)


def _points(row: Mapping[str, Any]) -> dict[str, float]:
    """Give the figures of a row as they are stored: in single precision."""
    return {
        name: float(np.float32(value))
        for name, value in row.items()
        if name != "epoch" and value is not None
    }


def _events(content: bytes) -> Iterator[tuple[int, tuple[int, dict[str, float]]]]:
    """Yield where each whole event ends, its step and its values."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    start = 0
    while start + HEADER.size <= len(content):
        length, _ = HEADER.unpack_from(content, start)
        end = start + HEADER.size + length + CHECKSUM.size
        data, checksum = content[start + HEADER.size : end - CHECKSUM.size], content[:end][-4:]
        if end > len(content) or CHECKSUM.pack(masked_crc32c(data)) != checksum:
            return
        event = Event.FromString(data)
        yield end, (event.step, {each.tag: each.simple_value for each in event.summary.value})
        start = end


def _record(event: Mapping[str, Any]) -> bytes:
    """Give an event as a record with checksums, in the form of TFRecord files."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    data: bytes = Event(wall_time=time.time(), **event).SerializeToString()
    length = struct.pack("<Q", len(data))
    return length + CHECKSUM.pack(masked_crc32c(length)) + data + CHECKSUM.pack(masked_crc32c(data))
