"""From published files to tables: clips (audio), annotations (text), and the checks of both."""


rule extract_archive:
    input:
        archive=lambda wildcards: LAYOUT.download(LAYOUT.files[wildcards.split, "audio_archive"]),
    output:
        folder=directory("resources/{corpus}/audio/{split}"),
    log:
        "resources/logs/extract_archive/{corpus}.{split}.log",
    benchmark:
        "resources/benchmarks/extract_archive/{corpus}.{split}.tsv"
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    message:
        "Extract the {wildcards.split} audio of {wildcards.corpus}"
    script:
        "../scripts/extract_archive.py"


rule tabulate_clips:
    input:
        unpack(lambda wildcards: LAYOUT.audio(wildcards.split)),
    output:
        clips="results/{corpus}/clips/{split}.parquet",
    log:
        "results/{corpus}/logs/tabulate_clips/{split}.log",
    benchmark:
        "results/{corpus}/benchmarks/tabulate_clips/{split}.tsv"
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        corpus=READER_SETTINGS,
        audio=lambda wildcards: LAYOUT.audio_digest(wildcards.split),
        code=source_digest(
            "tabulate_clips", "results/{corpus}/clips/{split}.parquet", READERS[CORPUS["kind"]]
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
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        corpus=READER_SETTINGS,
        text=lambda wildcards: LAYOUT.text_digest(wildcards.split),
        code=source_digest(
            "tabulate_annotations",
            "results/{corpus}/annotations/{split}.parquet",
            READERS[CORPUS["kind"]],
        ),
    message:
        "Annotations of {wildcards.split}"
    script:
        "../scripts/tabulate_annotations.py"


rule check_split:
    input:
        clips="results/{corpus}/clips/{split}.parquet",
        annotations="results/{corpus}/annotations/{split}.parquet",
        earlier=lambda wildcards: [
            f"results/{wildcards.corpus}/annotations/{split}.parquet"
            for split in SPLITS[: SPLITS.index(wildcards.split)]
        ],
        later=lambda wildcards: [  # read for their names alone: a caption edited there is no change
            ancient(f"results/{wildcards.corpus}/annotations/{split}.parquet")
            for split in SPLITS[SPLITS.index(wildcards.split) + 1 :]
        ],
    output:
        checks="results/{corpus}/checks/{split}.json",
    log:
        "results/{corpus}/logs/check_split/{split}.log",
    benchmark:
        "results/{corpus}/benchmarks/check_split/{split}.tsv"
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        settings={key: CORPUS.get(key) for key in ("expected", "n_captions")},
        others=lambda wildcards: [split for split in SPLITS if split != wildcards.split],
        code=source_digest("check_split", "results/{corpus}/checks/{split}.json"),
    message:
        "Check {wildcards.split}"
    script:
        "../scripts/check_split.py"
