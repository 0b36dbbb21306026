"""What a report is made from: a few facts and the paths of the files that the stages wrote.

A workflow script holds these as one plain dict (`ReportContent.from_dict`); nothing is read here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from captioner.reporting.rule_graph import RuleGraph


@dataclass(frozen=True)
class Corpus:
    """The corpus that the systems are scored on."""

    name: str
    title: str
    synthetic: bool  # every sound was generated; shown wherever the corpus is named
    clotho: bool  # the published scores on Clotho apply


@dataclass(frozen=True)
class SplitFiles:
    """The tables of one split."""

    clips: Path
    annotations: Path
    checks: Path

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "SplitFiles":
        """Make paths of the mapping's values."""
        return cls(**{name: Path(path) for name, path in given.items()})


@dataclass(frozen=True)
class ScoreFiles:
    """The scores of one system on one split: of the corpus (`json`) and per clip (`parquet`)."""

    json: Path
    parquet: Path

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "ScoreFiles":
        """Make paths of the mapping's values."""
        return cls(Path(given["json"]), Path(given["parquet"]))


@dataclass(frozen=True)
class FrontEndFiles:
    """A front-end of the config, and the features that it made of the last scored split."""

    settings: Mapping[str, Any]  # as resolved
    shards: Sequence[Path]

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "FrontEndFiles":
        """Make paths of the shards."""
        return cls(**{**given, "shards": [Path(path) for path in given["shards"]]})


@dataclass(frozen=True)
class ListeningFiles:
    """Sounds and spectrograms of the last scored split's clips."""

    audio: str  # compressed, original or none (`report.audio` of the config)
    folders: Sequence[Path]  # one per shard

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "ListeningFiles":
        """Make paths of the folders."""
        return cls(given["audio"], [Path(path) for path in given["folders"]])


@dataclass(frozen=True)
class System:
    """One run: a system, the seed that it was trained from and a decoding."""

    name: str
    title: str
    seed: int
    decoding: str
    trivial: bool = False  # no training; what every system should beat
    model: Path | None = None  # the folder of the trained model
    history: Path | None = None  # the CSV of the training, one row per epoch
    captions: Mapping[str, Path] = field(default_factory=dict)  # CSV by split
    scores: Mapping[str, ScoreFiles] = field(default_factory=dict)  # by split
    unscored: Mapping[str, str] = field(default_factory=dict)  # split -> why it is not scored there
    attention: Path | None = None  # Parquet: where its words look in the clips that the page plays

    @property
    def run_name(self) -> str:
        """The name of the run in file names and tables (`captioner.results.Run.name`)."""
        return f"{self.name}.seed{self.seed}.{self.decoding}"

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "System":
        """Make paths of the mapping's values; single ones may be absent or None."""
        single = ("model", "history", "attention")
        paths = {key: Path(given[key]) for key in single if given.get(key)}
        captions = {split: Path(path) for split, path in given.get("captions", {}).items()}
        scores = {
            split: ScoreFiles.from_dict(files) for split, files in given.get("scores", {}).items()
        }
        rest = {key: value for key, value in given.items() if key not in single}
        return cls(**{**rest, **paths, "captions": captions, "scores": scores})


