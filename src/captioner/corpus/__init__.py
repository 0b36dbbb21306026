"""Corpora: registries of files, download, extraction, readers, tables and checks."""
