"""Score the captions of one system on one split with the official tools."""

from pathlib import Path

from captioner.evaluation.references import read_split_references
from captioner.evaluation.score import score_captions, write_scores
from captioner.evaluation.semantic import SemanticModels
from captioner.evaluation.tables import read_predictions
from captioner.job import start_logging


def main(snakemake):
    start_logging(snakemake.log[0])
    semantic = snakemake.params.semantic  # the models of SPIDEr-FL and FENSE, if configured
    scores = score_captions(
        read_predictions(snakemake.input.captions),
        read_split_references(snakemake.input.annotations, snakemake.input.clips),
        java_folder=Path(snakemake.input.jars[0]).parent,
        cache_folder=snakemake.config["spice_cache"],  # shared by all runs, and kept
        allow_empty=True,
        threads=max(2, snakemake.threads),  # one alone doubles SPICE's processor time
        models=SemanticModels(**semantic) if semantic else None,
    )
    write_scores(snakemake.output.scores, snakemake.output.per_clip, scores)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
