"""The challenge's files."""


rule write_submission:
    input:
        captions=lambda wildcards: RESULTS.submitted()[int(wildcards.index) - 1],
        clips="results/{corpus}/clips/test.parquet",
    output:
        captions="results/{corpus}/submission/{author}_{institute}_task6_submission_{index}_output.csv",
    log:
        "results/{corpus}/logs/write_submission/{author}_{institute}_{index}.log",
    benchmark:
        "results/{corpus}/benchmarks/write_submission/{author}_{institute}_{index}.tsv"
    wildcard_constraints:
        author="[^/_]+",
        institute="[^/_]+",
        index="[1-4]",
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=500,
    params:
        code=source_digest(
            "write_submission",
            "results/{corpus}/submission/{author}_{institute}_task6_submission_{index}_output.csv",
        ),
    message:
        "Submission {wildcards.index}"
    script:
        "../scripts/write_submission.py"
