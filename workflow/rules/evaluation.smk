"""Metrics: the official tools on a Java runtime from the lock."""


rule fetch_java_tools:
    output:
        jars=JAVA_TOOLS,
    log:
        "resources/logs/fetch_java_tools.log",
    benchmark:
        "resources/benchmarks/fetch_java_tools.tsv"
    localrule: True  # a cluster's nodes may have no network
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    message:
        "Fetch the jars that SPICE needs"
    script:
        "../scripts/fetch_java_tools.py"


rule score_split:
    input:
        captions=scorable_captions,
        clips="results/{corpus}/clips/{split}.parquet",
        annotations="results/{corpus}/annotations/{split}.parquet",
        checks="results/{corpus}/checks/{split}.json",
        jars=ancient(JAVA_TOOLS),  # pinned by sha256
    output:
        scores=report(
            "results/{corpus}/systems/{system}/seed{seed}/scores/{decoding}/{split}.json",
            caption="../report/scores.rst",
            category="Scores",
            labels={
                "system": "{system}",
                "seed": "{seed}",
                "decoding": "{decoding}",
                "split": "{split}",
            },
        ),
        per_clip="results/{corpus}/systems/{system}/seed{seed}/scores/{decoding}/{split}.parquet",
    log:
        "results/{corpus}/logs/score_split/{system}.seed{seed}.{decoding}.{split}.log",
    benchmark:
        "results/{corpus}/benchmarks/score_split/{system}.seed{seed}.{decoding}.{split}.tsv"
    priority: -1  # nothing waits for it but the report
    conda:
        "../../envs/captioner.yaml"
    threads: 1  # beside a training; short bursts of SPICE's second thread do not hurt it
    resources:
        mem_mb=memory(6000),
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        semantic=config["semantic_metrics"],
        code=source_digest(
            "score_split",
            "results/{corpus}/systems/{system}/seed{seed}/scores/{decoding}/{split}.json",
        ),
    message:
        "Score {wildcards.system}, seed {wildcards.seed}, {wildcards.decoding} on {wildcards.split}"
    script:
        "../scripts/score_split.py"


rule score_ceiling:
    input:
        clips="results/{corpus}/clips/{split}.parquet",
        annotations="results/{corpus}/annotations/{split}.parquet",
        checks="results/{corpus}/checks/{split}.json",
        jars=ancient(JAVA_TOOLS),
    output:
        scores=report(
            "results/{corpus}/human_ceiling/{split}.json",
            caption="../report/people.rst",
            category="Scores",
            labels={
                "system": "people",
                "seed": "none",
                "decoding": "none",
                "split": "{split}",
            },
        ),
        per_clip="results/{corpus}/human_ceiling/{split}.parquet",
    log:
        "results/{corpus}/logs/score_ceiling/{split}.log",
    benchmark:
        "results/{corpus}/benchmarks/score_ceiling/{split}.tsv"
    priority: -1
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=memory(6000),
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        code=source_digest("score_ceiling", "results/{corpus}/human_ceiling/{split}.json"),
    message:
        "Score people on {wildcards.split}: each reference against the others"
    script:
        "../scripts/score_ceiling.py"


rule compare_systems:
    input:
        per_clip=lambda wildcards: [
            RESULTS.scores_of(run, wildcards.split)["parquet"]
            for run in RESULTS.scored_runs(wildcards.split)
        ],
    output:
        comparison="results/{corpus}/comparisons/{split}.json",
    log:
        "results/{corpus}/logs/compare_systems/{split}.log",
    benchmark:
        "results/{corpus}/benchmarks/compare_systems/{split}.tsv"
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, per_input=8),
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        systems=lambda wildcards: [
            (f"{system}, {decoding}", seed)
            for system, seed, decoding in RESULTS.scored_runs(wildcards.split)
        ],
        code=source_digest("compare_systems", "results/{corpus}/comparisons/{split}.json"),
    message:
        "Compare the systems on {wildcards.split}"
    script:
        "../scripts/compare_systems.py"


rule analyse_errors:
    input:
        captions=lambda wildcards: [
            RESULTS.captions_of(run, wildcards.split)
            for run in RESULTS.scored_runs(wildcards.split)
        ],
        clips="results/{corpus}/clips/{split}.parquet",
        annotations="results/{corpus}/annotations/{split}.parquet",
        jars=ancient(JAVA_TOOLS),
    output:
        errors=for_any_corpus(RESULTS.errors_of("{split}")),
    log:
        "results/{corpus}/logs/analyse_errors/{split}.log",
    benchmark:
        "results/{corpus}/benchmarks/analyse_errors/{split}.tsv"
    priority: -1
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=memory(3000),
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        runs=lambda wildcards: [run.name for run in RESULTS.scored_runs(wildcards.split)],
        code=source_digest("analyse_errors", for_any_corpus(RESULTS.errors_of("{split}"))),
    message:
        "Words that the systems miss and invent on {wildcards.split}"
    script:
        "../scripts/analyse_errors.py"
