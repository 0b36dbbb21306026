"""The embedded synthetic corpus, in Clotho's published form."""


rule generate_corpus:
    output:
        registry="resources/synthetic/{key}/synthetic.tsv",
        files=[
            f"resources/synthetic/{{key}}/{file}"
            for file in published_files(
                ["development", "validation", "evaluation", "test"]
            ).values()
        ],
    log:
        "resources/logs/generate_corpus/{key}.log",
    benchmark:
        "resources/benchmarks/generate_corpus/{key}.tsv"
    conda:
        "../../envs/captioner.yaml"
    threads: CORES
    resources:
        mem_mb=memory(2000),
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        # {key} is its digest with the code's: nothing else counts
        generator=lambda wildcards: PLAN.generator(wildcards.key),
    message:
        "Synthetic corpus {wildcards.key}"
    script:
        "../scripts/generate_corpus.py"


rule draw_sources:
    output:
        picture="resources/synthetic/sources.png",
    log:
        "resources/logs/draw_sources.log",
    benchmark:
        "resources/benchmarks/draw_sources/sources.tsv"
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=memory(1500),
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        code=source_digest("draw_sources", "resources/synthetic/sources.png"),
    message:
        "Spectrogram of one clip per synthetic source"
    script:
        "../scripts/draw_sources.py"
