"""The score table: rows over seeds, ensembles, systems that are not scored, and the plain text."""

import json
from pathlib import Path
from typing import Any

import pytest

from captioner.evaluation.bootstrap import over_seeds
from captioner.reporting.content import Corpus, ReportContent, ScoreFiles, System
from captioner.reporting.provenance import describe, starts
from captioner.reporting.published import published_systems
from captioner.reporting.scores import (
    interval_note,
    interval_text,
    members_text,
    numbers_text,
    score_rows,
    score_table,
)
from reporting_tree import METRICS, write_system


def run(root: Path, name: str, base: float, seed: int = 1, **changes: Any) -> System:
    written = write_system(root / f"{name}{seed}", {"a.wav": "a dog", "b.wav": ""}, base)
    system = {"name": name, "title": name.title(), "seed": seed, "decoding": "greedy"}
    return System.from_dict({**system, **written, **changes})


def content_of(systems: list[System], *, clotho: bool = False, **more: Any) -> ReportContent:
    corpus = Corpus("tiny", "Tiny", synthetic=False, clotho=clotho)
    return ReportContent(corpus, more.pop("config", {}), {}, systems, **more)


def test_one_seed_has_its_scores_and_intervals_over_clips(tmp_path: Path) -> None:
    (row,) = score_rows(content_of([run(tmp_path, "good", 0.25)]), "evaluation")
    assert (row.label, row.kind, row.decoding, row.seeds, row.n_clips) == (
        *("Good", "system", "greedy", "1"),
        2,
    )
    assert row.metrics["spider"] == pytest.approx(0.2584)
    assert row.intervals["spider"] == pytest.approx((0.2384, 0.2884))
    assert row.best == set(METRICS)
    assert row.empty_predictions == {1: ["b.wav"]}
    assert "bootstrap over clips" in interval_note([row])
    assert "seeds" not in interval_note([row])


def test_published_weights_have_no_seed(tmp_path: Path) -> None:
    config = {"systems": {"released": {"weights": "baseline.pt"}}}
    content = content_of([run(tmp_path, "released", 0.25, 0)], config=config)
    (row,) = score_rows(content, "evaluation")
    assert (row.kind, row.seeds) == ("system", "")


def test_several_seeds_are_one_row_with_mean_and_interval_over_seeds(tmp_path: Path) -> None:
    runs = [run(tmp_path, "good", base, seed) for seed, base in ((3, 0.2), (1, 0.3), (2, 0.25))]
    (row,) = score_rows(content_of(runs), "evaluation")
    expected = over_seeds([0.2084, 0.3084, 0.2584])
    assert row.metrics["spider"] == pytest.approx(0.2584)
    assert row.intervals["spider"] == pytest.approx(expected.interval)
    assert row.seeds == "1 to 3" and list(row.per_seed) == [1, 2, 3]
    assert row.per_seed[3].metrics["spider"] == pytest.approx(0.2084)
    assert row.fluency["repeated_content_words"] == 0.25
    assert row.n_empty == 3
    assert "of 3 seeds, the mean and its 95 % Student's t interval" in interval_note([row])


def test_fluency_errors_stand_beside_the_other_values(tmp_path: Path) -> None:
    """SPIDEr-FL's detector writes its rate beside the metrics, where it was asked for."""
    one = run(tmp_path, "good", 0.25)
    path = one.scores["evaluation"].json
    path.write_text(json.dumps({**json.loads(path.read_text()), "fluency_error_rate": 0.125}))
    other = run(tmp_path, "other", 0.25)
    text = score_table(score_rows(content_of([one, other]), "evaluation"), "evaluation")
    fluency = text.split("\n\n")[-1].splitlines()
    start = fluency[0].index("Fluency errors")
    assert fluency[2][start:].split()[:2] == ["12.5", "%"]
    assert fluency[3][start : start + len("Fluency errors")].strip() == ""


def test_decodings_are_rows_of_their_own(tmp_path: Path) -> None:
    runs = [
        run(tmp_path / decoding, "good", base, seed, decoding=decoding)
        for decoding, base in (("greedy", 0.2), ("beam3", 0.3))
        for seed in (1, 2)
    ]
    rows = score_rows(content_of(runs), "evaluation")
    assert [row.label for row in rows] == ["Good, greedy", "Good, beam3"]
    assert [row.seeds for row in rows] == ["1, 2", "1, 2"]
    assert [bool(row.best) for row in rows] == [False, True]


