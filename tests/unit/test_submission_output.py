"""The challenge's output CSV: every test clip once, in order, lower case, no punctuation."""

import logging

import pytest

from captioner.decoding.captions import write_plain_captions
from captioner.errors import InputError
from captioner.submission.output import write_output

CAPTIONS = {
    "b.2.wav": "A Dog barks, twice!",
    "b.1.wav": "rain falls on a walkie-talkie",
    'été "x", (1).wav': "wind",
}


@pytest.fixture
def captions(tmp_path):
    write_plain_captions(tmp_path / "test.csv", tmp_path / "test.parquet", CAPTIONS)
    return tmp_path / "test.csv"


def test_the_file_is_exactly_this(captions, tmp_path):
    write_output(captions, sorted(CAPTIONS), tmp_path / "out" / "output.csv")
    assert (tmp_path / "out" / "output.csv").read_bytes().decode("utf-8").splitlines() == [
        "file_name,caption_predicted",
        "b.1.wav,rain falls on a walkietalkie",
        "b.2.wav,a dog barks twice",
        '"été ""x"", (1).wav",wind',
    ]


@pytest.mark.parametrize(
    ("file_names", "message"),
    [
        ([*CAPTIONS, "b.3.wav"], r"found no caption for the test clip 'b\.3\.wav'"),
        (list(CAPTIONS)[1:], r"found a caption for 'b\.2\.wav', which is no test clip"),
        ([*CAPTIONS, "b.2.wav"], r"test clips: found 'b\.2\.wav' twice"),
    ],
)
def test_a_clip_missing_extra_or_repeated_is_named(captions, tmp_path, file_names, message):
    with pytest.raises(InputError, match=message):
        write_output(captions, file_names, tmp_path / "output.csv")
    assert not (tmp_path / "output.csv").exists()


def test_an_empty_caption_is_written_with_a_warning(tmp_path, caplog):
    captions = {"a.wav": "...", "b.wav": "rain"}
    write_plain_captions(tmp_path / "test.csv", tmp_path / "test.parquet", captions)
    with caplog.at_level(logging.WARNING):
        write_output(tmp_path / "test.csv", captions, tmp_path / "output.csv")
    assert "1 empty captions, the first for 'a.wav'" in caplog.text
    assert "a.wav,\r\n" in (tmp_path / "output.csv").read_bytes().decode()
