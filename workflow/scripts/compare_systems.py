"""Compare all systems that were scored on one split with the best of them."""

from collections import defaultdict

from captioner.evaluation.clip_scores import read_clip_scores
from captioner.evaluation.comparison import compare_all
from captioner.job import start_logging, write_json


def main(snakemake):
    start_logging(snakemake.log[0])
    systems = defaultdict(dict)
    # (label, seed) of each table, in the tables' order
    for (label, seed), path in zip(snakemake.params.systems, snakemake.input.per_clip, strict=True):
        systems[label][seed] = read_clip_scores(path)
    write_json(snakemake.output.comparison, compare_all(systems))


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
