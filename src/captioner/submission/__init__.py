"""The challenge's submission files."""
