"""Tabulate the captions and metadata of one split."""

from captioner.corpus.readers.kinds import load_reader
from captioner.corpus.tables import write_annotations
from captioner.job import start_logging


def main(snakemake):
    start_logging(snakemake.log[0])
    settings, split = snakemake.params.corpus, snakemake.wildcards.split
    files = dict(snakemake.input.items())
    annotations = load_reader(settings["kind"]).read_annotations(settings, split, files)
    write_annotations(snakemake.output.annotations, annotations)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
