"""Generate the synthetic corpus in Clotho's published form."""

from pathlib import Path

from captioner.corpus.synthetic.generate import generate_corpus
from captioner.job import start_logging


def main(snakemake):
    start_logging(snakemake.log[0])
    generator = snakemake.params.generator
    generate_corpus(
        Path(snakemake.output.registry).parent,
        seed=generator["seed"],
        clips=generator["clips"],
        duration_s=tuple(generator["duration_s"]),
        processes=snakemake.threads,
    )


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
