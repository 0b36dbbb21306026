"""Write the mean and variance of a split's features."""

from captioner.job import start_logging
from captioner.store.statistics import compute_statistics


def main(snakemake):
    start_logging(snakemake.log[0])
    compute_statistics(snakemake.input.shards).save(snakemake.output.statistics)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
