"""Resampled corpus scores: the official tools on the very same samples, and plain statistics."""

import json
import subprocess
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.stats
from clip_tables import MEANS, official_bleu, scored_table, sentences
from pycocoevalcap.meteor import meteor

from captioner.errors import InputError
from captioner.evaluation import bootstrap
from captioner.evaluation.aggregation import addable_meteor, bleu_of_sums, meteor_of_sums
from captioner.evaluation.bootstrap import (
    draw_weights,
    interval,
    intervals,
    over_seeds,
    resample,
    summarise_seeds,
)
from captioner.evaluation.clip_scores import clip_scores_of, find_per_clip, pool, read_clip_scores
from captioner.evaluation.java import java_command

N_CLIPS = 40
RELATIVE = 1e-13  # sums in another order, and another `pow`: the last digits of a double


@pytest.fixture(scope="module")
def captions():
    flat = sentences(4 * N_CLIPS, 1)
    candidates = flat[:N_CLIPS]
    references = [flat[i : i + 3] for i in range(N_CLIPS + 2, 4 * N_CLIPS - 3, 3)]
    candidates[2] = references[2][0]  # as a reference, word for word: METEOR sums it in its own way
    candidates[3] = references[3][1]
    return candidates[: len(references)], references


@pytest.fixture(scope="module")
def scores(captions):
    return clip_scores_of(scored_table(*captions))


def literal(weights, items):
    """The items of a resample, written out."""
    return [item for item, times in zip(items, weights, strict=True) for _ in range(int(times))]


def samples(n_clips):
    """Every clip once, five resamples, and one clip alone many times."""
    drawn = next(draw_weights(n_clips, 5, seed=3))
    return [np.ones(n_clips), *drawn, *(n_clips * np.eye(n_clips)[:4])]


def test_bleu_of_a_sample_is_that_of_the_official_tool(captions, scores):
    for weights in samples(len(scores)):
        official, _ = official_bleu(*(literal(weights, side) for side in captions))
        found = bleu_of_sums((weights @ scores.bleu)[None])[0]
        np.testing.assert_allclose(found, official, rtol=RELATIVE, atol=1e-30)


