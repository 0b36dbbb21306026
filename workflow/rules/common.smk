"""Validated config, names of files, digests: the only rule file with functions."""

import shlex
import shutil
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "src"))
if Path(sys.executable).is_file():  # once
    # Snakemake 9.27 puts the interpreter into a script's command line without quotes.
    sys.executable = shlex.quote(sys.executable)

from captioner.audio.frontends import FRONTENDS as FRONTEND_MODULES
from captioner.corpus.readers.kinds import READERS
from captioner.corpus.splits import UNCAPTIONED
from captioner.corpus.synthetic.files import published_files
from captioner.errors import InputError
from captioner.evaluation.java import SPICE_JARS
from captioner.models.registry import FAMILIES
from captioner.plan import Plan
from captioner.source import source_digest as digest_of_source
from captioner.text.word_embeddings.sources import SOURCES as WORD_VECTORS

JAVA_TOOLS = [f"resources/java/{jar.file_name}" for jar in SPICE_JARS]
GPUS = int(shutil.which("nvidia-smi") is not None)

try:
    PLAN = Plan(config, ROOT)
except InputError as error:
    raise WorkflowError(str(error)) from None

C = PLAN.corpus  # the corpus that is scored
SPLITS = PLAN.splits
SYSTEMS, TRAINED, FRONTENDS = PLAN.systems, PLAN.trained, PLAN.frontends
TRIVIAL, SPEAKING = PLAN.lineage.trivial, PLAN.lineage.speaking
# Trainings side by side before several threads in one: the batches are too small to share well.
TRAINING_THREADS = max(1, (workflow.cores or 1) // max(1, len(TRAINED) * len(config["seeds"])))
TRAINING_GPUS = GPUS if config["gpus"] is None else config["gpus"]
DECODED_SPLITS = [s for s in SPLITS if s in config["score_splits"] or s in UNCAPTIONED]
EXAMPLES = [s for s in SPLITS if s in config["score_splits"]][-1]  # whose clips the report plays
HELD_OUT = [split for split in SPLITS if split != "development"]  # no other corpus may hold them


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
    the wildcards that give a list of them). With `code_changes: warn` the digest recorded for `output` (its
    pattern) stands, and an edit since then is reported."""

    def digest(wildcards):
        names = [n for m in modules for n in (m(wildcards) if callable(m) else [m])]
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


def reader_module(wildcards):
    return [READERS[PLAN.corpora[wildcards.corpus]["kind"]]]


def family_modules(wildcards):
    """The family of a system, or those of an ensemble's members."""
    models = PLAN.lineage.models(wildcards.system, 0)
    return sorted({FAMILIES[SYSTEMS[system]["family"]] for system, _ in models})


def frontend_module(wildcards):
    return [FRONTEND_MODULES[FRONTENDS[wildcards.frontend]["kind"]]]


def reader_settings(wildcards):
    """What readers look at: the rest of a corpus's YAML must not rerun them."""
    used = ("kind", "n_captions", "audio", "captions", "blacklists", "damaged", "split")
    settings = PLAN.corpora[wildcards.corpus]
    return {key: settings[key] for key in used if key in settings}


def training_settings(wildcards):
    """What training uses of a system: not its title, its decodings, nor what inputs tell."""
    unused = ("title", "decodings", "train", "weights")
    return {k: v for k, v in SYSTEMS[wildcards.system].items() if k not in unused}


def published_settings(wildcards):
    """What the model of published weights is made by."""
    used = ("family", "frontends", "vocabulary", "model", "weights")
    return {key: SYSTEMS[wildcards.system][key] for key in used}


# Files: one function per artefact.


def text_sources(wildcards):
    """Input function: the text of a split. The user's own CSV may hold several splits, so not its
    date but a digest of the split's rows, a param, tells of a change."""
    layout, split = PLAN.layouts[wildcards.corpus], wildcards.split
    files = layout.text_sources(split)
    if layout.text_digest(split) is None:
        return files
    return {kind: ancient(path) for kind, path in files.items()}


def clip_sources(wildcards):
    """Input function: the unpacked audio of a split, and what says which of it is the split's."""
    sources = PLAN.layouts[wildcards.corpus].clip_sources(wildcards.split)
    return sources | audio(wildcards.corpus, wildcards.split)


