"""Draw the spectrogram of one clip per synthetic source: does rain look like rain?"""

from captioner.corpus.synthetic.pictures import draw_sources
from captioner.job import start_logging


def main(snakemake):
    start_logging(snakemake.log[0])
    draw_sources(snakemake.output.picture)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