class Meteor:
    """The official jar, spoken to as `pycocoevalcap` does."""

    def __init__(self):
        jar = Path(meteor.__file__).with_name(meteor.METEOR_JAR)
        # Where its table is, it finds for itself unless its path has a space.
        table = ["-a", str(jar.parent / "data" / "paraphrase-en.gz")]
        options = ["-jar", str(jar), "-", "-", "-stdio", "-l", "en", "-norm", *table]
        self.process = subprocess.Popen(
            [*java_command(2048, "-XX:+UseSerialGC"), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, *parts):
        self.process.stdin.write(" ||| ".join(parts) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def evaluate(self, segments):
        """Each segment's score, and the corpus's."""
        first = self.ask("EVAL", *(" ".join(map(str, row)) for row in segments))
        answers = [first, *(self.process.stdout.readline() for _ in segments)]
        *per_clip, corpus = map(float, answers)
        return per_clip, corpus


@pytest.fixture(scope="module")
def official_meteor():
    tool = Meteor()
    yield tool
    tool.process.kill()
    tool.process.communicate()


def test_meteor_of_a_sample_is_that_of_the_official_tool(captions, official_meteor):
    """Each sample's segments go through the jar's own EVAL."""
    rows = [
        list(map(float, official_meteor.ask("SCORE", *of_clip, candidate).split()))
        for candidate, of_clip in zip(*captions, strict=True)
    ]
    statistics = np.array(rows)
    added = addable_meteor(statistics)
    assert (added != statistics).any(), "no segment like its reference: not all is tested"
    per_clip, corpus = official_meteor.evaluate(rows)
    table = scored_table(*captions).drop_columns(["meteor_statistics"])
    table = table.append_column("meteor_statistics", pa.array(rows))
    assert clip_scores_of(table).corpus()["meteor"] == pytest.approx(corpus, rel=RELATIVE)
    assert per_clip[0] == 0  # the empty candidate
    np.testing.assert_allclose(meteor_of_sums(added), per_clip, rtol=RELATIVE)
    for weights in samples(len(rows)):
        _, official = official_meteor.evaluate(literal(weights, rows))
        found = meteor_of_sums((weights @ added)[None])[0]
        assert found == pytest.approx(official, rel=RELATIVE)


def test_other_metrics_are_means_of_the_clips(scores):
    for weights in samples(len(scores)):
        found = scores.corpus_values((weights @ scores.statistics)[None])
        for metric in MEANS:
            mean = np.mean(literal(weights, scores.values[metric]))
            assert found[metric][0] == pytest.approx(mean, rel=RELATIVE)


def test_every_clip_once_is_the_corpus(captions, scores):
    official, _ = official_bleu(*captions)
    corpus = scores.corpus()
    assert list(corpus) == [*(f"bleu_{n}" for n in range(1, 5)), "rouge_l", "meteor", "cider",
                            "spice", "spider"]  # fmt: skip
    assert [corpus[f"bleu_{n}"] for n in range(1, 5)] == pytest.approx(official, rel=RELATIVE)
    assert corpus["spider"] == pytest.approx((corpus["cider"] + corpus["spice"]) / 2, rel=RELATIVE)


def test_intervals_are_percentiles_of_resampled_scores(captions):
    table = scored_table(*captions)
    found = intervals(table, resamples=200, seed=7)
    json.dumps(found, allow_nan=False)
    assert {k: found[k] for k in ("confidence", "resamples", "resampling_seed")} == {
        "confidence": 0.95,
        "resamples": 200,
        "resampling_seed": 7,
    }
    assert "CIDEr's idf is kept from the full set" in found["interval_method"]
    cider = np.array(table.column("cider"))
    weights = np.concatenate(list(draw_weights(len(cider), 200, 7)))
    means = [np.mean(literal(row, cider)) for row in weights]
    assert found["intervals"]["cider"] == pytest.approx(list(np.percentile(means, [2.5, 97.5])))
    bleu = [official_bleu(*(literal(row, side) for side in captions))[0][1] for row in weights]
    assert found["intervals"]["bleu_2"] == pytest.approx(list(np.percentile(bleu, [2.5, 97.5])))


def test_weights_are_draws_with_replacement():
    weights = np.concatenate(list(draw_weights(50, 4000, 0)))
    assert weights.shape == (4000, 50)
    assert (weights.sum(axis=1) == 50).all()
    assert weights.mean(axis=0) == pytest.approx(1, abs=0.1)
    # Multinomial: variance 1 - 1/n of a clip's count, covariance -1/n of two.
    assert weights.var(axis=0).mean() == pytest.approx(0.98, abs=0.02)
    assert np.cov(weights[:, 0], weights[:, 1])[0, 1] == pytest.approx(-0.02, abs=0.05)


def test_draws_depend_on_the_seed_and_not_on_the_memory(monkeypatch):
    (whole,) = draw_weights(11, 9, 5)
    monkeypatch.setattr(bootstrap, "BLOCK_ENTRIES", 25)
    blocks = list(draw_weights(11, 9, 5))
    assert [len(block) for block in blocks] == [2, 2, 2, 2, 1]
    assert (np.concatenate(blocks) == whole).all()
    assert (np.concatenate(list(draw_weights(11, 9, 6))) != whole).any()


def test_an_interval_holds_the_truth_about_as_often_as_it_says(captions):
    """Means of 60 clips from a known distribution: 95 % of the intervals hold its mean."""
    rng = np.random.default_rng(0)
    table = scored_table(*(side[:20] * 3 for side in captions), names=[f"{i}" for i in range(60)])
    held = 0
    for trial in range(300):
        spice = rng.gamma(2, 0.1, 60)  # mean .2, skewed as scores are
        column = table.column_names.index("spice")
        changed = table.set_column(column, "spice", pa.array(spice))
        low, high = interval(resample(clip_scores_of(changed), 300, trial)["spice"])
        held += low <= 0.2 <= high
    assert 0.90 <= held / 300 <= 0.98  # the percentile interval is a little short for 60 clips


def test_one_clip_has_no_width(captions):
    table = scored_table(*captions).slice(5, 1)
    for low, high in intervals(table, resamples=50)["intervals"].values():
        assert low == pytest.approx(high)


def test_the_whole_of_clotho_evaluation_takes_a_moment(captions):
    n = 1045
    table = scored_table(*([*side * 30][:n] for side in captions))
    start = time.process_time()
    intervals(table, resamples=1000)
    assert time.process_time() - start < 5  # about 0.3 s; the goal of all metrics is 10 s


def test_more_metrics_are_means_too(captions):
    table = scored_table(*captions)
    values = np.linspace(0, 1, table.num_rows)
    found = clip_scores_of(table.append_column("fense", pa.array(values))).corpus()
    assert found["fense"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.drop_columns(["meteor_statistics"]), "found no column meteor_statistics"),
        (lambda t: t.slice(0, 0), "found no clip"),
        (lambda t: pa.concat_tables([t, t]), "stands twice"),
        (
            lambda t: t.set_column(1, "bleu_1", pa.array([float("nan")] * t.num_rows)),
            "found no number somewhere in bleu_1",
        ),
        (
            lambda t: t.set_column(1, "bleu_1", pa.array([None] * t.num_rows, pa.float64())),
            "found no number somewhere in bleu_1",
        ),
        (
            lambda t: t.drop_columns(["bleu_statistics"]).append_column(
                "bleu_statistics", pa.array([[1, 2]] * t.num_rows)
            ),
            r"found lists of \[2\] numbers in bleu_statistics, expected 10",
        ),
    ],
)
def test_another_table_is_refused(captions, change, told):
    with pytest.raises(InputError, match=told):
        intervals(change(scored_table(*captions)))