def test_ties_are_all_best_and_unscored_systems_have_no_row(tmp_path: Path) -> None:
    systems = [
        run(tmp_path, "one", 0.25),
        run(tmp_path, "two", 0.25),
        System("three", "Three", 1, "greedy"),
    ]
    rows = score_rows(content_of(systems), "evaluation")
    assert [found.label for found in rows] == ["One", "Two"]
    assert all(len(found.best) == 9 for found in rows)
    assert score_rows(content_of(systems, clotho=True), "validation") == []


def test_system_that_learned_from_the_split_has_a_row_that_says_so(tmp_path: Path) -> None:
    """Its scores would mean nothing: the row is empty, and its cells are no zeros."""
    final = System("final", "Final", 1, "greedy", unscored={"evaluation": "trained on evaluation"})
    content = content_of([run(tmp_path, "good", 0.25), final])
    _, row = score_rows(content, "evaluation")
    assert (row.note, row.metrics, row.intervals, row.n_clips, row.best) == (
        *("trained on evaluation: not scored", {}, {}, None),
        frozenset(),
    )
    assert [found.label for found in score_rows(content, "validation")] == []
    text = score_table(score_rows(content, "evaluation"), "evaluation")
    assert "Final: trained on evaluation: not scored\n" in text
    assert "0.000" not in text and "nan" not in text


def test_people_have_a_row_and_are_not_the_best(tmp_path: Path) -> None:
    """Their scores come after the systems', before the published ones, and win no column."""
    systems = [run(tmp_path, "good", 0.25)]
    people = write_system(tmp_path / "people", {"a.wav": "a dog", "b.wav": "a cat"}, 0.75)
    ceiling = {"evaluation": ScoreFiles.from_dict(people["scores"]["evaluation"])}
    content = content_of(systems, clotho=True, ceiling=ceiling)
    rows = score_rows(content, "evaluation")
    assert [found.kind for found in rows][:3] == ["system", "people", "published"]
    assert rows[1].metrics["spider"] == pytest.approx(0.7584) and rows[1].n_clips == 2
    assert not rows[1].best and len(rows[0].best) == 9
    assert "[people]" in score_table(rows, "evaluation")
    assert len(score_rows(content, "validation")) == 0


def test_published_scores_are_whole_and_shown_on_clotho_alone() -> None:
    on_clotho = published_systems(True, "evaluation")
    assert published_systems(False, "evaluation") == published_systems(True, "test") == []
    assert len({found.title for found in on_clotho}) == len(on_clotho)
    for found in on_clotho:
        assert found.metrics["spider"] > 0 and set(found.metrics) <= set(METRICS)
        for metric, (low, high) in found.intervals.items():
            assert low < found.metrics[metric] < high < low + 0.03
        if "cider" in found.metrics:  # what SPIDEr is the mean of, to the digits that are published
            mean = (found.metrics["cider"] + found.metrics["spice"]) / 2
            assert found.metrics["spider"] == pytest.approx(mean, abs=0.0011)


def test_published_scores_with_one_metric_have_empty_cells(tmp_path: Path) -> None:
    rows = score_rows(content_of([run(tmp_path, "good", 0.25)], clotho=True), "evaluation")
    text = score_table(rows, "evaluation")
    (line,) = [line for line in text.splitlines() if "reinforced [published]" in line]
    assert line.split()[-2:] == ["0.286", "1045"]
    assert "of published systems, as published" in interval_note(rows)


def ensemble(tmp_path: Path) -> ReportContent:
    runs = [run(tmp_path, "a", 0.2, 1), run(tmp_path, "a", 0.2, 2), run(tmp_path, "b", 0.2, 1)]
    runs.append(run(tmp_path, "both", 0.3, 0))
    members = [{"system": name, "seed": seed} for name, seed in (("a", 1), ("a", 2), ("b", 1))]
    settings = {"both": {"members": members, "average": "log_probability"}}
    return content_of(runs, config={"systems": settings})


def test_ensembles_name_their_members_and_have_no_seed(tmp_path: Path) -> None:
    content = ensemble(tmp_path)
    row = score_rows(content, "evaluation")[2]
    assert (row.kind, row.label, row.seeds) == ("ensemble", "Both", "")
    assert row.parts == "ensemble of 3: A (seeds 1, 2), B (seed 1)"
    text = score_table([row], "evaluation")
    assert "\nBoth [ensemble] " in text and f"\nBoth: {row.parts}.\n" in text
    (described,) = [found for found in describe(content, {}) if found.title == "Both"]
    assert described.remark == members_text(content, "both") + "; mean of log-probabilities"


