"""Turn published weights and a counted vocabulary into a model, without training."""

from captioner.job import start_logging
from captioner.models.published import import_weights


def main(snakemake):
    start_logging(snakemake.log[0])
    params = snakemake.params
    import_weights(
        system=snakemake.wildcards.system,
        settings=params.settings,
        weights=snakemake.input.weights,
        vocabulary=snakemake.input.vocabulary,
        shards=params.shards,
        task_token=params.task_token,
        encoders=params.encoders,
        model_folder=snakemake.output.model,
    )


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
