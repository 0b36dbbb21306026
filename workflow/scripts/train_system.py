"""Train one system with one seed; a killed job continues where it stopped."""

from pathlib import Path

from captioner.job import start_logging
from captioner.training.sources import Source
from captioner.training.train import train_system


def main(snakemake):
    start_logging(snakemake.log[0])
    params, wildcards = snakemake.params, snakemake.wildcards
    model = Path(snakemake.output.model)
    train_system(
        system=wildcards.system,
        settings=params.settings,
        seed=int(wildcards.seed),
        sources=[Source.from_dict(source) for source in params.sources],
        validation=Source.from_dict(params.validation) if params.validation else None,
        statistics=params.statistics,
        encoders=params.encoders,
        vocabulary=snakemake.input.vocabulary,
        model_folder=model,
        history=snakemake.output.history,
        resume_folder=model.parent / "resume",
        threads=snakemake.threads,
        code=params.code,
    )


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
