"""Vocabularies, counted on development captions only."""


rule build_vocabulary:
    input:
        annotations=lambda wildcards: [
            PLAN.table("annotations", corpus, "development")
            for corpus in vocabulary_corpora(wildcards)
        ],
        checks=lambda wildcards: [
            PLAN.table("checks", corpus, "development") for corpus in vocabulary_corpora(wildcards)
        ],
    output:
        vocabulary="results/{corpus}/vocabulary/{vocabulary}.json",
    log:
        "results/{corpus}/logs/build_vocabulary/{vocabulary}.log",
    benchmark:
        "results/{corpus}/benchmarks/build_vocabulary/{vocabulary}.tsv"
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        settings=lambda wildcards: config["vocabularies"][wildcards.vocabulary],
        corpora=vocabulary_corpora,
        code=source_digest("build_vocabulary", "results/{corpus}/vocabulary/{vocabulary}.json"),
    message:
        "Vocabulary {wildcards.vocabulary}"
    script:
        "../scripts/build_vocabulary.py"
