"""Score the captions of one system on one split with the official tools."""

from pathlib import Path

from captioner.corpus.tables import read_annotations
from captioner.evaluation.score import score_captions, write_scores
from captioner.evaluation.tables import read_predictions
from captioner.job import start_logging


def main(snakemake):
    start_logging(snakemake.log[0])
    annotations = read_annotations(snakemake.input.annotations)
    scores = score_captions(
        read_predictions(snakemake.input.captions),
        {clip.file_name: clip.captions for clip in annotations},
        java_folder=Path(snakemake.input.jars[0]).parent,
        cache_folder="resources/spice-cache",  # shared by all runs, and kept
        allow_empty=True,
        threads=max(2, snakemake.threads),  # one alone doubles SPICE's processor time
    )
    write_scores(snakemake.output.scores, snakemake.output.per_clip, scores)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
