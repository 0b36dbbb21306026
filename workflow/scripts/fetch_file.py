"""Fetch one published file and verify it."""

from captioner.corpus.fetch import fetch
from captioner.corpus.registry import read_registry
from captioner.job import start_logging


def main(snakemake):
    start_logging(snakemake.log[0])
    by_name = {entry.file: entry for entry in read_registry(snakemake.params.registry)}
    fetch(
        by_name[snakemake.wildcards.file],
        snakemake.output.file,
        mirrors=snakemake.config["mirrors"],
        offline=snakemake.config["offline"],
    )


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
