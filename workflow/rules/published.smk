"""Published weights: models of systems that are not trained here."""


rule import_weights:
    input:
        weights=lambda wildcards: PLAN.published_weights(wildcards.system),
        shards=lambda wildcards: list(any_shards(wildcards).values()),
        encoders=lambda wildcards: list(PLAN.encoders(wildcards.system).values()),
        vocabulary=vocabulary_file,
    output:
        model=directory("results/{corpus}/systems/{system}/seed{seed}/model"),
    log:
        "results/{corpus}/logs/import_weights/{system}.seed{seed}.log",
    benchmark:
        "results/{corpus}/benchmarks/import_weights/{system}.seed{seed}.tsv"
    wildcard_constraints:
        system="|".join(PLAN.lineage.published) or "^$",
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=memory(1500, per_input=3),
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        settings=published_settings,
        shards=any_shards,
        task_token=lambda wildcards: PLAN.lineage.task_token(wildcards.system),
        encoders=lambda wildcards: PLAN.encoders(wildcards.system),
        code=source_digest(
            "import_weights",
            "results/{corpus}/systems/{system}/seed{seed}/model",
            family_modules,
        ),
    message:
        "Model of {wildcards.system} from its published weights"
    script:
        "../scripts/import_weights.py"
