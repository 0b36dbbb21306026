"""Splits of a corpus that has none, by the words of its captions."""
