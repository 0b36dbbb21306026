"""Captions: beam search with one system or an ensemble, and the trivial systems that everyone should beat."""


rule decode_split:
    input:
        models=lambda wildcards: PLAN.models(wildcards.system, int(wildcards.seed)),
        clips="results/{corpus}/clips/{split}.parquet",
        features=system_shards(),
    output:
        captions=report(
            "results/{corpus}/systems/{system}/seed{seed}/captions/{decoding}/{split}.csv",
            caption="../report/captions.rst",
            category="Captions",
            labels={
                "system": "{system}",
                "seed": "{seed}",
                "decoding": "{decoding}",
                "split": "{split}",
            },
        ),
        n_best="results/{corpus}/systems/{system}/seed{seed}/captions/{decoding}/{split}.parquet",
    log:
        "results/{corpus}/logs/decode_split/{system}.seed{seed}.{decoding}.{split}.log",
    benchmark:
        "results/{corpus}/benchmarks/decode_split/{system}.seed{seed}.{decoding}.{split}.tsv"
    wildcard_constraints:
        system="|".join(PLAN.lineage.speaking) or "^$",
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        # Features are streamed; an ensemble's members are in memory together.
        mem_mb=lambda wildcards, input, attempt: attempt * (1500 + 500 * len(input.models)),
        runtime=lambda wildcards, attempt: 60 * attempt,
        gpu=GPUS,
    params:
        decoding=lambda wildcards: config["decodings"][wildcards.decoding],
        average=lambda wildcards: SYSTEMS[wildcards.system].get("average"),
        shards=lambda wildcards: {
            frontend: PLAN.shards(C, wildcards.split, frontend)
            for frontend in SYSTEMS[wildcards.system]["frontends"]
        },
        code=source_digest(
            "decode_split",
            "results/{corpus}/systems/{system}/seed{seed}/captions/{decoding}/{split}.csv",
            family_modules,
        ),
    message:
        "Decode {wildcards.split} with {wildcards.system}, seed {wildcards.seed}, {wildcards.decoding}"
    script:
        "../scripts/decode_split.py"


rule attend_split:
    input:
        model="results/{corpus}/systems/{system}/seed{seed}/model",
        captions="results/{corpus}/systems/{system}/seed{seed}/captions/{decoding}/{split}.csv",
        features=system_shards(),
    output:
        attention="results/{corpus}/systems/{system}/seed{seed}/attention/{decoding}/{split}.parquet",
    log:
        "results/{corpus}/logs/attend_split/{system}.seed{seed}.{decoding}.{split}.log",
    benchmark:
        "results/{corpus}/benchmarks/attend_split/{system}.seed{seed}.{decoding}.{split}.tsv"
    wildcard_constraints:
        system="|".join(PLAN.lineage.attentive) or "^$",
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
        gpu=GPUS,
    params:
        shards=lambda wildcards: {
            frontend: PLAN.shards(C, wildcards.split, frontend)
            for frontend in SYSTEMS[wildcards.system]["frontends"]
        },
        code=source_digest(
            "attend_split",
            "results/{corpus}/systems/{system}/seed{seed}/attention/{decoding}/{split}.parquet",
            family_modules,
        ),
    message:
        "Where {wildcards.system}, seed {wildcards.seed}, {wildcards.decoding}, looks in {wildcards.split}"
    script:
        "../scripts/attend_split.py"


rule caption_trivially:
    input:
        clips="results/{corpus}/clips/{split}.parquet",
        development_clips="results/{corpus}/clips/development.parquet",
        annotations="results/{corpus}/annotations/development.parquet",
        features=system_shards(),
        development=system_shards("development"),
    output:
        captions=report(
            "results/{corpus}/systems/{system}/seed0/captions/none/{split}.csv",
            caption="../report/captions.rst",
            category="Captions",
            labels={
                "system": "{system}",
                "seed": "0",
                "decoding": "none",
                "split": "{split}",
            },
        ),
        n_best="results/{corpus}/systems/{system}/seed0/captions/none/{split}.parquet",
    log:
        "results/{corpus}/logs/caption_trivially/{system}.{split}.log",
    benchmark:
        "results/{corpus}/benchmarks/caption_trivially/{system}.{split}.tsv"
    wildcard_constraints:
        system="|".join(PLAN.lineage.trivial) or "^$",
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=memory(1500, per_input=2),
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        trivial=lambda wildcards: SYSTEMS[wildcards.system]["trivial"],
        code=source_digest(
            "caption_trivially",
            "results/{corpus}/systems/{system}/seed0/captions/none/{split}.csv",
        ),
    message:
        "Caption {wildcards.split} by {wildcards.system}"
    script:
        "../scripts/caption_trivially.py"
