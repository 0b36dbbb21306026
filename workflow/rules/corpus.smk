"""From published files to tables: clips (audio), annotations (text), and the checks of both."""


rule extract_archive:
    input:
        # Its content is told by its key: a new link to it is no reason to unpack again.
        archive=lambda wildcards: ancient(PLAN.archive(wildcards.key, wildcards.stem)),
    output:
        folder=directory("results/audio/{key}/{stem}"),  # a link, as in download.smk
    log:
        f"results/{C}/logs/extract_archive/{{key}}.{{stem}}.log",
    benchmark:
        f"results/{C}/benchmarks/extract_archive/{{key}}.{{stem}}.tsv"
    conda:
        "../../envs/captioner.yaml"
    threads: 2  # 7-Zip's, where it is there
    resources:
        mem_mb=memory(1000),
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        keep=True,
        content=lambda wildcards, output: [wildcards.key, wildcards.stem],
    message:
        "Unpack {wildcards.stem}"
    script:
        "../scripts/extract_archive.py"


use rule extract_archive as extract_archive_for_a_while with:
    output:
        folder=temp(directory("results/audio/{key}/{stem}")),  # the files, gone once heard
    wildcard_constraints:
        key=passing("audio"),
    params:
        keep=False,
        content=lambda wildcards, output: [wildcards.key, wildcards.stem],


ruleorder: extract_archive_for_a_while > extract_archive


rule hold_out_split:
    input:
        captions=lambda wildcards: PLAN.layouts[wildcards.corpus].text_sources("development")[
            "captions"
        ],
    output:
        splits="results/{corpus}/splits/development.csv",
    log:
        "results/{corpus}/logs/hold_out_split.log",
    benchmark:
        "results/{corpus}/benchmarks/hold_out_split.tsv"
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, per_input=4),
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        hold_out=lambda wildcards: PLAN.corpora[wildcards.corpus]["hold_out"],
        code=source_digest("hold_out_split", "results/{corpus}/splits/development.csv"),
    message:
        "Part the development clips of {wildcards.corpus}"
    script:
        "../scripts/hold_out_split.py"


rule tabulate_clips:
    input:
        unpack(clip_sources),
    output:
        clips="results/{corpus}/clips/{split}.parquet",
    log:
        "results/{corpus}/logs/tabulate_clips/{split}.log",
    benchmark:
        "results/{corpus}/benchmarks/tabulate_clips/{split}.tsv"
    group:
        "tables"
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=memory(1500),  # WavCaps: 400,000 clips
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        corpus=reader_settings,
        audio=lambda wildcards: PLAN.layouts[wildcards.corpus].audio_digest(wildcards.split),
        code=source_digest(
            "tabulate_clips", "results/{corpus}/clips/{split}.parquet", reader_module
        ),
    message:
        "Clips of {wildcards.split}"
    script:
        "../scripts/tabulate_clips.py"


rule tabulate_annotations:
    input:
        unpack(text_sources),
    output:
        annotations="results/{corpus}/annotations/{split}.parquet",
    log:
        "results/{corpus}/logs/tabulate_annotations/{split}.log",
    benchmark:
        "results/{corpus}/benchmarks/tabulate_annotations/{split}.tsv"
    group:
        "tables"
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=memory(1500),  # WavCaps: 400,000 clips
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        corpus=reader_settings,
        text=lambda wildcards: PLAN.layouts[wildcards.corpus].text_digest(wildcards.split),
        code=source_digest(
            "tabulate_annotations",
            "results/{corpus}/annotations/{split}.parquet",
            reader_module,
        ),
    message:
        "Annotations of {wildcards.split}"
    script:
        "../scripts/tabulate_annotations.py"


rule check_split:
    input:
        clips="results/{corpus}/clips/{split}.parquet",
        annotations="results/{corpus}/annotations/{split}.parquet",
        other_clips=lambda wildcards: other_tables("clips", wildcards),
        other_annotations=lambda wildcards: other_tables("annotations", wildcards),
    output:
        checks="results/{corpus}/checks/{split}.json",
    log:
        "results/{corpus}/logs/check_split/{split}.log",
    benchmark:
        "results/{corpus}/benchmarks/check_split/{split}.tsv"
    group:
        "tables"
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        settings=lambda wildcards: {
            key: PLAN.corpora[wildcards.corpus].get(key)
            for key in ("kind", "expected", "n_captions", "hold_out")
        },
        others=lambda wildcards: other_splits(wildcards),
        code=source_digest("check_split", "results/{corpus}/checks/{split}.json"),
    message:
        "Check {wildcards.split}"
    script:
        "../scripts/check_split.py"


rule check_leakage:
    input:
        clips="results/{source}/clips/{split}.parquet",
        annotations="results/{source}/annotations/{split}.parquet",
        held_out_clips=expand("results/{{corpus}}/clips/{split}.parquet", split=HELD_OUT),
        held_out_annotations=expand(
            "results/{{corpus}}/annotations/{split}.parquet", split=HELD_OUT
        ),
    output:
        leakage="results/{corpus}/leakage/{source}.{split}.json",
    log:
        "results/{corpus}/logs/check_leakage/{source}.{split}.log",
    benchmark:
        "results/{corpus}/benchmarks/check_leakage/{source}.{split}.tsv"
    wildcard_constraints:
        source="[^/]+",
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, per_input=8),
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        held_out=HELD_OUT,
        code=source_digest("check_leakage", "results/{corpus}/leakage/{source}.{split}.json"),
    message:
        "Clips of {wildcards.source}, {wildcards.split}, held out in {wildcards.corpus}"
    script:
        "../scripts/check_leakage.py"