def audio(corpus, split):
    """The folders of a split's unpacked audio, whose names tell their content: dates do not count,
    for a second checkout that shares them touches them."""
    folders = PLAN.layouts[corpus].audio(split)
    return {"audio": [ancient(folder) for folder in folders]} if folders else {}


def system_shards(split=None):
    """Input function: the features of a split (by default the wildcard's) of the scored corpus,
    for all front-ends of the wildcard's system."""

    def paths(wildcards):
        frontends = SYSTEMS[wildcards.system]["frontends"]
        return [path for f in frontends for path in PLAN.shards(C, split or wildcards.split, f)]

    return paths


def any_shards(wildcards):
    """Front-end -> one of its shards, which tells its settings and dims, of the wildcard's system."""
    return {f: PLAN.shards(C, EXAMPLES, f)[0] for f in SYSTEMS[wildcards.system]["frontends"]}


def generated_registry(wildcards):
    """Input function: the registry that a job makes together with the files it names."""
    registry = PLAN.registry(wildcards.key, wildcards.file)
    return ancient(registry) if registry.startswith("resources/") else []


def passing(what):
    """A regular expression of the keys of archives whose `what` is removed once it is used."""
    return "|".join(PLAN.passing_keys(what)) or "^$"


def other_splits(wildcards):
    return [s for s in PLAN.splits_of(wildcards.corpus) if s != wildcards.split]


def other_tables(kind, wildcards):
    """The tables of the other splits. Those of later splits are read for their names alone: a
    caption edited there is no change."""
    splits = PLAN.layouts[wildcards.corpus].splits
    for other in other_splits(wildcards):
        path = PLAN.table(kind, wildcards.corpus, other)
        later = splits.index(other) > splits.index(wildcards.split)
        yield ancient(path) if later else path


def vocabulary_corpora(wildcards):
    """The corpora whose development captions a vocabulary, or that of a system, is counted on."""
    name = wildcards.get("vocabulary") or SYSTEMS[wildcards.system]["vocabulary"]
    return config["vocabularies"][name]["corpora"] or [C]


def vocabulary_file(wildcards):
    """Input function: the vocabulary of a system."""
    return f"results/{wildcards.corpus}/vocabulary/{SYSTEMS[wildcards.system]['vocabulary']}.json"


def word_vectors_settings(wildcards):
    """What makes a system's word vectors; whether they are frozen is its training's."""
    settings = SYSTEMS[wildcards.system]["word_embeddings"]
    return {key: value for key, value in settings.items() if key != "frozen"}


def word_vectors_sources(wildcards):
    """Input function: what word vectors are learned from, or the files that hold them."""
    settings = word_vectors_settings(wildcards)
    if settings["source"] == "word2vec":
        corpora = vocabulary_corpora(wildcards)
        return {"annotations": [PLAN.table("annotations", c, "development") for c in corpora]}
    path = Path(settings["path"])
    if settings["source"] == "bert":  # a folder, or a name on the hub
        return {"files": sorted(map(str, path.glob("*")))} if path.is_dir() else {}
    return {"files": str(path)}


def word_vectors_module(wildcards):
    return [WORD_VECTORS[SYSTEMS[wildcards.system]["word_embeddings"]["source"]]]


def runs():
    """Every (system, seed, decoding): trivial systems have seed 0 and the decoding `none`."""
    for name, system in SYSTEMS.items():
        for seed in PLAN.lineage.seeds(name):
            for decoding in system.get("decodings", ["none"]):
                yield name, seed, decoding


def scored_runs(split):
    """The runs that are scored on a split: not those whose system has learned from it."""
    return [run for run in runs() if (run[0], split) not in PLAN.unscored]


def scorable_captions(wildcards):
    """Input function: the captions of a run, refused where its system has learned from the split."""
    run = wildcards.system, int(wildcards.seed), wildcards.decoding
    if seen := PLAN.lineage.seen(wildcards.system, wildcards.split):
        raise WorkflowError(
            f"{wildcards.system} is not scored on {wildcards.split}: it {seen}, and a score on clips "
            "that were learned from means nothing"
        )
    return captions_file(run, wildcards.split)


