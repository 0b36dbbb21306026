"""Hold clips out of a published development split, by their words: a CSV file_name,split."""

import logging

from captioner.corpus.splitting.hold_out import hold_out
from captioner.corpus.splitting.report import describe_split
from captioner.job import start_logging


def main(snakemake):
    start_logging(snakemake.log[0])
    settings = snakemake.params.hold_out
    reports = hold_out(
        snakemake.input.captions, snakemake.output.splits, settings["shares"], settings["seed"]
    )
    logging.getLogger("captioner").info("%s", describe_split(*reports))


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
