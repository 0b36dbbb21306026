"""Validated config, names of files, digests: the functions that rules share."""

import shutil
from functools import cache

from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile

from captioner import source
from captioner.audio.frontends import FRONTENDS as FRONTEND_MODULES
from captioner.corpus.readers.kinds import READERS
from captioner.corpus.synthetic.files import published_files
from captioner.errors import InputError
from captioner.evaluation.java import SPICE_JARS
from captioner.frozen import decided, fingerprint, freeze
from captioner.models.registry import FAMILIES
from captioner.plan import Plan
from captioner.reporting.run_record import record_run
from captioner.results import Results
from captioner.submission.names import EXTENSIONS
from captioner.submission.sent import Submission
from captioner.text.word_embeddings.sources import SOURCES as WORD_VECTORS

JAVA_TOOLS = [f"resources/java/{jar.file_name}" for jar in SPICE_JARS]

if CODE != ROOT:
    PLAN, RESULTS, SUBMISSION, CORES, HAS_GPU = decided(CODE)
    config.clear()
    config.update(PLAN.config)
else:
    STARTED_WITH = fingerprint(ROOT)
    # Unlocking and listing need no `--cores`.
    CORES = workflow.resource_settings.cores or 1
    HAS_GPU = shutil.which("nvidia-smi") is not None
    try:
        PLAN = Plan(config, ROOT)
        RESULTS = Results(PLAN)
        SUBMISSION = Submission(PLAN, RESULTS)
    except InputError as error:
        raise WorkflowError(str(error)) from None


onstart:
    # Edits made from now on are the next run's: jobs on other machines and the scripts of local
    # ones read a copy, and so do the digests of code that are recorded.
    try:
        known = (PLAN, RESULTS, SUBMISSION, CORES, HAS_GPU)
        copy = freeze(ROOT, FROZEN, STARTED_WITH, known)
    except InputError as error:
        raise WorkflowError(str(error)) from None
    source.PACKAGE = copy / "src/captioner"
    os.environ.update(PYTHONPATH=str(copy / "src"))
    record_run(Path(RESULTS.run_record()), ROOT, workflow.dag.dependencies)


onsuccess:
    shutil.rmtree(FROZEN, ignore_errors=True)


C = PLAN.corpus  # the corpus that is scored
SPLITS = PLAN.splits
SYSTEMS, TRAINED, FRONTENDS = PLAN.systems, PLAN.trained, PLAN.frontends
# Trainings side by side before several threads in one: the batches are too small to share well.
TRAINING_THREADS = max(1, CORES // max(1, len(TRAINED) * len(config["seeds"])))
TRAINING_GPUS = int(HAS_GPU) if config["gpus"] is None else config["gpus"]
GPUS = min(1, TRAINING_GPUS)  # of other jobs: a login node may have none where others have many
if config["gpus"] and "gpu" in workflow.global_resources and workflow.is_main_process:
    GPU_LIMIT = workflow.global_resources.get("gpu").value
    if GPU_LIMIT < config["gpus"]:  # Snakemake would take fewer and say nothing
        raise WorkflowError(
            f"gpus is {config['gpus']}, but Snakemake has {GPU_LIMIT} for all jobs together "
            f"(profiles/default): add `--resources gpu={config['gpus']}`"
        )

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


def memory(mb, per_input=0):
    """Resource `mem_mb`: `mb`, and `per_input` times the size of the inputs; more at each attempt.
    Snakemake itself takes 300 of it where a job is SLURM's."""

    def megabytes(wildcards, input, attempt):
        return attempt * (mb + int(per_input * input.size_mb if per_input else 0))

    return megabytes


CACHED = workflow.enable_cache  # `--cache`: outputs are shared with other checkouts
if CACHED and "SNAKEMAKE_OUTPUT_CACHE" not in os.environ:
    raise WorkflowError("--cache needs a folder: export SNAKEMAKE_OUTPUT_CACHE=/shared/FOLDER")


# Digests: what a rule's params hold so that it reruns when, and only when, its inputs change.


@cache  # for thousands of jobs of a rule
def digest_of(script, modules, without):
    """Digest of the code that a script and modules run; once per graph."""
    return source.source_digest(script, *modules, without=without)


def source_digest(rule, output, *modules, without=lambda wildcards: ()):
    """Param `code`: digest of what `rule`'s script imports and of `modules` (names, or functions of
    the wildcards that give a list of them), less what imports of `without` alone need. With
    `code_changes: warn` the digest recorded for `output` (its pattern) stands, and an edit since
    then is reported."""

    def digest(wildcards):
        names = [n for m in modules for n in (m(wildcards) if callable(m) else [m])]
        script = source.PACKAGE.parents[1] / "workflow/scripts" / f"{rule}.py"
        now = digest_of(script, tuple(names), tuple(without(wildcards)))
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


def unused_in_training(wildcards):
    """Modules that no weight of a system depends on: an edit of decoding or of the metrics trains
    nothing again where its scores of every epoch are only looked at."""
    training = SYSTEMS[wildcards.system]["training"]
    used = {
        "captioner.training.self_critical": training["loss"] == "self_critical",
        "captioner.training.validation": training["monitor"] != "loss",
        "captioner.evaluation.spice": training["monitor"] == "spider",
    }
    return [module for module, is_used in used.items() if not is_used]


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
    return {f: PLAN.shards(C, RESULTS.heard, f)[0] for f in SYSTEMS[wildcards.system]["frontends"]}


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


def scorable_captions(wildcards):
    """Input function: the captions of a run, refused where its system has learned from the split."""
    run = wildcards.system, int(wildcards.seed), wildcards.decoding
    if seen := PLAN.lineage.seen(wildcards.system, wildcards.split):
        raise WorkflowError(
            f"{wildcards.system} is not scored on {wildcards.split}: it {seen}, and a score on clips "
            "that were learned from means nothing"
        )
    return RESULTS.captions_of(run, wildcards.split)


def for_any_corpus(path):
    """The pattern of a path `results/CORPUS/...` of the scored corpus."""
    folder, _, rest = path.split("/", 2)
    return f"{folder}/{{corpus}}/{rest}"


def sent_file(kind):
    """The pattern of the challenge's files of a kind: output, metadata or report."""
    return for_any_corpus(SUBMISSION.path("{index}", kind))
