"""Say where in its clip each word of a system's captions looked."""

from captioner.decoding.attended import write_attention
from captioner.decoding.attending import attend
from captioner.evaluation.tables import read_predictions
from captioner.job import start_logging
from captioner.models.checkpoint import load_model
from captioner.store.shards import FeatureStore


def main(snakemake):
    start_logging(snakemake.log[0])
    loaded = load_model(snakemake.input.model)
    features = {
        frontend: FeatureStore(snakemake.params.shards[frontend])
        for frontend in loaded.description["frontends"]
    }
    captions = read_predictions(snakemake.input.captions)
    write_attention(snakemake.output.attention, attend(loaded, features, captions))


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
