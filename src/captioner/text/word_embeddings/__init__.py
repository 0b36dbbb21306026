"""Word embeddings from elsewhere: trained on captions, read from a file, or a language model's."""
