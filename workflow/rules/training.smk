"""Training: one model per system and seed; a killed job resumes where it stopped."""


rule train_system:
    input:
        features=system_shards(TRAINING_SPLITS),
        annotations=expand("results/{{corpus}}/annotations/{split}.parquet", split=TRAINING_SPLITS),
        checks=expand("results/{{corpus}}/checks/{split}.json", split=TRAINING_SPLITS),
        statistics=system_statistics,
        vocabulary=lambda wildcards: (
            f"results/{wildcards.corpus}/vocabulary/{SYSTEMS[wildcards.system]['vocabulary']}.json"
        ),
    output:
        model=directory("results/{corpus}/systems/{system}/seed{seed}/model"),
        history="results/{corpus}/systems/{system}/seed{seed}/history.csv",
    log:
        "results/{corpus}/logs/train_system/{system}.seed{seed}.log",
    benchmark:
        "results/{corpus}/benchmarks/train_system/{system}.seed{seed}.tsv"
    priority: 1  # the longest jobs start first
    conda:
        "../../envs/captioner.yaml"
    threads: TRAINING_THREADS
    resources:
        mem_mb=lambda wildcards, input, attempt: 2000 + attempt * int(2 * input.size_mb),
        gpu=GPUS,
    params:
        settings=training_settings,
        splits=TRAINING_SPLITS,
        shards=lambda wildcards: {
            frontend: {split: shards(split, frontend) for split in TRAINING_SPLITS}
            for frontend in SYSTEMS[wildcards.system]["frontends"]
        },
        code=source_digest(
            "train_system",
            "results/{corpus}/systems/{system}/seed{seed}/history.csv",
            family_module,
        ),
    message:
        "Train {wildcards.system}, seed {wildcards.seed}"
    script:
        "../scripts/train_system.py"