@dataclass(frozen=True)
class ReportContent:
    """Everything a report shows."""

    corpus: Corpus
    config: Mapping[str, Any]  # as resolved: every default filled in
    splits: Mapping[str, SplitFiles]
    systems: Sequence[System]  # every run, in the order of the score table
    notes: Sequence[str] = ()  # what a reader must know first, e.g. what the demo cut
    frontends: Mapping[str, FrontEndFiles] = field(default_factory=dict)  # by name
    leakage: Mapping[str, Path] = field(default_factory=dict)  # JSON by training source
    ceiling: Mapping[str, ScoreFiles] = field(default_factory=dict)  # scores of people, by split
    errors: Mapping[str, Path] = field(default_factory=dict)  # JSON of missed words, by split
    vocabularies: Mapping[str, Path] = field(default_factory=dict)  # JSON by name
    benchmarks: Mapping[str, Sequence[Path]] = field(default_factory=dict)  # TSVs by rule
    versions: Mapping[str, str] = field(default_factory=dict)  # of the software, by name
    commit: str | None = None  # of the project's code
    rule_graph: RuleGraph | None = None  # what the report was made by
    listening: ListeningFiles = ListeningFiles("none", ())

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "ReportContent":
        """Build the content from plain values (strings for paths), as a job's params hold them.

        Raises:
            TypeError: a key is missing or unknown; the message names it.
        """
        parts: dict[str, Any] = {
            "corpus": Corpus(**given["corpus"]),
            "splits": {
                name: SplitFiles.from_dict(files) for name, files in given["splits"].items()
            },
            "systems": [System.from_dict(system) for system in given["systems"]],
        }
        for key in ("vocabularies", "leakage", "errors"):
            if key in given:
                parts[key] = {name: Path(path) for name, path in given[key].items()}
        if "ceiling" in given:
            parts["ceiling"] = {
                split: ScoreFiles.from_dict(files) for split, files in given["ceiling"].items()
            }
        if "listening" in given:
            parts["listening"] = ListeningFiles.from_dict(given["listening"])
        if "frontends" in given:
            parts["frontends"] = {
                name: FrontEndFiles.from_dict(files) for name, files in given["frontends"].items()
            }
        if given.get("rule_graph"):
            parts["rule_graph"] = RuleGraph.from_dict(given["rule_graph"])
        if "benchmarks" in given:
            parts["benchmarks"] = {
                rule: [Path(path) for path in paths] for rule, paths in given["benchmarks"].items()
            }
        return cls(**{**given, **parts})

    @property
    def scored_splits(self) -> list[str]:
        """The splits that at least one system was scored on, in the order of `splits`."""
        return [name for name in self.splits if any(name in s.scores for s in self.systems)]

    def settings(self, system: str) -> Mapping[str, Any]:
        """Give the resolved settings of a system; nothing for one that the config does not have."""
        found: Mapping[str, Any] = self.config.get("systems", {}).get(system, {})
        return found

    def members(self, system: str) -> list[tuple[str, int]]:
        """Give the members of an ensemble, system and seed; nothing for a single system."""
        return [(m["system"], m["seed"]) for m in self.settings(system).get("members") or ()]

    def kind(self, system: System) -> str:
        """Say what a run is: "system", "ensemble" or "trivial"."""
        return (
            "ensemble" if self.members(system.name) else "trivial" if system.trivial else "system"
        )

    def groups(self) -> list["Group"]:
        """Gather the runs that differ in nothing but the seed, in the order of the runs."""
        runs: dict[tuple[str, str], list[System]] = {}
        for run in self.systems:
            runs.setdefault((run.name, run.decoding), []).append(run)
        return [
            Group(_label(found[0], self.systems), sorted(found, key=lambda run: run.seed))
            for found in runs.values()
        ]


@dataclass(frozen=True)
class Group:
    """A system with a decoding: one row of the score table, whatever the number of seeds."""

    label: str
    runs: Sequence[System]  # one per seed, in the order of the seeds

    @property
    def first(self) -> System:
        """The run of the first seed."""
        return self.runs[0]


def system_titles(systems: Sequence[System]) -> dict[str, str]:
    """Name every system once: by its title, and by its name too where another has that title."""
    titles = {system.name: system.title for system in systems}
    return {
        name: f"{title} ({name})" if list(titles.values()).count(title) > 1 else title
        for name, title in titles.items()
    }


def system_labels(systems: Sequence[System]) -> list[str]:
    """Name every run: the title, with seed and decoding only where they tell runs apart."""
    labels = []
    for system in systems:
        seeds = {other.seed for other in systems if other.name == system.name}
        seed = f"seed {system.seed}" if len(seeds) > 1 else ""
        labels.append(_label(system, systems, seed))
    return labels


def _label(system: System, systems: Sequence[System], seed: str = "") -> str:
    decodings = {other.decoding for other in systems if other.name == system.name}
    decoding = system.decoding if len(decodings) > 1 else ""
    return ", ".join(filter(None, [system_titles(systems)[system.name], seed, decoding]))
