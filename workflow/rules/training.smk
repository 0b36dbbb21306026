"""Training: one model per system and seed; a killed job resumes where it stopped."""


rule train_system:
    input:
        data=lambda wildcards: PLAN.training_files(wildcards.system),
        statistics=lambda wildcards: sum(PLAN.statistics(wildcards.system).values(), []),
        encoders=lambda wildcards: list(PLAN.encoders(wildcards.system).values()),
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
        sources=lambda wildcards: PLAN.sources(wildcards.system),
        validation=lambda wildcards: PLAN.validation(wildcards.system),
        statistics=lambda wildcards: PLAN.statistics(wildcards.system),
        encoders=lambda wildcards: PLAN.encoders(wildcards.system),
        code=source_digest(
            "train_system",
            "results/{corpus}/systems/{system}/seed{seed}/history.csv",
            family_module,
        ),
    message:
        "Train {wildcards.system}, seed {wildcards.seed}"
    script:
        "../scripts/train_system.py"
