"""The challenge's package: output, metadata and report of up to four systems, checked and zipped."""


rule write_submission:
    input:
        results=lambda wildcards: SUBMISSION.files(int(wildcards.index)),
        clips="results/{corpus}/clips/test.parquet",
    output:
        captions=sent_file("output"),
        metadata=sent_file("metadata"),
        report=sent_file("report"),
    log:
        "results/{corpus}/logs/write_submission/{index}.log",
    benchmark:
        "results/{corpus}/benchmarks/write_submission/{index}.tsv"
    wildcard_constraints:
        index="[1-4]",
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=memory(1500, per_input=2),  # an encoder's checkpoint is read to count its parameters
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        captions=lambda wildcards: SUBMISSION.captions(int(wildcards.index)),
        scores=lambda wildcards: SUBMISSION.scores(int(wildcards.index)),
        report=lambda wildcards: SUBMISSION.report(int(wildcards.index)),
        content=lambda wildcards: SUBMISSION.content(int(wildcards.index)),
        code=source_digest("write_submission", sent_file("output")),
    message:
        "Submission {wildcards.index}"
    script:
        "../scripts/write_submission.py"


rule package_submission:
    input:
        files=[SUBMISSION.path(i, kind) for i in SUBMISSION.indices for kind in EXTENSIONS],
        scores=[path for i in SUBMISSION.indices if (path := SUBMISSION.scores(i))],
        models=[path for i in SUBMISSION.indices for path in SUBMISSION.models(i)],
        clips="results/{corpus}/clips/test.parquet",
    output:
        package=report(
            for_any_corpus(SUBMISSION.package_path),
            caption="../report/submission.rst",
            category="Submission",
            labels={"what": "the package"},
        ),
    log:
        "results/{corpus}/logs/package_submission.log",
    benchmark:
        "results/{corpus}/benchmarks/package_submission.tsv"
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, per_input=2),
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        scores={i: path for i in SUBMISSION.indices if (path := SUBMISSION.scores(i))},
        models={i: SUBMISSION.models(i) for i in SUBMISSION.indices},
        code=source_digest("package_submission", for_any_corpus(SUBMISSION.package_path)),
    message:
        "Package for the challenge"
    script:
        "../scripts/package_submission.py"
