"""Metrics: the official tools, called as they are meant to be."""
