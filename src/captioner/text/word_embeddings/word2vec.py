"""word2vec (Mikolov et al., 2013) trained on captions, by gensim.

The defaults are those of the DCASE 2021 system by Mei et al. (published code, XinhaoMei/
DCASE2021_task6_v2): CBOW of 128 values, window 3, 1000 epochs, every word, and `<sos>` and `<eos>`
as words of each caption, which so get vectors too. That code learns from all splits; this one from
what it is given.
"""

import logging
from collections.abc import Sequence

from captioner.errors import InputError
from captioner.job import Progress
from captioner.text.vocabulary import Vocabulary
from captioner.text.word_embeddings.vectors import WordVectors

N_VALUES = 128  # of a vector
SEED = 1  # of the start; systems differ by their own seeds


def embed(
    vocabulary: Vocabulary,
    captions: Sequence[str],
    *,
    n_values: int = N_VALUES,
    window: int = 3,
    epochs: int = 1000,
    skip_gram: bool = False,
) -> WordVectors:
    """Train on `captions` as the vocabulary encodes them; always the same for the same captions.

    Args:
        vocabulary: gives the tokens; rare words are its `<unk>` where it has that.
        captions: as published.
        n_values: of a vector.
        window: the farthest neighbour that counts, in words.
        epochs: passes over the captions; 0.2 s each for Clotho's.
        skip_gram: predict neighbours from the word (skip-gram) in place of the reverse (CBOW).

    Raises:
        InputError: gensim is not installed, or there are no captions.
    """
    try:
        from gensim.models import Word2Vec
        from gensim.models.callbacks import CallbackAny2Vec
    except ImportError as error:
        raise InputError(
            f"word_embeddings: word2vec needs the Python package gensim ({error}), which this "
            "project's environment has on Python 3.11 to 3.13. Use one of those, or vectors from "
            "a file (`source: file`)."
        ) from error
    if not captions:
        raise InputError("word2vec: found no captions, expected those of development.")

    class Advance(CallbackAny2Vec):
        def on_epoch_end(self, model: object) -> None:
            progress.advance()

    tokens = vocabulary.tokens
    sentences = [
        [
            tokens[vocabulary.sos],
            *(tokens[i] for i in vocabulary.encode(caption)),
            tokens[vocabulary.eos],
        ]
        for caption in captions
    ]
    logging.getLogger("gensim").setLevel(logging.WARNING)  # else a line or more an epoch
    with Progress(epochs, "word2vec", "epoch") as progress:
        trained = Word2Vec(
            sentences,
            vector_size=n_values,
            window=window,
            epochs=epochs,
            sg=int(skip_gram),
            min_count=1,
            seed=SEED,
            workers=1,  # several would add their gradients in the order of the moment
            callbacks=[Advance()],
        ).wv
    return WordVectors.collect(
        vocabulary, {i: trained[token] for i, token in enumerate(tokens) if token in trained}
    )
