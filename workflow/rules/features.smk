"""Front-end features: one Parquet row per clip, one shard per job."""


rule extract_features:
    input:
        unpack(lambda wildcards: audio(wildcards.corpus, wildcards.split)),
        clips="results/{corpus}/clips/{split}.parquet",
        weights=lambda wildcards: PLAN.weights(wildcards.frontend) or [],
    output:
        shard="results/{corpus}/features/{frontend}/{split}/{shard}.parquet",
    log:
        "results/{corpus}/logs/extract_features/{frontend}.{split}.{shard}.log",
    benchmark:
        "results/{corpus}/benchmarks/extract_features/{frontend}.{split}.{shard}.tsv"
    cache: CACHED
    group:
        lambda wildcards: None if PLAN.weights(wildcards.frontend) else "features"
    conda:
        "../../envs/captioner.yaml"
    # One process per core beats threads for log-mels: the transform is bound by memory.
    threads: lambda wildcards: 4 if PLAN.weights(wildcards.frontend) else 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt
        * (3000 if PLAN.weights(wildcards.frontend) else 1000),
        runtime=lambda wildcards, attempt: 60 * attempt,
        gpu=lambda wildcards: GPUS if PLAN.weights(wildcards.frontend) else 0,
    params:
        frontend=lambda wildcards: FRONTENDS[wildcards.frontend],
        n_shards=lambda wildcards: PLAN.layouts[wildcards.corpus].n_shards[wildcards.split],
        # The cache between workflows tells jobs apart by their params, not by wildcards.
        part=lambda wildcards, output: [
            wildcards.split,
            wildcards.shard,
            PLAN.layouts[wildcards.corpus].audio(wildcards.split),
        ],
        code=source_digest(
            "extract_features",
            "results/{corpus}/features/{frontend}/{split}/{shard}.parquet",
            frontend_module,
        ),
    message:
        "Features {wildcards.frontend} of {wildcards.split}, shard {wildcards.shard}"
    script:
        "../scripts/extract_features.py"


rule compute_statistics:
    input:
        shards=lambda wildcards: PLAN.shards(wildcards.corpus, wildcards.split, wildcards.frontend),
    output:
        statistics="results/{corpus}/features/{frontend}/statistics/{split}.json",
    log:
        "results/{corpus}/logs/compute_statistics/{frontend}.{split}.log",
    benchmark:
        "results/{corpus}/benchmarks/compute_statistics/{frontend}.{split}.tsv"
    cache: CACHED
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        split=lambda wildcards, output: wildcards.split,
        code=source_digest(
            "compute_statistics",
            "results/{corpus}/features/{frontend}/statistics/{split}.json",
        ),
    message:
        "Statistics of {wildcards.frontend} over {wildcards.split}"
    script:
        "../scripts/compute_statistics.py"


if CACHED:  # Snakemake shares no output of a rule that has a benchmark
    for name in ("extract_features", "compute_statistics"):
        workflow.get_rule(name)._benchmark = None
