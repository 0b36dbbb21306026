"""Write a shard of the sounds and spectrograms that the report plays and shows."""

from captioner.corpus.tables import iter_clips
from captioner.job import start_logging
from captioner.reporting.media import prepare_clips


def main(snakemake):
    start_logging(snakemake.log[0])
    prepare_clips(
        iter_clips(snakemake.input.clips),
        int(snakemake.wildcards.shard),
        snakemake.params.n_shards,
        snakemake.params.audio,
        snakemake.output.folder,
    )


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
