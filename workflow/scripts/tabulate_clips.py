"""Tabulate the audio files of one split by their headers."""

from captioner.corpus.readers.kinds import load_reader
from captioner.corpus.tables import write_clips
from captioner.job import start_logging


def main(snakemake):
    start_logging(snakemake.log[0])
    settings, split = snakemake.params.corpus, snakemake.wildcards.split
    files = dict(snakemake.input.items())
    clips = load_reader(settings["kind"]).tabulate_clips(settings, split, files)
    write_clips(snakemake.output.clips, clips)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
