"""Unpack the audio of one archive."""

from captioner.corpus.extract import extract
from captioner.job import start_logging


def main(snakemake):
    start_logging(snakemake.log[0])
    extract(snakemake.input.archive, snakemake.output.folder)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