def test_scores_are_found_by_parquet_json_or_folder(captions, tmp_path):
    system = tmp_path / "seed1"
    folder = system / "scores" / "beam3"
    folder.mkdir(parents=True)
    (system / "captions").mkdir()
    pq.write_table(pa.table({"a": [1]}), system / "captions" / "n-best.parquet")
    parquet = folder / "evaluation.parquet"
    table = scored_table(*captions)
    pq.write_table(table, parquet)
    for path in (parquet, parquet.with_suffix(".json"), folder, system, tmp_path):
        assert find_per_clip(path) == parquet
    assert read_clip_scores(folder).corpus() == clip_scores_of(table).corpus()
    pq.write_table(table, folder / "validation.parquet")
    with pytest.raises(
        InputError, match=r"found 2 per-clip tables .*evaluation\.parquet.*expected one"
    ):
        find_per_clip(system)
    empty = tmp_path / "nothing"
    empty.mkdir()
    with pytest.raises(InputError, match="found 0 per-clip tables"):
        find_per_clip(empty)
    with pytest.raises(InputError, match=r"test\.parquet: no such file"):
        find_per_clip(folder / "test.json")
    (folder / "not.parquet").write_text("file_name,spider\n")
    with pytest.raises(InputError, match="found no Parquet"):
        read_clip_scores(folder / "not.parquet")


def test_a_pool_is_the_mean_over_its_parts(captions):
    candidates, references = captions
    others = candidates[::-1]
    parts = [
        clip_scores_of(scored_table(c, references, s)) for s, c in enumerate((candidates, others))
    ]
    pooled = pool(parts)
    for metric in MEANS:
        mean = (parts[0].corpus()[metric] + parts[1].corpus()[metric]) / 2
        assert pooled.corpus()[metric] == pytest.approx(mean)
    official, _ = official_bleu(candidates + others, references * 2)
    assert pooled.corpus()["bleu_4"] == pytest.approx(official[3], rel=1e-8)  # its small constants
    sums = np.sum([part.meteor.sum(axis=0) for part in parts], axis=0)
    assert pooled.corpus()["meteor"] == pytest.approx(meteor_of_sums(sums[None])[0])
    assert clip_scores_of(pooled.table()).corpus() == pytest.approx(pooled.corpus())


def test_a_mean_over_seeds_has_the_t_interval():
    values = [0.30, 0.31, 0.29, 0.305]
    found = over_seeds(values)
    oracle = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.standard_deviation == pytest.approx(np.std(values, ddof=1))
    assert found.interval == pytest.approx((oracle.low, oracle.high))


def test_a_single_seed_has_no_interval_and_says_so():
    found = summarise_seeds({3: {"spider": 0.3, "cider": 0.4}})
    assert found["metrics"]["spider"] == {
        "mean": 0.3,
        "standard_deviation": None,
        "interval": None,
    }
    assert found["note"] == "one seed: no interval over seeds"
    two = summarise_seeds({2: {"spider": 0.3}, 1: {"spider": 0.4}})
    assert two["seeds"] == [1, 2]
    assert two["note"] == "Student's t interval over seeds"
    low, high = two["metrics"]["spider"]["interval"]
    assert low < 0.35 < high
    with pytest.raises(ValueError, match="no seed"):
        over_seeds([])
