"""Write one shard of front-end features (Parquet, one row per clip)."""

from captioner.audio.frontends import build_frontend
from captioner.corpus.tables import iter_shard_clips
from captioner.job import start_logging
from captioner.store.writing import write_shard


def main(snakemake):
    start_logging(snakemake.log[0])
    shard, n_shards = int(snakemake.wildcards.shard), snakemake.params.n_shards
    write_shard(
        iter_shard_clips(snakemake.input.clips, shard, n_shards),
        shard,
        n_shards,
        build_frontend(snakemake.params.frontend, snakemake.input.weights or None),
        snakemake.output.shard,
    )


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
