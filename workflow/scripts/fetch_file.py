"""Fetch one published file, verify it, and make the output a link to it."""

from captioner.corpus.fetch import fetch, link
from captioner.corpus.registry import read_registry
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
    link(stored, snakemake.output.file)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
