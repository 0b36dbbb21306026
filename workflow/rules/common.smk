"""Validated config, names of files, digests: the only rule file with functions."""

import shlex
import shutil
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "src"))
if Path(sys.executable).is_file():  # once
    # Snakemake 9.27 puts the interpreter into a script's command line without quotes.
    sys.executable = shlex.quote(sys.executable)

from captioner.audio.frontends import FRONTENDS as FRONTEND_MODULES
from captioner.corpus.layout import corpus_layout
from captioner.corpus.readers import READERS
from captioner.corpus.splits import UNCAPTIONED
from captioner.errors import InputError
from captioner.evaluation.java import SPICE_JARS
from captioner.models.registry import FAMILIES
from captioner.settings import check_names, complete, read_yaml, resolve
from captioner.source import source_digest as digest_of_source

JAVA_TOOLS = [f"resources/java/{jar.file_name}" for jar in SPICE_JARS]
GPUS = int(shutil.which("nvidia-smi") is not None)


@cache
def schema(name):
    return read_yaml(ROOT / "workflow/schemas" / f"{name}.schema.yaml")


def resolve_config():
    """Return (corpus, systems, front-ends, changes): defaults filled in, names checked; `changes`
    tells how the config's overrides differ from the named files."""
    config.update(complete(config, schema("config"), "config"))
    named = resolve(config["corpus"], "corpus", ROOT / "config/corpora", schema("corpus"))
    corpus = {**named.settings, "name": named.name, "folder": str(named.path.parent)}
    changes = {f"corpus {named.name}": named.changes}
    systems, frontends = {}, {}
    for item in config["systems"]:
        name, system, _, changed = resolve(
            item, "system", ROOT / "config/systems", schema("system")
        )
        source = f"system {name}"
        if name in systems:
            raise InputError(f"config: {source} stands twice; give a variant a name by `as:`")
        if "family" in system:
            check_names([system["family"]], FAMILIES, "family", source)
            check_names([system["vocabulary"]], config["vocabularies"], "vocabulary", source)
            check_names(system["decodings"], config["decodings"], "decoding", source)
        for frontend in system["frontends"]:
            settings = resolve(
                frontend, "front-end", ROOT / "config/frontends", schema("frontend")
            ).settings
            check_names([settings["kind"]], FRONTEND_MODULES, "kind", f"front-end {frontend}")
            frontends[frontend] = settings
        systems[name] = system
        changes[source] = changed
    return corpus, systems, frontends, changes


def read_layout():
    """Return the layout of the corpus; it must have the splits that the config asks for."""
    if CORPUS["kind"] == "folder":
        from captioner.corpus.folder import resolve_paths

        CORPUS.update(resolve_paths(CORPUS, CORPUS["folder"]))
    layout = corpus_layout(CORPUS)
    splits = dict.fromkeys(layout.splits)
    check_names(["development"], splits, "split", "training")
    check_names(config["score_splits"], splits, "split", "score_splits")
    return layout


try:
    CORPUS, SYSTEMS, FRONTENDS, CHANGES = resolve_config()
    LAYOUT = read_layout()
except InputError as error:
    raise WorkflowError(str(error)) from None

C = CORPUS["name"]
TRAINED = {name: system for name, system in SYSTEMS.items() if "family" in system}
# Trainings side by side before several threads in one: the batches are too small to share well.
TRAINING_THREADS = max(1, (workflow.cores or 1) // max(1, len(TRAINED) * len(config["seeds"])))
SPLITS = LAYOUT.splits
TRAINING_SPLITS = [split for split in ("development", "validation") if split in SPLITS]
DECODED_SPLITS = [s for s in SPLITS if s in config["score_splits"] or s in UNCAPTIONED]
READER_SETTINGS = {  # what readers look at: the rest of the YAML must not rerun them
    key: CORPUS[key]
    for key in ("kind", "n_captions", "audio", "captions", "split")
    if key in CORPUS
}


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
    pattern) stands, and an edit since then is reported."""

    def digest(wildcards):
        names = [name(wildcards) if callable(name) else name for name in modules]
        now = digest_of_source(ROOT / "workflow/scripts" / f"{rule}.py", *names)
        if config["code_changes"] == "rerun":
            return f"code {now}"
        recorded = workflow.persistence.params(IOFile(output.format(**wildcards))) or []
        before = next((p[1:-1] for p in recorded if p.startswith("'code ")), f"code {now}")
        if before != f"code {now}":
            logger.warning(
                f"The code of {rule} was edited since {output.format(**wildcards)} was made."
            )
        return before

    return digest


def family_module(wildcards):
    return FAMILIES[SYSTEMS[wildcards.system]["family"]]


def frontend_module(wildcards):
    return FRONTEND_MODULES[FRONTENDS[wildcards.frontend]["kind"]]


def training_settings(wildcards):
    """What training uses of a system: not its title, nor its decodings."""
    unused = ("title", "decodings")
    return {k: v for k, v in SYSTEMS[wildcards.system].items() if k not in unused}


# Files: one function per artefact.


def text_sources(wildcards):
    """Input function: the CSVs of a split. The user's own may hold several splits, so not its date
    but a digest of the split's rows, a param, tells of a change."""
    dated = LAYOUT.text_digest(wildcards.split) is None
    files = LAYOUT.text(wildcards.split)
    return files if dated else {kind: ancient(path) for kind, path in files.items()}


