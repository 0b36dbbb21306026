"""Train one system with one seed; a killed job continues where it stopped."""

from pathlib import Path

from captioner.job import start_logging
from captioner.training.launch import launch_training


def main(snakemake):
    start_logging(snakemake.log[0])
    given, config = snakemake.input, snakemake.config
    n_gpus, n_nodes = (snakemake.resources.get(name, n) for name, n in (("gpu", 0), ("nodes", 1)))
    model = Path(snakemake.output.model)
    launch_training(
        **snakemake.params,
        n_processes=max(1, n_gpus // n_nodes),
        n_nodes=n_nodes,
        threads=snakemake.threads,
        system=snakemake.wildcards.system,
        seed=int(snakemake.wildcards.seed),
        vocabulary=given.vocabulary,
        start=given.start or None,
        word_embeddings=given.word_embeddings or None,
        java_folder=Path(given.jars[0]).parent if given.jars else None,
        model_folder=model,
        history=snakemake.output.history,
        resume_folder=model.parent / "resume",
        # Asked of the config and not by params, for a finished training must not rerun for them.
        resume=config["resume"],
        tensorboard=model.parent / "tensorboard" if config["tensorboard"] else None,
        cache_folder=config["spice_cache"],
        scratch=config["scratch"],
    )


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