def test_provenance_says_what_weights_were_before_the_training(tmp_path: Path) -> None:
    settings = {
        "first": {"pretrained": {"encoder": "weights/Cnn10_mAP=0.380.pth"}, "start": None},
        "scst": {"start": "first"},
        "released": {"weights": "baseline.pt"},
        "spoken": {
            "word_embeddings": {"source": "word2vec", "n_values": 64, "frozen": True},
        },
        "glove": {"word_embeddings": {"source": "file", "path": "/data/glove.txt"}},
    }
    systems = [System(name, name.title(), 1, "greedy") for name in settings]
    content = content_of(systems, config={"systems": settings})
    assert {name: starts(content, name) for name in settings} == {
        "first": ["encoder: Cnn10_mAP=0.380.pth"],
        "scst": ["weights of First, same seed"],
        "released": ["published weights baseline.pt, not trained here"],
        "spoken": ["word embeddings: word2vec, trained on the vocabulary's captions, frozen"],
        "glove": ["word embeddings: file, glove.txt, tuned"],
    }
    model = {"frontends": {"logmel": {}}, "trained_on": []}
    described = describe(content, {("released", 1): model})[2]
    assert (described.trained_on, described.frontends, described.remark) == ([], ["logmel"], "")


def test_scores_made_before_there_were_intervals_still_load(tmp_path: Path) -> None:
    old = run(tmp_path, "old", 0.25)
    path = old.scores["evaluation"].json
    found = json.loads(path.read_text())
    path.write_text(
        json.dumps({k: v for k, v in found.items() if k not in ("intervals", "diversity")})
    )
    (row,) = score_rows(content_of([old]), "evaluation")
    assert (row.intervals, row.fluency) == ({}, {})
    assert interval_note([row]) == ""
    assert score_table([row], "evaluation").count("\n") == 3, "no more than the one table"


def test_score_table_in_a_terminal(tmp_path: Path) -> None:
    systems = [run(tmp_path, "good", 0.25), run(tmp_path, "typical", 0.1, 0, trivial=True)]
    text = score_table(score_rows(content_of(systems, clotho=True), "evaluation"), "evaluation")
    scores, note, fluency = text.rstrip("\n").split("\n\n")
    lines = scores.splitlines()
    assert lines[0].split()[2:] == [
        "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "METEOR", "CIDEr", "SPICE", "SPIDEr",
        "Seeds", "Clips",
    ]  # fmt: skip
    assert lines[2].split() == ["Good", *[f"{0.2504 + i / 1000:.3f}*" for i in range(9)], "1", "2"]
    assert lines[3].split() == [f".{230 + i}-.{280 + i}" for i in range(9)]
    assert lines[4].startswith("Typical [trivial]")
    assert lines[6].startswith("DCASE 2021 baseline [published]")
    assert lines[6].split()[-2:] == ["0.051", "1045"]
    assert len({lines[i].rindex("0.") for i in (2, 4, 6)}) == 1, "columns are aligned"
    assert note.startswith("Below each score its interval: 95 % percentile bootstrap")
    assert fluency.splitlines()[2].split()[:3] == ["Good", "0.258", "12.5"]
    assert "published" not in score_table(
        score_rows(content_of(systems), "evaluation"), "evaluation"
    )


def test_score_table_in_a_terminal_has_each_seed(tmp_path: Path) -> None:
    runs = [run(tmp_path, "good", base, seed) for seed, base in ((1, 0.2), (2, 0.3))]
    text = score_table(score_rows(content_of(runs), "evaluation"), "evaluation")
    _, _, seeds, _ = text.split("\n\n")
    lines = seeds.splitlines()
    assert lines[0].startswith("Each seed (evaluation)")
    assert lines[2].split() == ["Good", *[f"{0.2004 + i / 1000:.3f}" for i in range(9)], "1"]
    assert lines[4].split() == [*[f"{0.3004 + i / 1000:.3f}" for i in range(9)], "2"]


@pytest.mark.parametrize("interval, expected", [
    ((0.2384, 0.2884), ".238–.288"), ((-0.0123, 1.25), "−.012–1.250"),
    ((0.0, 0.9997), ".000–1.000"), ((-0.0001, 0.0001), ".000–.000"),
])  # fmt: skip
def test_intervals_are_written_compactly(interval: tuple[float, float], expected: str) -> None:
    assert interval_text(interval) == expected


@pytest.mark.parametrize("numbers, expected", [
    ([], ""), ([1], "1"), ([2, 1], "1, 2"), ([3, 1, 2], "1 to 3"),
    ([9, 1, 2, 3, 5], "1 to 3, 5, 9"),
])  # fmt: skip
def test_numbers_in_words(numbers: list[int], expected: str) -> None:
    assert numbers_text(numbers) == expected
