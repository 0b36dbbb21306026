"""Count the words of the development captions and order them into a vocabulary."""

from captioner.corpus.tables import read_annotations
from captioner.job import start_logging
from captioner.text.vocabulary import build_vocabulary


def main(snakemake):
    start_logging(snakemake.log[0])
    captions = [
        caption
        for path in snakemake.input.annotations
        for clip in read_annotations(path)
        for caption in clip.captions
    ]
    counted_on = [
        {"corpus": corpus, "splits": ["development"]} for corpus in snakemake.params.corpora
    ]
    vocabulary = build_vocabulary(captions, snakemake.params.settings, counted_on)
    vocabulary.save(snakemake.output.vocabulary)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
