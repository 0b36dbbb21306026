"""Score people on one split: each reference against the clip's others."""

from functools import partial
from pathlib import Path

from captioner.evaluation.ceiling import human_ceiling, write_ceiling
from captioner.evaluation.references import read_split_references
from captioner.evaluation.score import score_captions
from captioner.job import start_logging


def main(snakemake):
    start_logging(snakemake.log[0])
    score = partial(
        score_captions,
        java_folder=Path(snakemake.input.jars[0]).parent,
        cache_folder=snakemake.config["spice_cache"],  # parses of references serve candidates too
        threads=max(2, snakemake.threads),  # one alone doubles SPICE's processor time
    )
    references = read_split_references(snakemake.input.annotations, snakemake.input.clips)
    ceiling = human_ceiling(references, score)
    write_ceiling(snakemake.output.scores, snakemake.output.per_clip, ceiling)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
