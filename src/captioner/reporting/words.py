"""What the section on words shows: words that the systems miss, make up and confuse."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from captioner.reporting.content import ReportContent

N_WORDS = 15  # of the tables of missed and invented words


@dataclass(frozen=True)
class Confusion:
    """Words of one part of speech that are missed (rows) where others are made up (columns)."""

    part: str
    rows: Sequence[tuple[str, int, int]]  # word, clips in which people agree on it, of them right
    columns: Sequence[str]
    counts: Sequence[Sequence[int]]  # clips, a row a word

    @property
    def highest(self) -> int:
        """The largest count."""
        return max((count for row in self.counts for count in row), default=0)


@dataclass(frozen=True)
class Words:
    """The content words of one system on one split.

    Attributes:
        label: of the system's row in the score table.
        identifier: unique in the page.
        shares: part of speech -> (precision, recall), None where there is no such word.
        missed: words that more than half of a clip's references have and the caption lacks, with
            `word`, `part`, the `clips` and `of` how many where people agree on it.
        invented: likewise, words that no reference of the clip has, of those that say it.
        confusions: of nouns and of verbs.
    """

    label: str
    identifier: str
    shares: Mapping[str, tuple[float | None, float | None]]
    missed: Sequence[Mapping[str, Any]]
    invented: Sequence[Mapping[str, Any]]
    confusions: Sequence[Confusion]


def read_words(content: ReportContent, split: str) -> list[Words]:
    """Read the analysis of a split's words: of each system's first seed that is in it."""
    if split not in content.errors:
        return []
    analyses = json.loads(content.errors[split].read_text(encoding="utf-8"))
    found: list[Words] = []
    for group in content.groups():
        run = next((run.run_name for run in group.runs if run.run_name in analyses), None)
        if run is not None:
            found.append(_words(group.label, f"words-{split}-{len(found)}", analyses[run]))
    return found


def _words(label: str, identifier: str, analysis: Mapping[str, Any]) -> Words:
    return Words(
        label=label,
        identifier=identifier,
        shares={
            part: (shares["precision"], shares["recall"])
            for part, shares in analysis["shares"].items()
        },
        missed=analysis["missed"][:N_WORDS],
        invented=analysis["invented"][:N_WORDS],
        confusions=[
            Confusion(
                part,
                list(zip(table["references"], table["clips"], table["right"], strict=True)),
                table["predicted"],
                table["counts"],
            )
            for part, table in analysis["confusion"].items()
            if table["references"] and table["predicted"]
        ],
    )
