"""Caption normalisation and vocabularies."""
