"""Names of rows, the content of a report, costs, and how values are written for people."""

from pathlib import Path

import pytest

from captioner.reporting.content import ReportContent, System, system_labels, system_titles
from captioner.reporting.loading import read_costs
from captioner.reporting.tables import (
    difference_text,
    duration_text,
    licence_text,
    p_text,
    phrase,
    rate_text,
    source_text,
)


@pytest.mark.parametrize("seed, decoding, expected", [
    (1, "greedy", ["A", "A"]),
    (2, "greedy", ["A, seed 1", "A, seed 2"]),
    (1, "beam3", ["A, greedy", "A, beam3"]),
    (2, "beam3", ["A, seed 1, greedy", "A, seed 2, beam3"]),
])  # fmt: skip
def test_labels_name_what_differs(seed: int, decoding: str, expected: list[str]) -> None:
    systems = [System("a", "A", 1, "greedy"), System("a", "A", seed, decoding)]
    assert system_labels(systems) == expected


def test_systems_of_one_title_are_told_apart_by_their_names() -> None:
    """Variants of a named system (`as:`) have its title unless they set their own."""
    systems = [
        System("a", "A", 1, "greedy"),
        System("b", "A", 1, "greedy"),
        System("c", "C", 1, ""),
    ]
    assert system_titles(systems) == {"a": "A (a)", "b": "A (b)", "c": "C"}
    assert system_labels(systems) == ["A (a)", "A (b)", "C"]


def test_unknown_key_of_the_content_is_refused() -> None:
    corpus = {"name": "x", "title": "X", "synthetic": False, "clotho": False}
    given = {"corpus": corpus, "config": {}, "splits": {}, "systems": []}
    assert ReportContent.from_dict(given).scored_splits == []
    with pytest.raises(TypeError, match="typo"):
        ReportContent.from_dict({**given, "typo": 1})
    with pytest.raises(TypeError, match="titel"):
        ReportContent.from_dict({**given, "systems": [{"name": "x", "titel": "X"}]})


def test_costs_are_summed_per_rule(tmp_path: Path) -> None:
    header = "s\th:m:s\tmax_rss\tcpu_time\n"
    for name, text in {"a": "2.0\t0:00:02\t100\t3.5", "b": "4.0\t0:00:04\t50\t1.5"}.items():
        (tmp_path / name).write_text(f"{header}{text}\n")
    (tmp_path / "c").write_text(f"{header}0.1\t0:00:00\tNA\tNA\n")
    costs = read_costs({"short": [tmp_path / "c"], "long": [tmp_path / "a", tmp_path / "b"]})
    assert [(c.rule, c.n_jobs, c.seconds, c.longest_s, c.cpu_s, c.peak_mb) for c in costs] == [
        ("long", 2, 6.0, 4.0, 5.0, 100.0),
        ("short", 1, 0.1, 0.1, None, None),
    ]


@pytest.mark.parametrize("seconds, expected", [
    (0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 00 s"),
    (185, "3 min 05 s"), (3599.6, "1 h 00 min"), (7620, "2 h 07 min"), (360000, "100 h 00 min"),
])  # fmt: skip
def test_durations_for_people(seconds: float, expected: str) -> None:
    assert duration_text(seconds) == expected


@pytest.mark.parametrize("per_second, expected", [
    (0.384, "0.38"), (7.24, "7.2"), (9.96, "10"), (41.6, "42"), (412.3, "412"),
    (12650.4, "12\u202f650"),
])  # fmt: skip
def test_rates_for_people(per_second: float, expected: str) -> None:
    assert rate_text(per_second) == expected


def test_training_sources_are_told_with_weight_and_token() -> None:
    source = {
        "corpus": "macs", "split": "full", "n_clips": 9, "n_leaks": 0, "weight": 0.5,
        "task_token": None,
    }  # fmt: skip
    assert source_text(source) == "macs, full, 9 clips, weight 0.5"
    assert source_text({**source, "n_leaks": 3, "weight": 2.0, "task_token": "<macs>"}) == (
        "macs, full, 9 clips, 3 left out as also held out, weight 2, task token <macs>"
    )


def test_licences_and_phrases() -> None:
    assert licence_text("http://creativecommons.org/licenses/by-nc/3.0/") == "CC BY-NC 3.0"
    assert licence_text("https://creativecommons.org/publicdomain/zero/1.0/") == "CC0 1.0"
    assert licence_text("Sampling+") == "Sampling+"
    assert phrase({"corpus": "x", "splits": ["development", "validation"]}) == (
        "x, development + validation"
    )


@pytest.mark.parametrize("difference, expected", [
    (0.0214, "+.021"), (-0.0031, "−.003"), (0.0, "+.000"), (1.25, "+1.250"), (-0.5, "−.500"),
    (10.5, "+10.500"), (-0.0001, "+.000"),
])  # fmt: skip
def test_differences_of_scores(difference: float, expected: str) -> None:
    assert difference_text(difference) == expected


@pytest.mark.parametrize("p, expected", [
    (0.00009, "< .001"), (0.003, ".003"), (0.0094, ".009"), (0.0096, ".01"), (0.05, ".05"),
    (0.5, ".50"), (1.0, "1.00"),
])  # fmt: skip
def test_p_values(p: float, expected: str) -> None:
    assert p_text(p) == expected
