"""Name the clips of a training source that are also held out in the corpus scored."""

from captioner.corpus.leakage import check_leakage
from captioner.job import start_logging, write_json


def main(snakemake):
    start_logging(snakemake.log[0])
    inputs, corpus = snakemake.input, snakemake.wildcards.corpus
    labels = [f"{corpus}, {split}" for split in snakemake.params.held_out]
    held_out = zip(labels, inputs.held_out_annotations, inputs.held_out_clips, strict=True)
    report = check_leakage(inputs.annotations, inputs.clips, held_out)
    write_json(snakemake.output.leakage, report)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
