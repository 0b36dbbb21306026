"""Fetch the jars that SPICE needs, verified by sha256."""

from pathlib import Path

from captioner.evaluation.java import fetch_spice_jars
from captioner.job import start_logging


def main(snakemake):
    start_logging(snakemake.log[0])
    fetch_spice_jars(Path(snakemake.output.jars[0]).parent, offline=snakemake.config["offline"])


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
