"""Write a system's three files for the challenge: captions of the test clips, metadata, report."""

from captioner.corpus.tables import read_clips
from captioner.job import start_logging
from captioner.submission.output import write_output
from captioner.submission.writing import write_system


def main(snakemake):
    start_logging(snakemake.log[0])
    params = snakemake.params
    file_names = [clip.file_name for clip in read_clips(snakemake.input.clips)]
    write_output(params.captions, file_names, snakemake.output.captions)
    write_system(
        params.content,
        params.scores,
        params.report,
        snakemake.output.metadata,
        snakemake.output.report,
    )


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
