"""Write the mean and variance of a split's features."""

from captioner.job import start_logging
from captioner.store.shards import FeatureStore


def main(snakemake):
    start_logging(snakemake.log[0])
    FeatureStore(snakemake.input.shards).statistics().save(snakemake.output.statistics)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
