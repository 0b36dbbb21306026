"""What a config sends to the challenge: systems, names, and the results that they are made from.

Read at every start of the workflow, so nothing heavy is imported.
"""

from collections.abc import Iterator
from typing import Any

from captioner.errors import InputError
from captioner.plan import Plan
from captioner.results import Results, Run
from captioner.settings import check_names
from captioner.submission.names import N_SYSTEMS, file_name, folded
from captioner.submission.schema import MAX_ABBREVIATION

SENT_SPLIT, SCORED_SPLIT = "test", "evaluation"  # DCASE: evaluation, development-testing
PLACEHOLDER = {  # until the config names the authors
    "lastname": "Author",
    "firstname": None,
    "email": None,
    "corresponding": True,
    "affiliation": {
        "abbreviation": "Institute",
        "institute": None,
        "department": None,
        "location": None,
    },
}


class Submission:
    """The package of a plan: for each system that is sent, three files, and all of them zipped."""

    def __init__(self, plan: Plan, results: Results):
        """Check the config's `submission`.

        Raises `InputError` for a system that is not in the config or stands twice, and unless
        exactly one author is the corresponding one, with names that file names can hold.
        """
        self._plan, self._results = plan, results
        self._given = plan.config["submission"]
        self.authors: list[dict[str, Any]] = self._given["authors"] or [PLACEHOLDER]
        self.team = self._team()
        self._folder = f"results/{plan.corpus}/submission"
        speaking = plan.lineage.speaking
        items = self._given["systems"] or list(speaking)[:N_SYSTEMS]
        self._systems = [{"system": item} if isinstance(item, str) else item for item in items]
        names = [item["system"] for item in self._systems]
        check_names(names, speaking, "system", "submission")
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"submission: the system {name} stands twice; name another")
        self.indices = range(1, len(names) + 1) if SENT_SPLIT in plan.splits else range(0)

    def package(self) -> list[str]:
        """Give the package, where the corpus has a test split."""
        return [self.package_path] if self.indices else []

    @property
    def package_path(self) -> str:
        """The path of the package."""
        return f"{self._folder}/{self.team}_task6_submission.zip"

    def path(self, index: int | str, kind: str) -> str:
        """Give the path of a system's file: output, metadata or report."""
        author, institute = self.team.split("_")
        return f"{self._folder}/{file_name(author, institute, index, kind)}"

    def captions(self, index: int) -> str:
        """Give the captions that are sent: those of the system's first seed and decoding."""
        return self._results.captions_of(self._run(index), SENT_SPLIT)

    def scores(self, index: int) -> str | None:
        """Give the scores of development-testing; None of a system that has learned from it."""
        system = self._run(index)[0]
        if SCORED_SPLIT not in self._plan.splits or self._plan.lineage.seen(system, SCORED_SPLIT):
            return None
        return self._results.scores_of(self._run(index), SCORED_SPLIT)["json"]

    def models(self, index: int) -> list[str]:
        """Give the model folders of a system: those that caption, then what they started from."""
        speaking, before = self._trainings(index)
        return [f"{self._plan.folder(*run)}/model" for run in speaking + before]

    def report(self, index: int) -> str | None:
        """Give the team's own report, if there is one."""
        own: str | None = self._systems[index - 1].get("report") or self._given["report"]
        return own

    def files(self, index: int) -> list[str]:
        """Give every file that a system's metadata and report are made from."""
        found = [self.captions(index), self.scores(index), self.report(index)]
        content = self.content(index)
        found += [*self.models(index), *(training["history"] for training in content["trainings"])]
        found += [part[kind] for part in content["external"] for kind in ("clips", "annotations")]
        found += [part["leaks"] for part in content["external"]]
        return list(dict.fromkeys(filter(None, found)))

    def content(self, index: int) -> dict[str, Any]:
        """Give what `captioner.submission.writing.write_system` is made from, but for the files."""
        plan, item = self._plan, self._systems[index - 1]
        system, _, decoding = self._run(index)
        settings = plan.systems[system]
        author, institute = self.team.split("_")
        return {
            "author": author,
            "institute": institute,
            "index": index,
            "name": item.get("name") or settings["title"],
            "abbreviation": item.get("abbreviation") or self._abbreviations()[index - 1],
            "authors": self.authors,
            "source_code": self._given["source_code"],
            "description": item.get("description", {}),
            "declared": self._given["external_datasets"],
            "ensemble": "members" in settings,
            "decoding": plan.config["decodings"][decoding],
            "corpus": {"name": plan.corpus, "title": plan.corpora[plan.corpus]["title"]},
            "trainings": list(self._training_facts(index)),
            "external": list(self._external(index)),
        }

    def _run(self, index: int) -> Run:
        name = self._systems[index - 1]["system"]
        lineage = self._plan.lineage
        return Run(name, lineage.seeds(name)[0], lineage.speaking[name]["decodings"][0])

    def _trainings(self, index: int) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
        """Give the runs whose models caption, and those that they started from, and so on."""
        lineage = self._plan.lineage
        name, seed, _ = self._run(index)
        speaking = lineage.models(name, seed)
        before: list[tuple[str, int]] = []
        waiting = list(speaking)
        while waiting:
            start = lineage.start(*waiting.pop(0))
            if start is not None and start not in speaking + before:
                before.append(start)
                waiting.append(start)
        return speaking, before

    def _training_facts(self, index: int) -> Iterator[dict[str, Any]]:
        speaking, before = self._trainings(index)
        names = [name for name, _ in speaking + before]
        for run in speaking + before:
            name, folder = run[0], self._plan.folder(*run)
            trained = name in self._plan.trained
            several = names.count(name) > 1
            yield {
                "title": self._plan.systems[name]["title"] + several * f", seed {run[1]}",
                "model": f"{folder}/model",
                "history": f"{folder}/history.csv" if trained else None,
                # Of published weights: how they were made, as the system's YAML tells it.
                "published": None if trained else self._plan.systems[name].get("training"),
                "captions": run in speaking,
            }

    def _external(self, index: int) -> Iterator[dict[str, Any]]:
        """Give the splits of other corpora that a system learned from, each once."""
        speaking, before = self._trainings(index)
        seen = set()
        for name, _ in speaking + before:
            for source in self._plan.sources(name) if name in self._plan.trained else ():
                corpus, split = source["corpus"], source["split"]
                if corpus != self._plan.corpus and (corpus, split) not in seen:
                    seen.add((corpus, split))
                    tables = {key: source[key] for key in ("clips", "annotations", "leaks")}
                    title = self._plan.corpora[corpus]["title"]
                    yield {"corpus": corpus, "title": title, **tables}

    def _abbreviations(self) -> list[str]:
        """Give a short name of each system, from its name: no two alike."""
        found: list[str] = []
        for number, item in enumerate(self._systems, 1):
            short = item["system"][:MAX_ABBREVIATION]
            if short in found:
                short = f"{short[: MAX_ABBREVIATION - 2]}_{number}"
            found.append(short)
        return found

    def _team(self) -> str:
        """Give what all names begin with: the corresponding author and their institute."""
        corresponding = [author for author in self.authors if author["corresponding"]]
        if len(corresponding) != 1:
            raise InputError(
                f"submission.authors: found {len(corresponding)} with `corresponding: true`, "
                "expected exactly one: the label and the files are named after them"
            )
        author = corresponding[0]
        parts = author["lastname"], author["affiliation"]["abbreviation"] or ""
        for part, what in zip(parts, ("lastname", "affiliation.abbreviation"), strict=True):
            if not folded(part):
                raise InputError(
                    f"submission.authors: found the {what} {part!r} of the corresponding author, "
                    "expected Latin letters in it: the label and the files are named after it"
                )
        return "_".join(map(folded, parts))
