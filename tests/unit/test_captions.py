"""Captions on disk: keys that survive, order, n-best."""

import csv

import pyarrow.parquet as pq
import pytest

from captioner.decoding.captions import write_captions, write_plain_captions
from captioner.decoding.options import Hypothesis
from captioner.evaluation.tables import read_predictions
from captioner.text.vocabulary import build_vocabulary
from small_models import VOCABULARY_SETTINGS, WORDS

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

    assert list(read_predictions(paths[0]).items()) == list(expected.items())
    with paths[0].open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))
    assert rows == [["file_name", "caption_predicted"], *map(list, expected.items())]

    n_best = pq.read_table(paths[1])
    assert n_best.schema.names == ["file_name", "rank", "caption", "score", "expected_cider_d"]
    kinds = ["string", "int32", "string", "double", "double"]
    assert [str(kind) for kind in n_best.schema.types] == kinds
    rows = n_best.to_pylist()
    assert [row["file_name"] for row in rows] == [name for name in ODD_NAMES for _ in range(2)]
    assert [row["rank"] for row in rows] == [0, 1] * len(ODD_NAMES)
    assert [row["caption"] for row in rows[::2]] == list(expected.values())
    assert [row["score"] for row in rows[1::2]] == [-0.75 - n for n in range(len(ODD_NAMES))]
    assert {path.name for path in paths[0].parent.iterdir()} == {path.name for path in paths}


def test_a_clip_without_hypotheses_has_an_empty_caption(paths, vocabulary):
    write_captions(*paths, vocabulary, {"a.wav": [], "b.wav": [Hypothesis([], -1.0)]})
    assert read_predictions(paths[0]) == {"a.wav": "", "b.wav": ""}
    assert [row["file_name"] for row in pq.read_table(paths[1]).to_pylist()] == ["b.wav"]


def test_plain_captions_have_rank_0_and_no_score(paths):
    captions = {name: f"caption {n}" for n, name in enumerate(ODD_NAMES)}
    write_plain_captions(*paths, captions)
    assert list(read_predictions(paths[0]).items()) == list(captions.items())
    rows = pq.read_table(paths[1]).to_pylist()
    assert {row["rank"] for row in rows} == {0}
    assert {row["score"] for row in rows} == {None}
    assert {row["file_name"]: row["caption"] for row in rows} == captions


def test_a_split_without_clips(paths, vocabulary):
    write_captions(*paths, vocabulary, {})
    assert read_predictions(paths[0]) == {}
    assert len(pq.read_table(paths[1])) == 0