def shards(split, frontend):
    folder = f"results/{C}/features/{frontend}/{split}"
    return [f"{folder}/{shard}.parquet" for shard in range(LAYOUT.n_shards[split])]


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
        f"{folder}/{f}/statistics/development.json" for f in SYSTEMS[wildcards.system]["frontends"]
    ]


def runs():
    """Every (system, seed, decoding): trivial systems have seed 0 and the decoding `none`."""
    for name, system in SYSTEMS.items():
        for seed in config["seeds"] if name in TRAINED else [0]:
            for decoding in system.get("decodings", ["none"]):
                yield name, seed, decoding


def run_folder(system, seed):
    return f"results/{C}/systems/{system}/seed{seed}"


def captions_file(run, split):
    system, seed, decoding = run
    return f"{run_folder(system, seed)}/captions/{decoding}/{split}.csv"


def scores_file(run, split, extension):
    system, seed, decoding = run
    return f"{run_folder(system, seed)}/scores/{decoding}/{split}.{extension}"


def feature_shards():
    return [path for f in FRONTENDS for split in SPLITS for path in shards(split, f)]


def trained_models():
    return [f"{run_folder(name, seed)}/model" for name in TRAINED for seed in config["seeds"]]


def decoded_captions():
    return [captions_file(run, split) for run in runs() for split in DECODED_SPLITS]


def scored_outputs():
    return [scores_file(run, split, "json") for run in runs() for split in config["score_splits"]]


def report_page():
    return f"results/{C}/report/index.html"


TRAINED_RUNS = [run for run in runs() if run[0] in TRAINED]
SUBMITTED = [captions_file(run, "test") for run in TRAINED_RUNS[:4]]  # as many as a team may send


def submission_outputs():
    """The challenge's output CSVs: one per trained system, where the corpus has a test split."""
    if "test" not in SPLITS:
        return []
    names = config["submission"]
    stem = f"results/{C}/submission/{names['author']}_{names['institute']}_task6_submission"
    return [f"{stem}_{index}_output.csv" for index in range(1, len(SUBMITTED) + 1)]


def report_content():
    """What the report shows, as `captioner.reporting.content.ReportContent` reads it."""
    systems = []
    for run in runs():
        name, seed, decoding = run
        folder, trained = run_folder(name, seed), name in TRAINED
        systems.append(
            {
                "name": name,
                "title": SYSTEMS[name]["title"],
                "seed": seed,
                "decoding": decoding,
                "trivial": not trained,
                "model": f"{folder}/model" if trained else None,
                "history": f"{folder}/history.csv" if trained else None,
                "captions": {split: captions_file(run, split) for split in DECODED_SPLITS},
                "scores": {
                    split: {ext: scores_file(run, split, ext) for ext in ("json", "parquet")}
                    for split in config["score_splits"]
                },
            }
        )
    shown = ("seeds", "decodings", "vocabularies", "score_splits", "submission")
    return {
        "corpus": {
            "name": C,
            "title": CORPUS["title"],
            "kind": CORPUS["kind"],
            "synthetic": "generator" in CORPUS,
            "clotho": C.startswith("clotho-v2"),  # what the published scores were measured on
        },
        "config": {
            "corpus": {k: v for k, v in CORPUS.items() if k not in ("name", "folder")},
            "systems": SYSTEMS,
            "frontends": FRONTENDS,
            **{key: config[key] for key in shown},
        },
        "notes": [f"{what}: {change}" for what, found in CHANGES.items() for change in found],
        "splits": {
            split: {
                "clips": f"results/{C}/clips/{split}.parquet",
                "annotations": f"results/{C}/annotations/{split}.parquet",
                "checks": f"results/{C}/checks/{split}.json",
            }
            for split in SPLITS
        },
        "vocabularies": {
            name: f"results/{C}/vocabulary/{name}.json"
            for name in sorted({system["vocabulary"] for system in TRAINED.values()})
        },
        "systems": systems,
    }


def files_in(content):
    """Yield every path of a result in a nested mapping: the inputs of the report."""
    for value in content.values() if isinstance(content, dict) else content:
        if isinstance(value, (dict, list)):
            yield from files_in(value)
        elif isinstance(value, str) and value.startswith(f"results/{C}/"):
            yield value
