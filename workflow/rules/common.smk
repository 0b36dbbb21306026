"""Validated config, names of files, digests: the only rule file with functions."""

import hashlib
import json
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "src"))

from captioner.corpus.readers import graph_reader
from captioner.errors import InputError
from captioner.settings import check_names, complete, read_yaml, resolve
from captioner.source import source_digest as digest_of_source

UNSCORED_SPLITS = ("test", "analysis")  # without captions: decoded, never scored
GPUS = 1 if Path("/proc/driver/nvidia/version").exists() else 0


def schema(name):
    return read_yaml(ROOT / "workflow/schemas" / f"{name}.schema.yaml")


def resolve_config():
    """Return (corpus, systems, front-ends) with every default filled in; names are checked."""
    config.update(complete(config, schema("config"), "config"))
    corpus_name, corpus, corpus_file = resolve(
        config["corpus"], "corpus", ROOT / "config/corpora", schema("corpus")
    )
    systems, frontends = {}, {}
    for item in config["systems"]:
        name, system, _ = resolve(
            item, "system", ROOT / "config/systems", schema("system")
        )
        if name in systems:
            raise InputError(
                f"config: system {name!r} stands twice; give a variant a name by `as`"
            )
        check_names(
            system.get("decodings", []),
            config["decodings"],
            "decoding",
            f"system {name}",
        )
        check_names(
            [system["vocabulary"]] if "vocabulary" in system else [],
            config["vocabularies"],
            "vocabulary",
            f"system {name}",
        )
        for frontend in system["frontends"]:
            frontends[frontend] = resolve(
                frontend, "front-end", ROOT / "config/frontends", schema("frontend")
            )[1]
        systems[name] = system
    corpus["name"] = corpus_name
    corpus["folder"] = str(corpus_file.parent)  # paths in the YAML are relative to it
    return corpus, systems, frontends


def build_reader():
    """Return the reader of the corpus as far as the graph needs it; its splits are checked."""
    reader = graph_reader(CORPUS)
    check_names(
        config["score_splits"], dict.fromkeys(reader.splits), "split", "score_splits"
    )
    if TRAINED:
        check_names(["development"], dict.fromkeys(reader.splits), "split", "training")
    return reader


try:
    CORPUS, SYSTEMS, FRONTENDS = resolve_config()
    TRAINED = {name: system for name, system in SYSTEMS.items() if "family" in system}
    READER = build_reader()
except InputError as error:
    raise WorkflowError(str(error)) from None

C = CORPUS["name"]
SPLITS = READER.splits
DECODED_SPLITS = [
    split
    for split in SPLITS
    if split in config["score_splits"] or split in UNSCORED_SPLITS
]
TRAINING_SPLITS = [split for split in ("development", "validation") if split in SPLITS]


wildcard_constraints:
    corpus="[^/]+",
    split="development|validation|evaluation|test|analysis",
    frontend="[^/]+",
    shard=r"\d+",
    vocabulary="[^/]+",
    system="[^/]+",
    seed=r"\d+",
    decoding="[^/]+",
    key="[^/]+",
    file="[^/]+",


# Digests: what a rule's params hold so that it reruns when, and only when, its inputs change.


def source_digest(rule, output, *modules):
    """Param `code`: digest of what `rule`'s script imports and of `modules` (names, or functions of
    the wildcards that give one). With `code_changes: warn` the digest recorded for `output` (its
    pattern) stands, and an edit since then is reported once."""

    def digest(wildcards):
        names = [
            module(wildcards) if callable(module) else module for module in modules
        ]
        now = digest_of_source(
            ROOT / "workflow/scripts" / f"{rule}.py", *filter(None, names)
        )
        if config["code_changes"] == "rerun":
            return f"code {now}"
        recorded = workflow.persistence.params(IOFile(output.format(**wildcards))) or []
        before = next(
            (p[1:-1] for p in recorded if p.startswith("'code ")), f"code {now}"
        )
        if before != f"code {now}":
            logger.warning(
                f"The code of {rule} was edited since {output.format(**wildcards)} was made."
            )
        return before

    return digest


def digest_of(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def family_module(wildcards):
    from captioner.models.registry import FAMILIES

    return FAMILIES.get(SYSTEMS[wildcards.system].get("family"))


def frontend_module(wildcards):
    from captioner.audio.frontends import FRONTENDS as kinds

    return kinds.get(FRONTENDS[wildcards.frontend]["kind"])


def training_settings(wildcards):
    """What training uses of a system: not its title, nor its decodings."""
    unused = ("title", "decodings")
    return {k: v for k, v in SYSTEMS[wildcards.system].items() if k not in unused}


# Files: one function per artefact.


def download(file):
    """Path of a published file: under its md5, or under a digest of what generates it."""
    return f"resources/downloads/{READER.keys[file]}/{file}"


def shards(split, frontend):
    folder = f"results/{C}/features/{frontend}/{split}"
    return [f"{folder}/{shard}.parquet" for shard in range(READER.n_shards[split])]


def system_shards(splits):
    """Input function: the feature shards of `splits` for all front-ends of the wildcard's system."""

    def paths(wildcards):
        names = [wildcards.split] if splits is None else splits
        frontends = SYSTEMS[wildcards.system]["frontends"]
        return [path for f in frontends for split in names for path in shards(split, f)]

    return paths


def system_statistics(wildcards):
    folder = f"results/{C}/features"
    return [
        f"{folder}/{f}/statistics/development.json"
        for f in SYSTEMS[wildcards.system]["frontends"]
    ]


def runs():
    """Every (system, seed, decoding): trivial systems have seed 0 and the decoding `none`."""
    for name, system in SYSTEMS.items():
        for seed in config["seeds"] if name in TRAINED else [0]:
            for decoding in system.get("decodings", ["none"]):
                yield name, seed, decoding


def feature_shards():
    return [path for f in FRONTENDS for split in SPLITS for path in shards(split, f)]


def trained_models():
    folders = (
        f"results/{C}/systems/{name}/seed{seed}"
        for name, seed, _ in runs()
        if name in TRAINED
    )
    return sorted({f"{folder}/model" for folder in folders})


def decoded_captions(splits=DECODED_SPLITS):
    return [
        f"results/{C}/systems/{name}/seed{seed}/captions/{decoding}/{split}.csv"
        for name, seed, decoding in runs()
        for split in splits
    ]


def scored_outputs(extension):
    return [
        f"results/{C}/systems/{name}/seed{seed}/scores/{decoding}/{split}.{extension}"
        for name, seed, decoding in runs()
        for split in config["score_splits"]
    ]


def report_page():
    return f"results/{C}/report/index.html"


SUBMITTED = [
    f"results/{C}/systems/{name}/seed{seed}/captions/{decoding}/test.csv"
    for name, seed, decoding in runs()
    if name in TRAINED
][
    :4
]  # the challenge takes four systems


def submission_outputs():
    """The challenge's output CSVs: one per trained system, where the corpus has a test split."""
    if "test" not in SPLITS:
        return []
    names = config["submission"]
    stem = f"results/{C}/submission/{names['author']}_{names['institute']}_task6_submission"
    return [f"{stem}_{index}_output.csv" for index in range(1, len(SUBMITTED) + 1)]
