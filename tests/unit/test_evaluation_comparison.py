"""Comparing systems: p-values by enumeration, resampling by the definition, words and clips."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from clip_tables import official_bleu, scored_table, sentences

from captioner.errors import InputError
from captioner.evaluation.bootstrap import draw_weights
from captioner.evaluation.clip_scores import clip_scores_of
from captioner.evaluation.comparison import (
    METHOD,
    Difference,
    compare,
    compare_all,
    in_words,
    most_moved,
    number_text,
)

N = 8  # few enough to try every swap


@pytest.fixture(scope="module")
def captions():
    flat = sentences(5 * N, 4)
    references = [flat[i : i + 3] for i in range(2 * N, 5 * N - 1, 3)]
    return flat[:N], flat[N : 2 * N], references


@pytest.fixture(scope="module")
def systems(captions):
    ours, theirs, references = captions
    return [clip_scores_of(scored_table(c, references, s)) for s, c in enumerate((ours, theirs))]


def test_each_system_has_its_corpus_values(systems):
    a, b = systems
    found = compare(a, b, resamples=10)
    assert list(found) == list(a.metrics)
    for metric, difference in found.items():
        assert (difference.a, difference.b) == (a.corpus()[metric], b.corpus()[metric])
        assert difference.difference == difference.a - difference.b


def test_p_is_the_share_of_swaps_at_least_as_far_apart(captions, systems):
    """Against all 2^8 swaps, scored by the official tool (BLEU) or as means."""
    ours, theirs, references = captions
    found = compare(*systems, resamples=20_000)

    def bleu_2(swapped):
        sides = [
            [b if s else a for s, a, b in zip(swapped, *pair, strict=True)]
            for pair in ((ours, theirs), (theirs, ours))
        ]
        a, b = (official_bleu(side, references)[0][1] for side in sides)
        return a - b

    def cider(swapped):
        signs = 1 - 2 * np.array(swapped)
        a, b = (system.values["cider"] for system in systems)
        return np.mean(signs * (a - b))

    for metric, difference in (("bleu_2", bleu_2), ("cider", cider)):
        observed = abs(difference((0,) * N))
        every = [abs(difference(swaps)) for swaps in product((0, 1), repeat=N)]
        exact = np.mean([value >= observed - 1e-12 for value in every])
        assert found[metric].p == pytest.approx(exact, abs=0.02)


def test_the_interval_is_of_both_systems_on_the_same_clips(captions, systems):
    ours, theirs, references = captions
    found = compare(*systems, resamples=100, seed=9)
    (weights,) = draw_weights(N, 100, 9)
    differences = []
    for row in weights.astype(int):
        drawn = np.repeat(np.arange(N), row)
        scores = [
            official_bleu([side[i] for i in drawn], [references[i] for i in drawn])[0][0]
            for side in (ours, theirs)
        ]
        differences.append(scores[0] - scores[1])
    assert found["bleu_1"].interval == pytest.approx(tuple(np.percentile(differences, [2.5, 97.5])))
    below = (np.array(differences) <= 0).sum()
    above = (np.array(differences) >= 0).sum()
    assert found["bleu_1"].p_bootstrap == min(1, 2 * (min(below, above) + 1) / 101)


def test_the_other_way_round_is_the_same_with_another_sign(systems):
    a, b = systems
    one, other = compare(a, b, resamples=500), compare(b, a, resamples=500)
    for metric in a.metrics:
        assert one[metric].difference == -other[metric].difference
        assert one[metric].p == other[metric].p
        assert one[metric].p_bootstrap == pytest.approx(other[metric].p_bootstrap)
        low, high = one[metric].interval
        assert (-high, -low) == pytest.approx(other[metric].interval)


def test_a_system_equals_itself(systems):
    a, _ = systems
    for difference in compare(a, a, resamples=50).values():
        assert difference.difference == 0
        assert difference.interval == (0, 0)
        assert difference.p == difference.p_bootstrap == 1
        assert in_words(difference) == "A and B are equal."


def test_one_clip_apart_is_chance(systems):
    """Swapping that clip gives the same difference with another sign, in every metric."""
    a, b = systems
    row = 4
    values = {metric: of_clips.copy() for metric, of_clips in a.values.items()}
    bleu, meteor = a.bleu.copy(), a.meteor.copy()
    for metric in values:
        values[metric][row] = b.values[metric][row]
    bleu[row], meteor[row] = b.bleu[row], b.meteor[row]
    for metric, difference in compare(
        a, replace(a, values=values, bleu=bleu, meteor=meteor)
    ).items():
        assert difference.p == 1, metric


def test_p_values_of_equal_systems_are_uniform():
    """Two systems of the same quality: p below .05 in about 5 % of the comparisons."""
    rng = np.random.default_rng(0)
    flat = sentences(122, 8)
    table = scored_table(flat[:60], [[c] for c in flat[62:]], seed=1)
    column = table.column_names.index("spice")
    below = 0
    for trial in range(200):
        pair = [
            clip_scores_of(table.set_column(column, "spice", pa.array(rng.gamma(2, 0.1, 60))))
            for _ in range(2)
        ]
        found = compare(*pair, metrics=["spice"], resamples=400, seed=trial)["spice"]
        below += found.p < 0.05
    assert 2 <= below <= 20


def test_a_clear_difference_is_seen():
    flat = sentences(122, 8)
    references = [[c] for c in flat[62:]]
    a, b = (clip_scores_of(scored_table(flat[:60], references, 1, shift=s)) for s in (0.1, 0))
    found = compare(a, b, resamples=999)
    assert found["spice"].p == pytest.approx(1 / 1000)
    assert found["spice"].interval == pytest.approx((0.1, 0.1))
    assert found["bleu_4"].p == 1
    assert found["spider"].difference == pytest.approx(0.05)


def test_clips_are_joined_by_name(captions, systems):
    _, theirs, references = captions
    order = [3, 0, 7, 1, 2, 6, 5, 4]
    names = [f"clip {i}.wav" for i in order]
    table = scored_table(theirs, references, 1).take(order)
    assert table.column("file_name").to_pylist() == names
    a, b = systems
    assert compare(a, clip_scores_of(table), resamples=20) == compare(a, b, resamples=20)
    others = scored_table(theirs, references, 1, names=[f"clip {i}.wav" for i in range(1, N + 1)])
    with pytest.raises(
        InputError, match=r"A has 8 clips and B 8.*only in A: 'clip 0\.wav'; only in B: 'clip 8"
    ):
        compare(a, clip_scores_of(others))
    with pytest.raises(InputError, match="only in B: none"):
        compare(a, clip_scores_of(table.slice(0, 2)))


def test_metrics_that_one_lacks_are_left_out(captions, systems):
    ours, _, references = captions
    a, b = systems
    table = scored_table(ours, references).append_column("fense", pa.array(np.linspace(0, 1, N)))
    more = clip_scores_of(table)
    assert "fense" in more.metrics
    assert list(compare(more, b, resamples=10)) == list(b.metrics)
    assert list(compare(a, b, metrics=["spider", "meteor"], resamples=10)) == ["spider", "meteor"]
    with pytest.raises(InputError, match="found the metric fense, expected some of bleu_1"):
        compare(more, b, metrics=["fense"])


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            Difference(0.302, 0.29, 0.012, (0.003, 0.021), 0.0099, 0.01),
            "A is better than B by .0120, 95 % interval .0030 to .0210, p = .0099: unlikely to be "
            "chance.",
        ),
        (
            Difference(0.1, 1.3, -1.2, (-10.5, 0.04), 0.05, 0.01),
            "B is better than A by 1.2000, 95 % interval -.0400 to 10.5000, p = .05: could be "
            "chance.",
        ),
        (Difference(0.1, 0.1, 0.0, (-0.1, 0.1), 1.0, 1.0), "A and B are equal."),
    ],
)
def test_differences_in_words(found, told):
    assert in_words(found) == told


def test_numbers_as_scores_are_written():
    assert [number_text(x) for x in (0.5, -0.25, -0.00004, 0, 10.02, 1)] == [
        ".5000",
        "-.2500",
        ".0000",
        ".0000",
        "10.0200",
        "1.0000",
    ]


def test_clips_that_moved_most(systems):
    a, b = systems
    differences = {
        name: x - y
        for name, x, y in zip(a.file_names, a.values["spider"], b.values["spider"], strict=True)
    }
    won, lost = most_moved(a, b, "spider", 3)
    ranked = sorted(differences, key=differences.get)
    assert [m.file_name for m in lost] == [n for n in ranked[:3] if differences[n] < 0]
    assert [m.file_name for m in won] == [n for n in ranked[::-1][:3] if differences[n] > 0]
    assert won[0].a - won[0].b == pytest.approx(max(differences.values()))
    assert most_moved(a, a, "spider", 3) == ([], [])
    assert most_moved(a, b, "spider", 0) == ([], [])


def test_all_systems_against_the_best(captions, systems):
    _, theirs, references = captions
    a, b = systems
    again = clip_scores_of(scored_table(theirs[::-1], references, 5))
    found = compare_all({"one": {1: a}, "two": {1: b, 2: again}}, resamples=50)
    json.dumps(found, allow_nan=False)
    assert found["method"] == METHOD
    assert found["n_clips"] == N
    (other,) = {"one", "two"} - {found["best"]}
    assert list(found["against_best"]) == [other]
    assert found["against_best"][other]["spider"]["difference"] >= 0
    mean = (b.corpus()["cider"] + again.corpus()["cider"]) / 2
    assert found["systems"]["two"]["metrics"]["cider"]["mean"] == pytest.approx(mean)
    pooled = {"one": "a", "two": "b"} if found["best"] == "one" else {"one": "b", "two": "a"}
    assert found["against_best"][other]["cider"][pooled["two"]] == pytest.approx(mean)
    assert found["systems"]["one"]["metrics"]["spider"]["interval"] is None


def test_seeds_weigh_the_same_in_every_metric(captions, systems):
    """One system once and twice over: equal, however its statistics are swapped."""
    a, b = systems
    found = compare_all({"once": {1: a}, "twice": {1: a, 2: a}}, resamples=200)
    for difference in next(iter(found["against_best"].values())).values():
        assert difference["difference"] == pytest.approx(0, abs=1e-9)
        assert difference["interval"] == pytest.approx((0, 0), abs=1e-9)
    one = compare_all({"a": {1: a}, "b": {1: b}}, resamples=200)
    two = compare_all({"a": {1: a}, "b": {1: b, 2: b, 3: b}}, resamples=200)
    for found_one, found_two in zip(
        *(next(iter(found["against_best"].values())).values() for found in (one, two)), strict=True
    ):
        assert found_one["p"] == found_two["p"]
        assert found_one["interval"] == pytest.approx(found_two["interval"], abs=1e-9)


def test_systems_of_other_clips_are_named(captions, systems):
    _, theirs, references = captions
    other = clip_scores_of(scored_table(theirs, references, names=[f"{i}" for i in range(N)]))
    with pytest.raises(InputError, match=r"beam, seed 1 has 8 clips and greedy, seed 2 8, expect"):
        compare_all({"beam": {1: systems[0]}, "greedy": {2: other}})
