"""From a trained system to captions: beam search and its options."""
