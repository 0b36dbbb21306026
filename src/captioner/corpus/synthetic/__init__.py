"""The embedded corpus `synthetic`: computed soundscapes, captions from a grammar.

`sources` (families of sound) -> `soundscape` (scenes) -> `grammar` (captions) -> `plans` (clips)
-> `generate` (files).
"""
