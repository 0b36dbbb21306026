"""Vocabularies, counted on the development captions only."""


rule build_vocabulary:
    input:
        annotations="results/{corpus}/annotations/development.parquet",
        checks="results/{corpus}/checks/development.json",
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
        code=source_digest("build_vocabulary", "results/{corpus}/vocabulary/{vocabulary}.json"),
    message:
        "Vocabulary {wildcards.vocabulary}"
    script:
        "../scripts/build_vocabulary.py"
