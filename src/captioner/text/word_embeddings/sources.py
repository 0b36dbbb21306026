"""Where word vectors come from, by name.

Modules are named by strings and imported late, so that an edit of one source touches no other. A
source's module has `embed(vocabulary, captions, **settings) -> WordVectors`.
"""

SOURCES = {
    "word2vec": "captioner.text.word_embeddings.word2vec",
    "file": "captioner.text.word_embeddings.files",
    "bert": "captioner.text.word_embeddings.bert",
}
