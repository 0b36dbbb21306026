"""Metrics: the official tools on a Java runtime from the lock."""


rule fetch_java_tools:
    output:
        jars=JAVA_TOOLS,
    log:
        "resources/logs/fetch_java_tools.log",
    benchmark:
        "resources/benchmarks/fetch_java_tools.tsv"
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
        captions="results/{corpus}/systems/{system}/seed{seed}/captions/{decoding}/{split}.csv",
        clips="results/{corpus}/clips/{split}.parquet",
        annotations="results/{corpus}/annotations/{split}.parquet",
        checks="results/{corpus}/checks/{split}.json",
        jars=ancient(JAVA_TOOLS),  # pinned by sha256
    output:
        scores="results/{corpus}/systems/{system}/seed{seed}/scores/{decoding}/{split}.json",
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
        spice=1,  # jobs share its cache and would wait for each other
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
    params:
        code=source_digest(
            "score_split",
            "results/{corpus}/systems/{system}/seed{seed}/scores/{decoding}/{split}.json",
        ),
    message:
        "Score {wildcards.system}, seed {wildcards.seed}, {wildcards.decoding} on {wildcards.split}"
    script:
        "../scripts/score_split.py"
