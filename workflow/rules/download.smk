"""Published files: fetched once, verified, kept under their md5 whatever corpus shares them."""

from captioner.corpus.layout import download


rule fetch_file:
    input:
        generated=generated_registry,
    output:
        # A link. The file itself is in resources/downloads and nobody's output: Snakemake removes
        # outputs before and after jobs, and another workflow may be reading it.
        file=download("{key}", "{file}"),
    log:
        f"results/{C}/logs/fetch_file/{{key}}.{{file}}.log",
    benchmark:
        f"results/{C}/benchmarks/fetch_file/{{key}}.{{file}}.tsv"
    localrule: True  # a cluster's nodes may have no network
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=500,
    params:
        # Params that depend on `output` trigger no rerun: what is there under its md5 is never
        # fetched again, whichever registry names it.
        registry=lambda wildcards, output: os.path.relpath(
            PLAN.registry(wildcards.key, wildcards.file)
        ),
        content=lambda wildcards, output: [wildcards.key, wildcards.file],
        keep=lambda wildcards, output: True,
    message:
        "Fetch {wildcards.file}"
    script:
        "../scripts/fetch_file.py"


use rule fetch_file as fetch_file_for_a_while with:
    output:
        file=temp(download("{key}", "{file}")),  # the archive itself, gone once it is unpacked
    wildcard_constraints:
        key=passing("archives"),
        file=r"[^/]+\.(7z|zip)",
    params:
        registry=lambda wildcards, output: os.path.relpath(
            PLAN.registry(wildcards.key, wildcards.file)
        ),
        content=lambda wildcards, output: [wildcards.key, wildcards.file],
        keep=lambda wildcards, output: False,


ruleorder: fetch_file_for_a_while > fetch_file
