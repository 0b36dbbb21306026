"""Caption the clips of a split with one trained system, or with several as an ensemble."""

from captioner.corpus.tables import read_clips
from captioner.decoding.captions import write_captions
from captioner.decoding.decode import decode_clips
from captioner.decoding.ensemble import ensemble
from captioner.decoding.options import DecodingOptions
from captioner.job import start_logging
from captioner.models.checkpoint import load_model
from captioner.store.shards import FeatureStore


def main(snakemake):
    start_logging(snakemake.log[0])
    members = [load_model(folder) for folder in snakemake.input.models]
    average = snakemake.params.average  # None: one system
    loaded = members[0] if average is None else ensemble(members, average)
    features = {
        frontend: FeatureStore(snakemake.params.shards[frontend])
        for frontend in loaded.description["frontends"]
    }
    file_names = [clip.file_name for clip in read_clips(snakemake.input.clips)]
    options = DecodingOptions.from_settings(snakemake.params.decoding)
    hypotheses = decode_clips(loaded, features, file_names, options)
    write_captions(
        snakemake.output.captions, snakemake.output.n_best, loaded.vocabulary, hypotheses
    )


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
