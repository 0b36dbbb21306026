"""The report: one page for people."""


rule build_report:
    input:
        **audio(C, RESULTS.examples),
        results=RESULTS.report_files(),
        templates=[
            str(path) for path in sorted((ROOT / "src/captioner/reporting/templates").iterdir())
        ],
    output:
        page="results/{corpus}/report/index.html",
        scores="results/{corpus}/report/scores.txt",
        audio=directory("results/{corpus}/report/audio"),
    log:
        "results/{corpus}/logs/build_report.log",
    benchmark:
        "results/{corpus}/benchmarks/build_report.tsv"
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=4000,
    params:
        content=RESULTS.report_content(),
        benchmarks=[f"results/{C}/benchmarks", "resources/benchmarks"],
        code=source_digest("build_report", "results/{corpus}/report/index.html"),
    message:
        "Report on {wildcards.corpus}"
    script:
        "../scripts/build_report.py"
