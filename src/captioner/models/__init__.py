"""Captioning systems: one file per family, one small interface."""
