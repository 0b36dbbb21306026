"""Networks trained on AudioSet as front-ends: frame embeddings and tag probabilities."""
