"""Fetch one published file and verify it."""

from pathlib import Path

from captioner.corpus.fetch import fetch
from captioner.corpus.registry import read_registry
from captioner.job import start_logging


def main(snakemake):
    start_logging(snakemake.log[0])
    wanted = snakemake.wildcards
    entries = read_registry(snakemake.params.registry)
    fetch(
        next(e for e in entries if (e.key, e.file) == (wanted.key, wanted.file)),
        Path(snakemake.output.file).parents[1],
        mirrors=snakemake.config["mirrors"],
        offline=snakemake.config["offline"],
        registry=entries,
    )


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
