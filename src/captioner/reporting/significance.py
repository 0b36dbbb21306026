"""How far the systems are from the baseline, and whether chance could explain it."""

from collections.abc import Sequence
from dataclasses import dataclass

from captioner.evaluation.clip_scores import ClipScores, pool, read_clip_scores
from captioner.evaluation.comparison import LEVEL, Difference, compare, pair
from captioner.reporting.content import Group, ReportContent

METRIC = "spider"
BASELINE_FAMILY = "dcase_baseline"


@dataclass(frozen=True)
class Compared:
    """One system against the baseline."""

    label: str
    decoding: str
    kind: str
    found: Difference  # this system - the baseline, in SPIDEr

    @property
    def verdict(self) -> str:
        """Say in a word or two what p means."""
        if self.found.p >= LEVEL:
            return "could be chance"
        return "better" if self.found.difference > 0 else "worse"


@dataclass(frozen=True)
class Significance:
    """All systems of a split against one of them."""

    baseline: str  # label of its row
    level: float  # of p, below which a difference is called more than chance
    several_seeds: bool  # whether seeds of some system were pooled
    rows: Sequence[Compared]


def against_baseline(content: ReportContent, split: str) -> Significance | None:
    """Compare every scored system with the baseline: the DCASE one, else the first trivial one.

    Seeds are pooled clip by clip, so that what is tested is the choice of clips.

    Returns:
        None where there is no baseline, or nothing beside it.

    Raises:
        InputError: a table of clip scores is none, or of other clips than the others.
    """
    groups = [g for g in content.groups() if any(split in run.scores for run in g.runs)]
    families = [content.settings(group.first.name).get("family") for group in groups]
    candidates = [g for g, f in zip(groups, families, strict=True) if f == BASELINE_FAMILY]
    candidates += [group for group in groups if group.first.trivial]
    if not candidates or len(groups) < 2:
        return None
    baseline = candidates[0]
    other = _pooled(baseline, split)
    return Significance(
        baseline=baseline.label,
        level=LEVEL,
        several_seeds=any(len(group.runs) > 1 for group in groups),
        rows=[
            Compared(
                group.label,
                "" if group.first.trivial else group.first.decoding,
                content.kind(group.first),
                compare(_pooled(group, split), other, metrics=[METRIC])[METRIC],
            )
            for group in groups
            if group is not baseline
        ],
    )


def _pooled(group: Group, split: str) -> ClipScores:
    """Read the clip scores of all seeds, means clip by clip."""
    parts = [
        read_clip_scores(run.scores[split].parquet) for run in group.runs if split in run.scores
    ]
    return pool([pair(parts[0], part)[1] for part in parts])
