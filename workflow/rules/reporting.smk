"""The report: one page for people, and the sounds it plays."""


rule prepare_listening:
    input:
        unpack(lambda wildcards: audio(wildcards.corpus, wildcards.split)),
        clips="results/{corpus}/clips/{split}.parquet",
    output:
        folder=directory("results/{corpus}/listening/{split}/{shard}"),
    log:
        "results/{corpus}/logs/prepare_listening/{split}.{shard}.log",
    benchmark:
        "results/{corpus}/benchmarks/prepare_listening/{split}.{shard}.tsv"
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        n_shards=lambda wildcards: PLAN.layouts[wildcards.corpus].n_shards[wildcards.split],
        audio=config["report"]["audio"],
        code=source_digest("prepare_listening", "results/{corpus}/listening/{split}/{shard}"),
    message:
        "Sounds and spectrograms of {wildcards.split} for the report, shard {wildcards.shard}"
    script:
        "../scripts/prepare_listening.py"


rule build_report:
    input:
        **audio(C, RESULTS.heard),
        results=RESULTS.report_files(),
        templates=[
            str(path) for path in sorted((ROOT / "src/captioner/reporting/templates").iterdir())
        ],
    output:
        page=report(
            "results/{corpus}/report/index.html",
            caption="../report/page.rst",
            category="Report",
            labels={"what": "the whole page"},
        ),
        scores=report(
            "results/{corpus}/report/scores.txt",
            caption="../report/scores.rst",
            category="Report",
            labels={"what": "scores as plain text"},
        ),
        figures=report(
            directory("results/{corpus}/report/figures"),
            patterns=["{figure}.svg"],
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        data=directory("results/{corpus}/report/data"),
        media=directory("results/{corpus}/report/media"),
    log:
        "results/{corpus}/logs/build_report.log",
    benchmark:
        "results/{corpus}/benchmarks/build_report.tsv"
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        content=RESULTS.report_content(),
        benchmarks=[f"results/{C}/benchmarks", "resources/benchmarks"],
        run=RESULTS.run_record(),
        code=source_digest("build_report", "results/{corpus}/report/index.html"),
    message:
        "Report on {wildcards.corpus}"
    script:
        "../scripts/build_report.py"
