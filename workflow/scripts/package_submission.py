"""Zip the challenge's files of all systems, unless the check finds an error."""

from pathlib import Path

from captioner.job import start_logging
from captioner.submission.writing import write_package


def main(snakemake):
    start_logging(snakemake.log[0])
    write_package(
        {Path(path).name: path for path in snakemake.input.files},
        snakemake.output.package,
        clips=snakemake.input.clips,
        scores=snakemake.params.scores,
        models=snakemake.params.models,
        own=snakemake.wildcards.corpus,
    )


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
