"""What a config asks for: its corpora, systems and front-ends, and what each is made from.

Read at every start of the workflow, so nothing heavy is imported.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from captioner.audio.frontends import FRONTENDS
from captioner.corpus.download.registry import Entry, read_registry
from captioner.corpus.layout import CorpusLayout, corpus_layout, download
from captioner.errors import InputError
from captioner.lineage import Lineage
from captioner.models.keys import model_keys
from captioner.models.registry import FAMILIES
from captioner.plan_checks import check_plan
from captioner.settings import check_names, complete, read_yaml, resolve

# Published weights: of encoders, and of whole systems.
ENCODERS_REGISTRY = "config/frontends/weights.tsv"
SYSTEMS_REGISTRY = "config/systems/weights.tsv"
ARCHIVE = "audio_archive"

Settings = dict[str, Any]


class Plan:
    """A resolved config: defaults filled in, names checked, paths of results known."""

    def __init__(self, config: Settings, root: Path):
        """Resolve `config` (completed in place) with the named files under `root`.

        Raises `InputError` for settings against a schema or one another, unknown names, and systems
        that cannot be made of one another.
        """
        self._root = root
        schema = self._schema("config")
        config.update(complete(_as_yaml(config, schema), schema, "config"))
        self.config = config
        self.corpora: dict[str, Settings] = {}
        self.layouts: dict[str, CorpusLayout] = {}
        self.systems: dict[str, Settings] = {}
        self.frontends: dict[str, Settings] = {}
        self.changes: dict[str, list[str]] = {}  # how overrides differ from the named files
        self._published_weights: dict[str, tuple[Entry, Path]] = {}  # file -> row, its registry
        for registry in (root / ENCODERS_REGISTRY, root / SYSTEMS_REGISTRY):
            for entry in read_registry(registry):
                self._published_weights[entry.file] = entry, registry
        self.corpus = self._add_corpus(config["corpus"])
        self.layout = self.layouts[self.corpus]
        check_names(["development"], self.splits, "split", "training")
        check_names(config["score_splits"], self.splits, "split", "score_splits")
        for item in config["systems"]:
            self._add_system(item)
        for name, vocabulary in config["vocabularies"].items():
            check_names(vocabulary["corpora"], self.corpora, "corpus", f"vocabulary {name}")
        self.lineage = Lineage(self.systems, config["seeds"], self.corpus)
        check_plan(self)

    @property
    def splits(self) -> list[str]:
        """The splits of the scored corpus, but for those that are made on demand."""
        return self.splits_of(self.corpus)

    def splits_of(self, corpus: str) -> list[str]:
        """Give the splits of a corpus, but for those that are made on demand."""
        on_demand = self.corpora[corpus]["on_demand"]
        return [split for split in self.layouts[corpus].splits if split not in on_demand]

    @property
    def trained(self) -> dict[str, Settings]:
        """The systems that are trained: not the trivial, the published, nor ensembles."""
        return self.lineage.trained

    def _schema(self, name: str) -> Settings:
        return _read_schema(self._root / "workflow/schemas" / f"{name}.schema.yaml")

    def _add_corpus(self, item: str | Mapping[str, Any]) -> str:
        named = resolve(item, "corpus", self._root / "config/corpora", self._schema("corpus"))
        settings = {**named.settings, "name": named.name, "folder": str(named.path.parent)}
        if named.name not in self.corpora:
            self.layouts[named.name] = corpus_layout(settings)
            self.corpora[named.name] = settings
            self.changes[f"corpus {named.name}"] = named.changes
        elif named.changes != self.changes[f"corpus {named.name}"]:
            raise InputError(
                f"config: corpus {named.name} is described twice, with {named.changes} and with "
                f"{self.changes[f'corpus {named.name}']}; give one of them another name by `as:`"
            )
        return named.name

    def _add_system(self, item: str | Mapping[str, Any]) -> None:
        folder = self._root / "config/systems"
        name, system, _, changes = resolve(item, "system", folder, self._schema("system"))
        source = f"system {name}"
        if name in self.systems:
            raise InputError(f"config: {source} stands twice; give a variant a name by `as:`")
        self.systems[name], self.changes[source] = system, changes
        known = self.config
        check_names(system.get("decodings", []), known["decodings"], "decoding", source)
        if "members" in system:
            del system["train"]  # its members'
        if "family" in system:
            check_names([system["family"]], FAMILIES, "family", source)
            check_names([system["vocabulary"]], known["vocabularies"], "vocabulary", source)
            for part in system["train"]:
                self._resolve_part(source, part, known["vocabularies"][system["vocabulary"]])
        system["frontends"] = [self._add_frontend(frontend) for frontend in system["frontends"]]

    def _add_frontend(self, item: str | Mapping[str, Any]) -> str:
        named = resolve(item, "front-end", self._root / "config/frontends", {})
        source = f"front-end {named.name}"
        # First of all the kind: it decides which other keys there are.
        check_names([str(named.settings.get("kind"))], FRONTENDS, "kind", source)
        settings = complete(named.settings, self._schema("frontend"), source)
        if self.frontends.setdefault(named.name, settings) != settings:
            raise InputError(
                f"config: {source} is described twice, with {settings} and with "
                f"{self.frontends[named.name]}; give one of them another name by `as:`"
            )
        if named.changes:
            self.changes[source] = named.changes
        return named.name

    def _resolve_part(self, source: str, part: Settings, vocabulary: Settings) -> None:
        """Name the corpus of a part of `train`, and check its names."""
        named = part.get("corpus")
        part["corpus"] = self.corpus if named is None else self._add_corpus(named)
        check_names(part["splits"], self.layouts[part["corpus"]].splits, "split", source)
        if part["task_token"]:
            check_names([part["task_token"]], vocabulary["task_tokens"], "task token", source)

    # What is fetched and unpacked.

    def published(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield (corpus, kind, key, name) of every published file."""
        for corpus, layout in self.layouts.items():
            for files in layout.files.values():
                for kind, key, name in files:
                    yield corpus, kind, key, name

    def registry(self, key: str, file: str) -> str:
        """Give the path of the registry that names a published file."""
        for corpus, _, *found in self.published():
            if found == [key, file] and (path := self.layouts[corpus].registry):
                return path
        return str(self._published_weights[file][1])

    def archive(self, key: str, stem: str) -> str:
        """Give the archive that is unpacked into the folder `stem`."""
        for _, kind, found, name in self.published():
            if (kind, found, Path(name).stem) == (ARCHIVE, key, stem):
                return download(key, name)
        raise InputError(f"no archive {key}/{stem} is named by a corpus of this config")

    def passing_keys(self, what: str) -> list[str]:
        """Give the keys of archives whose `what` (archives, audio) is removed once it is used."""
        return sorted(
            {
                key
                for corpus, kind, key, _ in self.published()
                if kind == ARCHIVE and what in self.corpora[corpus]["remove"]
            }
        )

    def generator(self, key: str) -> Settings:
        """Give the settings of the generated corpus with this key."""
        return next(
            self.corpora[corpus]["generator"]
            for corpus, layout in self.layouts.items()
            if layout.generated == key
        )

    def checkpoint(self, named: str) -> str:
        """Give the path of a checkpoint: published, by its file name, or the user's own file."""
        if named not in self._published_weights:
            return named
        entry, _ = self._published_weights[named]
        return download(entry.key, entry.file)

    def weights(self, frontend: str) -> str | None:
        """Give the checkpoint of a front-end that has one."""
        named: str | None = self.frontends[frontend].get("checkpoint")
        return None if named is None else self.checkpoint(named)

    def encoders(self, system: str) -> dict[str, str]:
        """Give front-end -> checkpoint, of those that have one."""
        frontends = self.systems[system]["frontends"]
        return {name: path for name in frontends if (path := self.weights(name))}

    # What a system is made of.

    def folder(self, system: str, seed: int) -> str:
        """Give the folder of a run: its model, history, captions and scores."""
        return f"results/{self.corpus}/systems/{system}/seed{seed}"

    def models(self, system: str, seed: int) -> list[str]:
        """Give the model folders that a run decodes with: its own, or its members'."""
        return [f"{self.folder(*found)}/model" for found in self.lineage.models(system, seed)]

    def start(self, system: str, seed: int) -> str | None:
        """Give the model folder that a training starts from, if any."""
        found = self.lineage.start(system, seed)
        return None if found is None else f"{self.folder(*found)}/model"

    def published_weights(self, system: str) -> str:
        """Give the weights of a system that is not trained."""
        return self.checkpoint(self.systems[system]["weights"])

    def pretrained(self, system: str) -> dict[str, str]:
        """Give part of the model -> checkpoint that it starts from."""
        named = self.systems[system]["pretrained"]
        return {part: self.checkpoint(file) for part, file in named.items()}

    def word_embeddings(self, system: str) -> str | None:
        """Give the word embeddings that a training starts from, if any."""
        if self.systems[system]["word_embeddings"] is None:
            return None
        return f"results/{self.corpus}/word_embeddings/{system}.safetensors"

    def word_values(self, system: str) -> int | None:
        """Give how many values a word has in a system's model; None if its family does not say."""
        settings = self.systems[system]
        dims = {**(model_keys(settings["family"]) or {}), **settings["model"]}
        n_values: int | None = dims.get("n_word_values") or dims.get("n_hidden")
        return n_values

    # What a system learns from.

    def table(self, kind: str, corpus: str, split: str) -> str:
        """Give the path of a table: clips, annotations or checks."""
        extension = "json" if kind == "checks" else "parquet"
        return f"results/{corpus}/{kind}/{split}.{extension}"

    def shards(self, corpus: str, split: str, frontend: str) -> list[str]:
        """Give the paths of a split's features."""
        folder = f"results/{corpus}/features/{frontend}/{split}"
        return [
            f"{folder}/{shard}.parquet" for shard in range(self.layouts[corpus].n_shards[split])
        ]

    def sources(self, system: str) -> list[Settings]:
        """Give what a system learns from, as `captioner.training.sources.Source` reads it.

        The scored corpus comes first, then the others in the order of the system's YAML.
        """
        parts = sorted(self.systems[system]["train"], key=lambda p: p["corpus"] != self.corpus)
        return [
            self._source(system, part["corpus"], split, part["weight"], part["task_token"])
            for part in parts
            for split in part["splits"]
        ]

    def validation(self, system: str) -> Settings | None:
        """Give what a training stops on: the validation split, unless its weights have seen it."""
        if "validation" not in self.splits or self.lineage.seen(system, "validation"):
            return None
        task_token = self.lineage.task_token(system)
        return self._source(system, self.corpus, "validation", 1.0, task_token)

    def _source(
        self, system: str, corpus: str, split: str, weight: float, task_token: str | None
    ) -> Settings:
        leaks = f"results/{self.corpus}/leakage/{corpus}.{split}.json"
        return {
            "corpus": corpus,
            "split": split,
            "clips": self.table("clips", corpus, split),
            "annotations": self.table("annotations", corpus, split),
            "shards": {
                frontend: self.shards(corpus, split, frontend)
                for frontend in self.systems[system]["frontends"]
            },
            "weight": weight,
            "task_token": task_token,
            "leaks": None if corpus == self.corpus else leaks,
        }

    def training_files(self, system: str) -> Iterator[str]:
        """Yield every file that `sources` and `validation` name, and the checks of their splits."""
        for source in filter(None, [*self.sources(system), self.validation(system)]):
            yield self.table("checks", source["corpus"], source["split"])
            yield from (path for paths in source["shards"].values() for path in paths)
            yield from filter(None, (source[key] for key in ("clips", "annotations", "leaks")))

    def statistics(self, system: str) -> dict[str, list[str]]:
        """Give front-end -> the statistics of each source."""
        return {
            frontend: [
                f"results/{source['corpus']}/features/{frontend}/statistics/{source['split']}.json"
                for source in self.sources(system)
            ]
            for frontend in self.systems[system]["frontends"]
        }

    def leaks(self) -> dict[str, str]:
        """Give "corpus, split" -> leakage check, of every foreign source of a system."""
        return {
            f"{source['corpus']}, {source['split']}": source["leaks"]
            for system in self.trained
            for source in self.sources(system)
            if source["leaks"]
        }


def _as_yaml(config: Settings, schema: Settings) -> Settings:
    """Read `--config resume=false 'seeds=[1, 2]'` as YAML would: Snakemake itself knows only
    `False`, and takes what stands in a list for words."""

    def read(value: Any, expected: Settings) -> Any:
        match value, expected.get("type"):
            case list(), "array":
                return [read(item, expected.get("items", {})) for item in value]
            case "true" | "false", "boolean":
                return value == "true"
            case str(), "integer" if value.isdecimal():
                return int(value)
        return value

    return {key: read(value, schema["properties"].get(key, {})) for key, value in config.items()}


@cache
def _read_schema(path: Path) -> Settings:
    return read_yaml(path)
