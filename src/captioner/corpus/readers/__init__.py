"""The kinds of corpora: a reader each, from published or placed files to the two tables."""
