import hashlib
import random

import pytest

from captioner.corpus.download import part as part_module
from captioner.corpus.download.part import Origin, Part, md5_of

PAYLOAD = random.Random(1).randbytes(5_000_000)
ORIGIN = Origin("https://host/x", '"a"', "Wed, 26 May 2021 10:00:00 GMT", 7)


def md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("there", [0, 1, 3_000_000, len(PAYLOAD)])
def test_md5_of_what_was_there_and_what_came(tmp_path, there):
    path = tmp_path / "x.part"
    path.write_bytes(PAYLOAD[:there])
    generator = random.Random(there)
    with Part(path) as part:
        assert (part.size, part.resumed) == (there, there > 0)
        while part.size < len(PAYLOAD):
            part.append(PAYLOAD[part.size :][: generator.randrange(1, 400_000)])
        assert part.finish() == md5(PAYLOAD)
        part.rename(tmp_path / "x")
    assert md5_of(tmp_path / "x") == md5(PAYLOAD)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_restart_forgets_what_was_there(tmp_path):
    path = tmp_path / "x.part"
    path.write_bytes(PAYLOAD)
    with Part(path) as part:
        part.restart(ORIGIN)
        part.append(b"new")
        assert (part.size, part.resumed) == (3, False)
        assert part.finish() == md5(b"new")
    assert path.read_bytes() == b"new"
    with Part(path) as part:
        assert part.origin == ORIGIN


def test_what_was_appended_is_on_disk_at_once(tmp_path):
    with Part(tmp_path / "x.part") as part:
        part.append(b"some")
        assert part.path.read_bytes() == b"some"


def test_short_writes_are_gone_on_with(tmp_path, monkeypatch):
    with Part(tmp_path / "x.part") as part:
        write = part._file.write

        class Short:
            def write(self, data):
                return write(data[:7])

            def __getattr__(self, name):
                return getattr(real, name)

        real, part._file = part._file, Short()
        part.append(PAYLOAD[:1000])
        part._file = real
        assert part.finish() == md5(PAYLOAD[:1000])


def test_an_empty_part_leaves_nothing(tmp_path):
    with Part(tmp_path / "x.part") as part:
        part.restart(ORIGIN)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": 1}'])
def test_a_damaged_note_is_none(tmp_path, text):
    (tmp_path / "x.part").write_bytes(b"some")
    (tmp_path / "x.part.json").write_text(text)
    with Part(tmp_path / "x.part") as part:
        assert part.origin is None


def test_an_error_of_the_digest_is_raised(tmp_path, monkeypatch):
    monkeypatch.setattr(part_module, "CHUNK_BYTES", 10)
    (tmp_path / "x.part").write_bytes(b"some")
    part = Part(tmp_path / "x.part")
    part._digest.result()
    part._digest = part_module._Follower(tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        part.finish()


def test_what_contradicts():
    assert not ORIGIN.contradicts(ORIGIN)
    assert ORIGIN.contradicts(Origin("https://other/x", None, None, 8))
    assert ORIGIN.contradicts(Origin(ORIGIN.url, '"b"', ORIGIN.last_modified, 7))
    assert ORIGIN.contradicts(Origin(ORIGIN.url, '"a"', "another day", 7))
    assert not ORIGIN.contradicts(Origin("https://other/x", '"b"', "another day", 7))
    assert not ORIGIN.contradicts(Origin(ORIGIN.url, None, None, None))


def test_the_validator_is_strong():
    assert ORIGIN.validator == '"a"'
    assert Origin("u", 'W/"a"', "day", 7).validator == "day"
    assert Origin("u", None, None, 7).validator is None
