"""Systems against the baseline: which one that is, the numbers of the comparison, its words."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from clip_tables import scored_table, sentences

from captioner.errors import InputError
from captioner.evaluation.clip_scores import pool, read_clip_scores
from captioner.evaluation.comparison import compare
from captioner.reporting.content import Corpus, ReportContent, ScoreFiles, System
from captioner.reporting.significance import against_baseline

N_CLIPS = 40


def system(folder: Path, name: str, seed: int, shift: float, **more: Any) -> System:
    """A run with clip scores; `shift` is added to the SPICE of every clip."""
    path = folder / f"{name}{seed}.parquet"
    references = [[text] for text in sentences(N_CLIPS, 1)]
    pq.write_table(scored_table(sentences(N_CLIPS, 2), references, seed, shift=shift), path)
    scores = {"evaluation": ScoreFiles(path.with_suffix(".json"), path)}
    return System(name, name.title(), seed, "greedy", scores=scores, **more)


def content_of(systems: list[System], families: dict[str, str] | None = None) -> ReportContent:
    corpus = Corpus("tiny", "Tiny", synthetic=False, clotho=False)
    config = {"systems": {name: {"family": family} for name, family in (families or {}).items()}}
    return ReportContent(corpus, config, {}, systems)


def test_systems_are_compared_with_the_dcase_baseline_over_all_seeds(tmp_path: Path) -> None:
    systems = [system(tmp_path, "good", seed, 0.5) for seed in (1, 2)]
    systems += [system(tmp_path, "typical", 0, 0, trivial=True), system(tmp_path, "base", 1, 0)]
    content = content_of(systems, {"base": "dcase_baseline", "good": "conv_transformer"})
    found = against_baseline(content, "evaluation")
    assert found is not None
    assert (found.baseline, found.several_seeds) == ("Base", True)
    assert [(row.label, row.decoding, row.kind) for row in found.rows] == [
        ("Good", "greedy", "system"),
        ("Typical", "", "trivial"),
    ]
    one, two, _, base = (read_clip_scores(s.scores["evaluation"].parquet) for s in systems)
    expected = compare(pool([one, two]), base)["spider"]
    assert found.rows[0].found == expected
    assert expected.difference == pytest.approx(
        np.mean((one.values["spider"] + two.values["spider"]) / 2 - base.values["spider"])
    )
    assert found.rows[0].verdict == "better" and expected.p < 0.001


def test_verdicts(tmp_path: Path) -> None:
    systems = [
        system(tmp_path, "base", 1, 0.3),
        system(tmp_path, "worse", 2, 0),
        system(tmp_path, "like", 3, 0.3),
    ]
    found = against_baseline(content_of(systems, {"base": "dcase_baseline"}), "evaluation")
    assert found is not None
    assert [row.verdict for row in found.rows] == ["worse", "could be chance"]


def test_a_trivial_system_stands_in_and_nothing_is_compared_with_itself(tmp_path: Path) -> None:
    good, typical = system(tmp_path, "good", 1, 0), system(tmp_path, "t", 0, 0, trivial=True)
    found = against_baseline(content_of([good, typical]), "evaluation")
    assert found is not None and found.baseline == "T"
    assert [row.label for row in found.rows] == ["Good"]
    assert against_baseline(content_of([good]), "evaluation") is None
    assert against_baseline(content_of([typical]), "evaluation") is None
    assert against_baseline(content_of([good, typical]), "validation") is None


def test_scores_of_other_clips_are_refused(tmp_path: Path) -> None:
    good, typical = system(tmp_path, "good", 1, 0), system(tmp_path, "t", 0, 0, trivial=True)
    path = good.scores["evaluation"].parquet
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(InputError, match=r"A has 39 clips and B 40, expected the same"):
        against_baseline(content_of([good, typical]), "evaluation")
