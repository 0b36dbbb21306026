"""Fetch one published file, verify it and make it, or a link to it, the output."""

from captioner.corpus.download.fetch import fetch, place
from captioner.corpus.download.registry import read_registry
from captioner.job import start_logging


def main(snakemake):
    start_logging(snakemake.log[0])
    by_name = {entry.file: entry for entry in read_registry(snakemake.params.registry)}
    stored = fetch(
        by_name[snakemake.wildcards.file],
        "resources/downloads",
        mirrors=snakemake.config["mirrors"],
        offline=snakemake.config["offline"],
        registry=list(by_name.values()),
    )
    place(stored, snakemake.output.file, keep=snakemake.params.keep)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
