"""Train one system with one seed; a killed job continues where it stopped."""

from pathlib import Path

from captioner.job import start_logging
from captioner.training.train import train_system


def main(snakemake):
    start_logging(snakemake.log[0])
    params, wildcards = snakemake.params, snakemake.wildcards
    model = Path(snakemake.output.model)
    train_system(
        system=wildcards.system,
        settings=params.settings,
        seed=int(wildcards.seed),
        features=params.shards,
        annotations=dict(zip(params.splits, snakemake.input.annotations, strict=True)),
        statistics=dict(zip(params.settings["frontends"], snakemake.input.statistics, strict=True)),
        vocabulary=snakemake.input.vocabulary,
        trained_on=[{"corpus": wildcards.corpus, "splits": ["development"]}],
        model_folder=model,
        history=snakemake.output.history,
        resume_folder=model.parent / "resume",
        threads=snakemake.threads,
        code=params.code,
    )


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
