"""List the audio files of a folder."""

from pathlib import Path

from captioner.errors import InputError

AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64"}


def list_audio(folder: str | Path) -> list[str]:
    """Give the names of the audio files right in a folder, sorted."""
    try:
        return sorted(
            path.name
            for path in Path(folder).iterdir()
            if path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")
        )
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder} is not a folder; expected one with audio files") from None
