"""CIDEr-D against references that stay, by the official tool."""

import csv

import numpy as np
import pytest

from captioner.evaluation.cider import CiderD
from captioner.evaluation.metrics import cider
from captioner.evaluation.tokenizer import tokenize_all


def assert_official(candidates, references):
    scorer = CiderD(references)
    found = scorer.scores(range(len(candidates)), candidates)
    corpus, per_clip = cider(candidates, references)
    np.testing.assert_allclose(found, per_clip, rtol=0, atol=1e-10)
    assert found.mean() == pytest.approx(corpus, abs=1e-10)
    return scorer, found


@pytest.mark.parametrize("n_words", [2, 6, 60])
def test_random_captions_score_as_by_the_official_tool(n_words):
    """Few words: n-grams that repeat within a caption and stand in every clip's references."""
    generator = np.random.default_rng(n_words)

    def caption(least):
        length = generator.integers(least, 14)
        return " ".join(f"w{word}" for word in generator.integers(n_words, size=length))

    references = [[caption(1) for _ in range(generator.integers(1, 6))] for _ in range(40)]
    candidates = [caption(0) for _ in references]
    candidates[3] = references[3][0]
    candidates[4] = "never said by anyone"
    candidates[5] = ""
    _, found = assert_official(candidates, references)
    assert found[5] == 0
    assert found.max() > 0.5


def test_one_clip_has_no_idf():
    _, found = assert_official(["a dog barks"], [["a dog barks", "a dog"]])
    assert found == [0.0]


def test_frequencies_are_those_of_the_corpus_whatever_is_scored():
    references = [["a dog barks loudly", "dog"], ["rain falls on a roof"], ["a car passes by"]]
    candidates = ["a dog barks at a car", "rain on a roof", "a car passes"]
    scorer, whole = assert_official(candidates, references)
    assert scorer.scores([2, 0, 2], [candidates[2], candidates[0], candidates[2]]).tolist() == [
        whole[2],
        whole[0],
        whole[2],
    ]


def test_clothos_captions_score_as_by_the_official_tool(shared_data, tmp_path):
    """Each clip's candidate: half a caption of its own and half of another clip's."""
    path = shared_data / "clotho_captions_evaluation.csv"
    with path.open(encoding="utf-8", newline="") as file:
        texts = [[row[f"caption_{k}"] for k in range(1, 6)] for row in csv.DictReader(file)]
    (flat,) = tokenize_all([[text for of_clip in texts for text in of_clip]], tmp_path, 100)
    references = [flat[start : start + 5] for start in range(0, len(flat), 5)]
    generator = np.random.default_rng(0)
    candidates = []
    for of_clip, of_other in zip(references, references[1:] + references[:1], strict=True):
        own, other = (str(generator.choice(each)).split() for each in (of_clip, of_other))
        candidates.append(" ".join(own[: generator.integers(2, 12)] + other[-4:]))
    _, found = assert_official(candidates, references)
    assert len(found) == 1045
    assert found.std() > 0.1
