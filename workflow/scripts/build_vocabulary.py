"""Count the words of the development captions and order them into a vocabulary."""

from captioner.corpus.tables import read_annotations
from captioner.job import start_logging
from captioner.text.vocabulary import build_vocabulary


def main(snakemake):
    start_logging(snakemake.log[0])
    annotations = read_annotations(snakemake.input.annotations)
    captions = [caption for clip in annotations for caption in clip.captions]
    counted_on = [{"corpus": snakemake.wildcards.corpus, "splits": ["development"]}]
    vocabulary = build_vocabulary(captions, snakemake.params.settings, counted_on)
    vocabulary.save(snakemake.output.vocabulary)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
