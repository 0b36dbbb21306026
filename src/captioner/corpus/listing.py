"""List the audio files of a folder."""

import os
from pathlib import Path

from captioner.errors import InputError

AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64"}


def list_audio(folder: str | Path) -> list[str]:
    """Give the names of the audio files right in a folder, sorted."""
    try:
        return sorted(
            name
            for name in os.listdir(folder)  # noqa: PTH208, names alone: there may be 400,000
            if os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES and not name.startswith(".")  # noqa: PTH122
        )
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder} is not a folder; expected one with audio files") from None
