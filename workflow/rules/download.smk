"""Published files: fetched once, verified, kept under their md5 whatever corpus shares them."""


rule fetch_file:
    input:
        registry=ancient(LAYOUT.registry),  # an edit of other rows must not fetch 9 GB again
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
    message:
        "Fetch {wildcards.file}"
    script:
        "../scripts/fetch_file.py"
