"""Captions on disk: keys that survive, order, n-best, bad files."""

import csv

import pyarrow.parquet as pq
import pytest
from small_models import VOCABULARY_SETTINGS, WORDS

from captioner.decoding.captions import read_captions, write_captions, write_plain_captions
from captioner.decoding.options import Hypothesis
from captioner.errors import InputError
from captioner.text.vocabulary import build_vocabulary

ODD_NAMES = [
    "z last.wav",
    "a.b.one.wav",
    "a.b.two.wav",  # differs only after the first dot
    "a, comma.wav",
    'say "hello".wav',
    "Bus(Drive_Reverse)[1]_1-2.wav",
    "Übergang – été 雨.wav",
    "it's; a 'quote'.wav",
    " leading and trailing .wav ",
    "line\nbreak\r\nand\rreturn\ttab.wav",
    "=SUM(A1).wav",
    "01 A pug struggles to breathe 1_14_2008.wav",
]


@pytest.fixture(scope="module")
def vocabulary():
    return build_vocabulary([WORDS, WORDS], VOCABULARY_SETTINGS, ["toy"])


@pytest.fixture
def paths(tmp_path):
    return tmp_path / "captions" / "evaluation.csv", tmp_path / "captions" / "evaluation.parquet"


def test_captions_keep_their_file_names_and_order(paths, vocabulary):
    hypotheses = {}
    expected = {}
    for number, name in enumerate(ODD_NAMES):
        tokens = [3 + number, 4 + number % 3, vocabulary.unk + 1]
        hypotheses[name] = [Hypothesis(tokens, -0.5), Hypothesis([5, 6], -0.75 - number)]
        expected[name] = " ".join(vocabulary.tokens[token] for token in tokens)
    write_captions(*paths, vocabulary, hypotheses)

    assert list(read_captions(paths[0]).items()) == list(expected.items())
    with paths[0].open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))
    assert rows == [["file_name", "caption_predicted"], *map(list, expected.items())]

    n_best = pq.read_table(paths[1])
    assert n_best.schema.names == ["file_name", "rank", "caption", "score"]
    assert [str(kind) for kind in n_best.schema.types] == ["string", "int32", "string", "double"]
    rows = n_best.to_pylist()
    assert [row["file_name"] for row in rows] == [name for name in ODD_NAMES for _ in range(2)]
    assert [row["rank"] for row in rows] == [0, 1] * len(ODD_NAMES)
    assert [row["caption"] for row in rows[::2]] == list(expected.values())
    assert [row["score"] for row in rows[1::2]] == [-0.75 - n for n in range(len(ODD_NAMES))]
    assert {path.name for path in paths[0].parent.iterdir()} == {path.name for path in paths}


def test_a_clip_without_hypotheses_has_an_empty_caption(paths, vocabulary):
    write_captions(*paths, vocabulary, {"a.wav": [], "b.wav": [Hypothesis([], -1.0)]})
    assert read_captions(paths[0]) == {"a.wav": "", "b.wav": ""}
    assert [row["file_name"] for row in pq.read_table(paths[1]).to_pylist()] == ["b.wav"]


def test_plain_captions_have_rank_0_and_no_score(paths):
    captions = {name: f"caption {n}" for n, name in enumerate(ODD_NAMES)}
    write_plain_captions(*paths, captions)
    assert list(read_captions(paths[0]).items()) == list(captions.items())
    rows = pq.read_table(paths[1]).to_pylist()
    assert {row["rank"] for row in rows} == {0}
    assert {row["score"] for row in rows} == {None}
    assert {row["file_name"]: row["caption"] for row in rows} == captions


def test_a_split_without_clips(paths, vocabulary):
    write_captions(*paths, vocabulary, {})
    assert read_captions(paths[0]) == {}
    assert len(pq.read_table(paths[1])) == 0


def test_other_peoples_csv(tmp_path):
    path = tmp_path / "theirs.csv"
    path.write_bytes(b'\xef\xbb\xbffile_name,caption_predicted\n"a, b.wav",rain\n\nc.wav,a dog\n')
    assert read_captions(path) == {"a, b.wav": "rain", "c.wav": "a dog"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file_name,caption\na.wav,b\n", "found the columns file_name,caption, expected"),
        (b"", r"found the columns \(none\), expected file_name,caption_predicted"),
        (b"file_name,caption_predicted\na.wav,b\nc.wav\n", "line 3: found 1 fields, expected 2"),
        (b"file_name,caption_predicted\na.wav,b, c\n", "line 2: found 3 fields, expected 2"),
        (
            b"file_name,caption_predicted\na.b.wav,b\nc.wav,d\na.b.wav,e\n",
            r"line 4: found 'a\.b\.wav' a second time, expected every file once",
        ),
        ("file_name,caption_predicted\né.wav,b\n".encode("latin-1"), "expected a CSV in UTF-8"),
    ],
)
def test_a_bad_file_is_explained(tmp_path, content, message):
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_captions(path)
    assert "mine.csv" in str(error.value)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.csv: .*No such file"):
        read_captions(tmp_path / "absent.csv")
