"""What a config's targets make: the runs of its systems, and the paths of all that they leave.

Read at every start of the workflow, so nothing heavy is imported.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from captioner.corpus.splits import UNCAPTIONED
from captioner.errors import InputError
from captioner.plan import Plan


class Run(NamedTuple):
    """A system's captions: of one seed of its training and one decoding."""

    system: str
    seed: int
    decoding: str

    @property
    def name(self) -> str:
        """The name of the run in file names and tables."""
        return f"{self.system}.seed{self.seed}.{self.decoding}"


class Results:
    """The runs of a plan and their files, all of the scored corpus."""

    def __init__(self, plan: Plan):
        self._plan = plan
        self._config = plan.config
        self._folder = f"results/{plan.corpus}"
        self.score_splits: list[str] = plan.config["score_splits"]
        decoded = {*self.score_splits, *UNCAPTIONED}
        self._decoded_splits = [split for split in plan.splits if split in decoded]
        # (system, split) -> why its captions are not scored: it learned from the split
        self.unscored = {
            (system, split): found
            for system in plan.systems
            for split in self.score_splits
            if (found := plan.lineage.seen(system, split))
        }
        # Whose clips the report plays: the last split that a system is scored on.
        scored = [split for split in plan.splits if split in self.score_splits]
        some = [s for s in scored if any((name, s) not in self.unscored for name in plan.systems)]
        self.heard = (some or scored)[-1]
        self._audio = plan.config["report"]["audio"]
        if self._audio == "original" and "audio" in plan.corpora[plan.corpus]["remove"]:
            raise InputError(
                f"report.audio is original, but {plan.corpus} has remove: [audio], so that the "
                "report would link to files that are gone. Set report.audio to compressed, or keep "
                "the audio."
            )
        # Trivial systems have seed 0 and the decoding `none`.
        self.runs: list[Run] = [
            Run(name, seed, decoding)
            for name, system in plan.systems.items()
            for seed in plan.lineage.seeds(name)
            for decoding in system.get("decodings", ["none"])
        ]

    def scored_runs(self, split: str) -> list[Run]:
        """Give the runs that are scored on a split: not those whose system learned from it."""
        return [run for run in self.runs if (run.system, split) not in self.unscored]

    def decoded_splits(self, system: str) -> list[str]:
        """Give the splits of which the report and the submission need a system's captions."""
        return [split for split in self._decoded_splits if (system, split) not in self.unscored]

    def captions_of(self, run: Run, split: str) -> str:
        """Give the path of a run's captions of a split."""
        system, seed, decoding = run
        return f"{self._plan.folder(system, seed)}/captions/{decoding}/{split}.csv"

    def scores_of(self, run: Run, split: str) -> dict[str, str]:
        """Give the paths of a run's scores: of the split (json) and per clip (parquet)."""
        system, seed, decoding = run
        folder = f"{self._plan.folder(system, seed)}/scores/{decoding}"
        return {extension: f"{folder}/{split}.{extension}" for extension in ("json", "parquet")}

    def errors_of(self, split: str) -> str:
        """Give the path of the analysis of words of all runs that are scored on a split."""
        return f"{self._folder}/errors/{split}.json"

    def attention_of(self, run: Run) -> str | None:
        """Give the path of where a run's words look in the clips that the report plays.

        None for a system that cannot say, for other seeds than its first, and where the run has no
        captions of these clips.
        """
        name, seed, decoding = run
        lineage = self._plan.lineage
        if name not in lineage.attentive or seed != lineage.seeds(name)[0]:
            return None
        if (name, self.heard) in self.unscored:
            return None
        return f"{self._plan.folder(name, seed)}/attention/{decoding}/{self.heard}.parquet"

    # What the targets ask for.

    def features(self) -> list[str]:
        """Give the shards of all front-ends."""
        plan = self._plan
        return [
            path
            for frontend in plan.frontends
            for split in plan.splits
            for path in plan.shards(plan.corpus, split, frontend)
        ]

    def models(self) -> list[str]:
        """Give the folders of all models that are trained here."""
        return [
            f"{self._plan.folder(name, seed)}/model"
            for name in self._plan.trained
            for seed in self._plan.lineage.seeds(name)
        ]

    def captions(self) -> list[str]:
        """Give the captions of all runs."""
        return [
            self.captions_of(run, split)
            for run in self.runs
            for split in self.decoded_splits(run.system)
        ]

    def scores(self) -> list[str]:
        """Give the scores of all runs, and of people."""
        of_runs = [
            self.scores_of(run, split)["json"]
            for split in self.score_splits
            for run in self.scored_runs(split)
        ]
        return of_runs + [files["json"] for files in self.ceiling().values()]

    def ceiling(self) -> dict[str, dict[str, str]]:
        """Give split -> scores of people, where clips have several captions to score by."""
        folder = f"{self._folder}/human_ceiling"
        return {
            split: {extension: f"{folder}/{split}.{extension}" for extension in ("json", "parquet")}
            for split in self.score_splits
            if self._plan.layout.most_captions(split) != 1
        }

    def report(self) -> str:
        """Give the page of the report."""
        return f"{self._folder}/report/index.html"

    def run_record(self) -> str:
        """Give the path of what a run's start records: no result, for it is written every time."""
        return f"{self._folder}/run.json"

    # What the report shows.

    def report_content(self) -> dict[str, Any]:
        """Give the report's content, as `captioner.reporting.content.ReportContent` reads it."""
        plan = self._plan
        corpus = plan.corpora[plan.corpus]
        tables = ("clips", "annotations", "checks")
        used = sorted({system["vocabulary"] for system in plan.lineage.speaking.values()})
        return {
            "corpus": {
                "name": plan.corpus,
                "title": corpus["title"],
                "synthetic": "generator" in corpus,
                "clotho": plan.corpus.startswith("clotho-v2"),  # of the published scores
            },
            "config": self._shown_config(),
            "notes": [
                f"{what}: {change}" for what, found in plan.changes.items() for change in found
            ],
            "splits": {
                split: {kind: plan.table(kind, plan.corpus, split) for kind in tables}
                for split in plan.splits
            },
            "vocabularies": {name: f"{self._folder}/vocabulary/{name}.json" for name in used},
            "systems": [self._row(run) for run in self.runs],
            "frontends": {
                name: {
                    "settings": settings,
                    "shards": plan.shards(plan.corpus, self.heard, name),
                }
                for name, settings in plan.frontends.items()
            },
            "listening": {
                "audio": self._audio,
                "folders": [
                    f"{self._folder}/listening/{self.heard}/{shard}"
                    for shard in range(plan.layout.n_shards[self.heard])
                ],
            },
            "leakage": plan.leaks(),
            "ceiling": self.ceiling(),
            "errors": {
                split: self.errors_of(split) for split in [self.heard] if self.scored_runs(split)
            },
        }

    def report_files(self) -> list[str]:
        """Give every result that the report's content names."""
        return list(self._files_in(self.report_content()))

    def _row(self, run: Run) -> dict[str, Any]:
        name, seed, decoding = run
        folder, system = self._plan.folder(name, seed), self._plan.systems[name]
        return {
            "name": name,
            "title": system["title"],
            "seed": seed,
            "decoding": decoding,
            "trivial": "trivial" in system,
            "model": f"{folder}/model" if "family" in system else None,
            "history": f"{folder}/history.csv" if name in self._plan.trained else None,
            "captions": {
                split: self.captions_of(run, split) for split in self.decoded_splits(name)
            },
            "scores": {
                split: self.scores_of(run, split)
                for split in self.score_splits
                if (name, split) not in self.unscored
            },
            "unscored": {split: why for (of, split), why in self.unscored.items() if of == name},
            "attention": self.attention_of(run),
        }

    def _shown_config(self) -> dict[str, Any]:
        shown = ("seeds", "decodings", "vocabularies", "score_splits", "submission")
        return {
            "corpora": {
                name: {k: v for k, v in corpus.items() if k not in ("name", "folder")}
                for name, corpus in self._plan.corpora.items()
            },
            "systems": self._plan.systems,
            "frontends": self._plan.frontends,
            **{key: self._config[key] for key in shown},
        }

    def _files_in(self, content: Any) -> Iterator[str]:
        for value in content.values() if isinstance(content, dict) else content:
            if isinstance(value, dict | list):
                yield from self._files_in(value)
            elif isinstance(value, str) and value.startswith(f"{self._folder}/"):
                yield value
