"""Write the challenge's output file: every test clip once, with its caption."""

from captioner.corpus.tables import read_clips
from captioner.job import start_logging
from captioner.submission.output import write_output


def main(snakemake):
    start_logging(snakemake.log[0])
    file_names = [clip.file_name for clip in read_clips(snakemake.input.clips)]
    write_output(snakemake.input.captions, file_names, snakemake.output.captions)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
