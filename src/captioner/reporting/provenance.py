"""What the section on provenance says of each system: what it learned from and started from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.reporting.content import ReportContent, system_titles
from captioner.reporting.scores import members_text, numbers_text
from captioner.reporting.tables import source_text


@dataclass(frozen=True)
class Described:
    """One system, whatever the number of its seeds and decodings.

    Attributes:
        title: its name in print.
        seeds: of its models, in words; empty without a training here.
        trained_on: a sentence for each part of its training.
        starts: a sentence for each part of the model that was not random before the training.
        frontends: what it hears through, by name.
        folders: of its models.
        remark: what it is, where it has no model of its own.
    """

    title: str
    seeds: str
    trained_on: Sequence[str]
    starts: Sequence[str]
    frontends: Sequence[str]
    folders: Sequence[Path]
    remark: str


def describe(
    content: ReportContent, models: Mapping[tuple[str, int], Mapping[str, Any]]
) -> list[Described]:
    """Describe every system of the report; `models` by name and seed."""
    found = []
    for name, title in system_titles(content.systems).items():
        runs = [run for run in content.systems if run.name == name]
        own = {seed: model for (system, seed), model in models.items() if system == name}
        model = next(iter(own.values()), {})
        found.append(
            Described(
                title=title,
                seeds="" if content.settings(name).get("weights") else numbers_text(own),
                trained_on=[source_text(source) for source in model.get("trained_on") or ()],
                starts=starts(content, name),
                frontends=list(model.get("frontends") or ()),
                folders=list(dict.fromkeys(run.model for run in runs if run.model)),
                remark="" if own else _remark(content, name, trivial=runs[0].trivial),
            )
        )
    return found


def starts(content: ReportContent, system: str) -> list[str]:
    """Say what a system's weights were before its training, part by part."""
    settings = content.settings(system)
    said = []
    if weights := settings.get("weights"):
        said.append(f"published weights {Path(weights).name}, not trained here")
    if start := settings.get("start"):
        said.append(f"weights of {system_titles(content.systems).get(start, start)}, same seed")
    for part, checkpoint in (settings.get("pretrained") or {}).items():
        said.append(f"{part}: {Path(checkpoint).name}")
    if words := settings.get("word_embeddings"):
        said.append(f"word embeddings: {_word_source(words)}")
    return said


def _word_source(words: Mapping[str, Any]) -> str:
    name = Path(words["path"]).name if words.get("path") else "trained on the vocabulary's captions"
    return f"{words['source']}, {name}, {'frozen' if words.get('frozen') else 'tuned'}"


def _remark(content: ReportContent, system: str, *, trivial: bool) -> str:
    if content.members(system):
        average = str(content.settings(system).get("average", "")).replace("_", "-")
        mean = f"; mean of {average.replace('probability', 'probabilities')}" if average else ""
        return members_text(content, system) + mean
    return "trivial: no training" if trivial else "no model in this run"
