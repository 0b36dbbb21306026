"""Training: one model per system and seed; a killed job resumes where it stopped."""


rule train_system:
    input:
        data=lambda wildcards: PLAN.training_files(wildcards.system),
        statistics=lambda wildcards: sum(PLAN.statistics(wildcards.system).values(), []),
        encoders=lambda wildcards: list(PLAN.encoders(wildcards.system).values()),
        vocabulary=vocabulary_file,
        start=lambda wildcards: PLAN.start(wildcards.system, int(wildcards.seed)) or [],
        pretrained=lambda wildcards: list(PLAN.pretrained(wildcards.system).values()),
        word_embeddings=lambda wildcards: PLAN.word_embeddings(wildcards.system) or [],
        jars=lambda wildcards: (
            ancient(JAVA_TOOLS)
            if SYSTEMS[wildcards.system]["training"]["monitor"] == "spider"
            else []
        ),
    output:
        model=directory("results/{corpus}/systems/{system}/seed{seed}/model"),
        history=report(
            "results/{corpus}/systems/{system}/seed{seed}/history.csv",
            caption="../report/history.rst",
            category="Learning",
            labels={"system": "{system}", "seed": "{seed}"},
        ),
    log:
        "results/{corpus}/logs/train_system/{system}.seed{seed}.log",
    benchmark:
        "results/{corpus}/benchmarks/train_system/{system}.seed{seed}.tsv"
    wildcard_constraints:
        system="|".join(TRAINED) or "^$",
    priority: 1  # the longest jobs start first
    conda:
        "../../envs/captioner.yaml"
    threads: TRAINING_THREADS
    resources:
        # Features are streamed; where SPICE scores every epoch, its Java process stands beside.
        mem_mb=lambda wildcards, input, attempt: attempt * (8000 if input.jars else 3000),
        runtime=1440,  # minutes; what is stopped at that time goes on at the next attempt
        gpu=TRAINING_GPUS,
    params:
        settings=training_settings,
        sources=lambda wildcards: PLAN.sources(wildcards.system),
        validation=lambda wildcards: PLAN.validation(wildcards.system),
        statistics=lambda wildcards: PLAN.statistics(wildcards.system),
        encoders=lambda wildcards: PLAN.encoders(wildcards.system),
        pretrained=lambda wildcards: PLAN.pretrained(wildcards.system),
        code=source_digest(
            "train_system",
            "results/{corpus}/systems/{system}/seed{seed}/history.csv",
            family_modules,
            without=unused_in_training,
        ),
    message:
        "Train {wildcards.system}, seed {wildcards.seed}"
    script:
        "../scripts/train_system.py"
