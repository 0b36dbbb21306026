"""Train one system with one seed; a killed job continues where it stopped."""

from pathlib import Path

from captioner.job import start_logging
from captioner.training.launch import launch_training
from captioner.training.sources import Source


def main(snakemake):
    start_logging(snakemake.log[0])
    params, wildcards, given = snakemake.params, snakemake.wildcards, snakemake.input
    model = Path(snakemake.output.model)
    n_gpus, n_nodes = (snakemake.resources.get(name, n) for name, n in (("gpu", 0), ("nodes", 1)))
    launch_training(
        n_processes=max(1, n_gpus // n_nodes),
        n_nodes=n_nodes,
        system=wildcards.system,
        settings=params.settings,
        seed=int(wildcards.seed),
        sources=[Source.from_dict(source) for source in params.sources],
        validation=Source.from_dict(params.validation) if params.validation else None,
        statistics=params.statistics,
        encoders=params.encoders,
        vocabulary=given.vocabulary,
        model_folder=model,
        history=snakemake.output.history,
        resume_folder=model.parent / "resume",
        threads=snakemake.threads,
        code=params.code,
        start=given.start or None,
        pretrained=params.pretrained,
        word_embeddings=given.word_embeddings or None,
        # Asked of the config and not by params, for a finished training must not rerun for them.
        resume=snakemake.config["resume"],
        tensorboard=model.parent / "tensorboard" if snakemake.config["tensorboard"] else None,
        java_folder=Path(given.jars[0]).parent if given.jars else None,
        cache_folder=snakemake.config["spice_cache"],
        scratch=snakemake.config["scratch"],
    )


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
