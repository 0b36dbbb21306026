"""Make the vectors that a system's embeddings of words start from."""

from captioner.corpus.tables import read_annotations
from captioner.job import start_logging
from captioner.text.vocabulary import Vocabulary
from captioner.text.word_embeddings.vectors import embed_words


def main(snakemake):
    start_logging(snakemake.log[0])
    captions = [
        caption
        for path in snakemake.input.get("annotations", [])
        for clip in read_annotations(path)
        for caption in clip.captions
    ]
    vocabulary = Vocabulary.load(snakemake.input.vocabulary)
    params = snakemake.params
    vectors = embed_words(vocabulary, captions, params.settings, params.n_values)
    vectors.save(snakemake.output.vectors)


if __name__ == "__main__":
    main(snakemake)  # given by Snakemake
