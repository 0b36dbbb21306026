"""The embedding matrix of a pretrained model of BERT's family, by Hugging Face's transformers.

A word that the model's tokenizer cuts into several pieces takes the mean of their rows.
"""

import importlib
from collections.abc import Sequence

from captioner.errors import InputError, install_command
from captioner.text.vocabulary import Vocabulary
from captioner.text.word_embeddings.vectors import WordVectors


def embed(vocabulary: Vocabulary, captions: Sequence[str], *, path: str) -> WordVectors:
    """Take the input embeddings of the vocabulary's words; specials have none.

    Args:
        vocabulary: whose words.
        captions: not looked at.
        path: folder of a model and its tokenizer, or its name on the hub.

    Raises:
        InputError: `transformers` is not installed, or the model cannot be had.
    """
    try:
        transformers = importlib.import_module("transformers")
    except ImportError as error:
        raise InputError(
            f"word_embeddings: bert needs the Python package transformers ({error}). Install the "
            f"extra: {install_command('semantic')}, or use another source."
        ) from error
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        model = transformers.AutoModel.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"word_embeddings: the model {path!r} cannot be had ({error}). Give the folder of a "
            "model and its tokenizer, or try again with a network."
        ) from error
    rows = model.get_input_embeddings().weight.detach().float().numpy()
    specials = {*vocabulary.unspoken, vocabulary.eos}
    found = {}
    for index, word in enumerate(vocabulary.tokens):
        if index not in specials:
            # As within a sentence: some tokenizers mark the beginning of a word by its space.
            pieces = tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
            if pieces and tokenizer.unk_token_id not in pieces:
                found[index] = rows[pieces].mean(axis=0)
    return WordVectors.collect(vocabulary, found)
