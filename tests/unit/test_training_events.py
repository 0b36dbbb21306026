import pytest
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event

from captioner.training import events
from captioner.training.events import NAME, read_events, write_events

ROWS = [
    {"epoch": epoch, "training_loss": 3.1 / epoch, "validation_loss": None, "seconds": 2 * epoch}
    for epoch in range(1, 6)
]


def points(folder):
    return [(step, values["seconds"]) for step, values in read_events(folder / NAME) if values]


def expected(rows):
    return [(row["epoch"], row["seconds"]) for row in rows]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "a folder"


def test_the_bytes_are_those_of_tensorboardx(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1e9)
    write_events(folder, ROWS[:2])
    theirs = EventsWriter(str(tmp_path / "theirs"))
    for row in ROWS[:2]:
        values = [{"tag": tag, "simple_value": row[tag]} for tag in ("training_loss", "seconds")]
        theirs.write_event(Event(wall_time=1e9, step=row["epoch"], summary={"value": values}))
    theirs.close()
    (file,) = tmp_path.glob("theirs*")
    assert (folder / NAME).read_bytes() == file.read_bytes()


def test_rows_are_appended_and_what_stands_is_left(folder):
    write_events(folder, [])
    for n in range(1, 6):
        before = (folder / NAME).read_bytes()
        write_events(folder, ROWS[:n])
        assert (folder / NAME).read_bytes().startswith(before)
        assert points(folder) == expected(ROWS[:n])
    after = (folder / NAME).read_bytes()
    write_events(folder, ROWS)
    assert (folder / NAME).read_bytes() == after


def test_a_resumed_training_has_no_point_twice(folder):
    """Killed at any byte of the file, before and after the rows that its state knows."""
    write_events(folder, ROWS[:3])
    content = (folder / NAME).read_bytes()
    for length in range(len(content) + 1):
        for n_known in (2, 3, 4):
            (folder / NAME).write_bytes(content[:length])
            write_events(folder, ROWS[:n_known])
            assert points(folder) == expected(ROWS[:n_known])


def test_a_training_that_began_anew_leaves_no_old_points(folder):
    write_events(folder, ROWS)
    other = [row | {"training_loss": 9.0} for row in ROWS]
    write_events(folder, other[:2])
    assert points(folder) == expected(other[:2])
    assert {values.get("training_loss") for _, values in read_events(folder / NAME)} == {None, 9.0}
    write_events(folder, [])
    assert points(folder) == []


def test_damaged_content_is_written_again(folder):
    write_events(folder, ROWS[:3])
    content = bytearray((folder / NAME).read_bytes())
    content[-20] ^= 1
    (folder / NAME).write_bytes(content)
    assert len(points(folder)) == 2
    write_events(folder, ROWS[:3])
    assert points(folder) == expected(ROWS[:3])
    (folder / NAME).write_bytes(b"no events at all, but a text")
    write_events(folder, ROWS[:3])
    assert points(folder) == expected(ROWS[:3])


def test_tensorboard_would_find_the_file():
    assert "tfevents" in events.NAME
