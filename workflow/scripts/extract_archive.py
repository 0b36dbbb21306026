"""Unpack the audio of one archive and make it, or a link to it, the output."""

from pathlib import Path

from captioner.corpus.download.extract import extract
from captioner.corpus.download.fetch import place
from captioner.job import start_logging


def main(snakemake):
    start_logging(snakemake.log[0])
    stored = Path("resources/audio", snakemake.wildcards.key, snakemake.wildcards.stem)
    extract(snakemake.input.archive, stored)
    place(stored, snakemake.output.folder, keep=snakemake.params.keep)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
