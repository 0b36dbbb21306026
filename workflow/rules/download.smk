"""Published files: fetched once, verified, kept under their md5 whatever corpus shares them."""


rule fetch_file:
    input:
        generated=generated_registry,
    output:
        file="resources/downloads/{key}/{file}",
    log:
        "resources/logs/fetch_file/{key}/{file}.log",
    benchmark:
        "resources/benchmarks/fetch_file/{key}/{file}.tsv"
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=500,
    params:
        # A param that depends on `output` triggers no rerun: what is there under its md5 is never
        # fetched again, whichever registry names it.
        registry=lambda wildcards, output: PLAN.registry(wildcards.key, wildcards.file),
    message:
        "Fetch {wildcards.file}"
    script:
        "../scripts/fetch_file.py"
