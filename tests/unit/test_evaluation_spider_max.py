"""SPIDEr-max against its definition: each clip's best over single scorings of every rank."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from captioner.errors import InputError
from captioner.evaluation import spider_max as module
from captioner.evaluation.metrics import cider
from captioner.evaluation.spider_max import read_n_best, spider_max

REFERENCES = {
    "x.wav": ["a dog barks", "the dog is barking"],
    "y.wav": ["rain falls on a roof"],
    "z.wav": ["a car passes by", "cars pass"],
}
HYPOTHESES = {
    "x.wav": ["rain", "a dog barks", "a cat"],
    "y.wav": ["rain falls on a roof", "a car"],
    "z.wav": ["a bird", "birds", "a car passes by"],
}


@pytest.fixture
def without_java(monkeypatch):
    """Tokens are words; SPICE is the share of the candidate's words in the first reference."""

    def tokenize_clips(predictions, references, scratch, timeout_s):
        return [predictions[name] for name in references], list(references.values())

    def spice_scores(candidates, references, folder, **settings):
        return [
            len({*candidate.split()} & {*of_clip[0].split()}) / max(1, len(candidate.split()))
            for candidate, of_clip in zip(candidates, references, strict=True)
        ]

    monkeypatch.setattr(module, "tokenize_clips", tokenize_clips)
    monkeypatch.setattr(module, "spice_scores", spice_scores)
    return spice_scores


def test_the_best_of_each_clip(without_java, tmp_path):
    found = spider_max(HYPOTHESES, REFERENCES, java_folder=tmp_path)
    by_rank = []
    for rank in range(3):
        candidates = [of_clip[min(rank, len(of_clip) - 1)] for of_clip in HYPOTHESES.values()]
        references = list(REFERENCES.values())
        spice = without_java(candidates, references, tmp_path)
        by_rank.append((np.array(cider(candidates, references)[1]) + spice) / 2)
    assert list(found.per_clip.values()) == np.max(by_rank, axis=0).tolist()
    assert found.corpus == np.max(by_rank, axis=0).mean()
    assert found.best_rank == {"x.wav": 1, "y.wav": 0, "z.wav": 2}
    assert found.corpus > by_rank[0].mean()


def test_of_one_caption_it_is_spider(without_java, tmp_path):
    one = {name: of_clip[:1] for name, of_clip in HYPOTHESES.items()}
    found = spider_max(one, REFERENCES, java_folder=tmp_path)
    candidates, references = [of_clip[0] for of_clip in one.values()], list(REFERENCES.values())
    spice = without_java(candidates, references, tmp_path)
    expected = (np.array(cider(candidates, references)[1]) + spice) / 2
    assert list(found.per_clip.values()) == expected.tolist()


@pytest.mark.parametrize(
    ("hypotheses", "message"),
    [
        ({name: HYPOTHESES[name] for name in ["x.wav", "y.wav"]}, r"without prediction: 'z\.wav'"),
        (HYPOTHESES | {"y.wav": []}, r"found none: \['y\.wav'\]"),
    ],
)
def test_clips_that_do_not_fit(without_java, tmp_path, hypotheses, message):
    with pytest.raises(InputError, match=message):
        spider_max(hypotheses, REFERENCES, java_folder=tmp_path)


def test_n_best_as_decoding_writes_them(tmp_path):
    rows = [
        {"file_name": name, "rank": rank, "caption": caption, "score": -1.0}
        for rank in (2, 0, 1)
        for name, of_clip in HYPOTHESES.items()
        for caption in of_clip[rank : rank + 1]
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "n.parquet")
    assert read_n_best(tmp_path / "n.parquet") == HYPOTHESES


@pytest.mark.parametrize(
    "write",
    [
        None,
        lambda path: path.write_text("x"),
        lambda path: pq.write_table(pa.table({"a": [1]}), path),
    ],
)
def test_a_file_that_is_no_n_best(tmp_path, write):
    path = tmp_path / "n.parquet"
    if write:
        write(path)
    with pytest.raises(InputError, match="columns file_name, rank, caption"):
        read_n_best(path)