def captions_file(run, split):
    system, seed, decoding = run
    return f"{PLAN.folder((system, seed))}/captions/{decoding}/{split}.csv"


def scores_file(run, split, extension):
    system, seed, decoding = run
    return f"{PLAN.folder((system, seed))}/scores/{decoding}/{split}.{extension}"


def decoded_splits(system):
    """The splits that a system's report and submission need its captions of."""
    return [split for split in DECODED_SPLITS if (system, split) not in PLAN.unscored]


def feature_shards():
    return [path for f in FRONTENDS for split in SPLITS for path in PLAN.shards(C, split, f)]


def trained_models():
    return [f"{PLAN.folder((name, s))}/model" for name in TRAINED for s in config["seeds"]]


def decoded_captions():
    return [captions_file(run, split) for run in runs() for split in decoded_splits(run[0])]


def scored_outputs():
    systems = [
        scores_file(run, split, "json")
        for split in config["score_splits"]
        for run in scored_runs(split)
    ]
    return systems + [files["json"] for files in ceiling_files().values()]


def ceiling_files():
    """Split -> scores of people, where clips have captions enough to score one by the others."""
    folder = f"results/{C}/human_ceiling"
    return {
        split: {ext: f"{folder}/{split}.{ext}" for ext in ("json", "parquet")}
        for split in config["score_splits"]
        if PLAN.layout.most_captions(split) != 1
    }


def report_page():
    return f"results/{C}/report/index.html"


SUBMITTED = [
    captions_file((system, seed, SYSTEMS[system]["decodings"][0]), "test")
    for system, seed in PLAN.submitted
]


def submission_outputs():
    """The challenge's output CSVs, where the corpus has a test split."""
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
        folder, modelled = PLAN.folder((name, seed)), "family" in SYSTEMS[name]
        systems.append(
            {
                "name": name,
                "title": SYSTEMS[name]["title"],
                "seed": seed,
                "decoding": decoding,
                "trivial": name in TRIVIAL,
                "model": f"{folder}/model" if modelled else None,
                "history": f"{folder}/history.csv" if name in TRAINED else None,
                "captions": {split: captions_file(run, split) for split in decoded_splits(name)},
                "scores": {
                    split: {ext: scores_file(run, split, ext) for ext in ("json", "parquet")}
                    for split in config["score_splits"]
                    if (name, split) not in PLAN.unscored
                },
                "unscored": {s: why for (n, s), why in PLAN.unscored.items() if n == name},
            }
        )
    shown = ("seeds", "decodings", "vocabularies", "score_splits", "submission")
    return {
        "corpus": {
            "name": C,
            "title": PLAN.corpora[C]["title"],
            "kind": PLAN.corpora[C]["kind"],
            "synthetic": "generator" in PLAN.corpora[C],
            "clotho": C.startswith("clotho-v2"),  # what the published scores were measured on
        },
        "config": {
            "corpora": {
                name: {k: v for k, v in corpus.items() if k not in ("name", "folder")}
                for name, corpus in PLAN.corpora.items()
            },
            "systems": SYSTEMS,
            "frontends": FRONTENDS,
            **{key: config[key] for key in shown},
        },
        "notes": [f"{what}: {change}" for what, found in PLAN.changes.items() for change in found],
        "splits": {
            split: {kind: PLAN.table(kind, C, split) for kind in ("clips", "annotations", "checks")}
            for split in SPLITS
        },
        "vocabularies": {
            name: f"results/{C}/vocabulary/{name}.json"
            for name in sorted({system["vocabulary"] for system in SPEAKING.values()})
        },
        "systems": systems,
        "frontends": {
            name: {"settings": settings, "shards": PLAN.shards(C, EXAMPLES, name)}
            for name, settings in FRONTENDS.items()
        },
        "leakage": PLAN.leaks(),
        "ceiling": ceiling_files(),
    }


def files_in(content):
    """Yield every path of a result in a nested mapping: the inputs of the report."""
    for value in content.values() if isinstance(content, dict) else content:
        if isinstance(value, (dict, list)):
            yield from files_in(value)
        elif isinstance(value, str) and value.startswith(f"results/{C}/"):
            yield value
