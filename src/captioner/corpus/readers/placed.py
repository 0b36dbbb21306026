"""Audio that users place themselves: published captions, and as much audio as can still be had."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from captioner.corpus.listing import list_audio
from captioner.errors import InputError

N_SHOWN = 10  # names that a message tells

log = logging.getLogger(__name__)


def caption_files(settings: Mapping[str, Any], split: str) -> list[str]:
    """Give the files of `settings["captions"]` that hold a split's captions, one at least."""
    captions = settings["captions"]
    found = captions.get(split) if isinstance(captions, Mapping) else None
    if not found:
        given = sorted(captions) if isinstance(captions, Mapping) else captions
        raise InputError(
            f"The corpus's YAML gives no `captions` for {split}, only {given}; expected its file "
            f"or files under {split}"
        )
    return [found] if isinstance(found, str) else list(found)


def audio_by_stem(folder: str | Path) -> dict[str, str]:
    """Give the audio files of a folder, whatever their format: name without suffix -> name.

    Raises `InputError` if there is no such folder, or two files differ by their suffix only.
    """
    by_stem: dict[str, str] = {}
    for name in list_audio(folder):
        stem = name.rpartition(".")[0]  # faster than Path: there may be 400,000
        if stem in by_stem:
            raise InputError(
                f"{folder} holds {by_stem[stem]!r} and {name!r}; expected one file per clip: "
                "remove one of them"
            )
        by_stem[stem] = name
    return by_stem


def report_missing(missing: Sequence[str], n_clips: int, folder: str | Path, expected: str) -> None:
    """Count and name in the log the clips, of `n_clips`, that have no audio in a folder.

    Videos are taken down and archives are cut: missing clips are left out. That none is there at
    all is an `InputError`, which says what was `expected`.
    """
    if missing and len(missing) == n_clips:
        raise InputError(
            f"{folder} holds the audio of none of {n_clips} clips; expected {expected}. What to "
            "do: put the files there, or mend `audio` and `captions` in the corpus's YAML"
        )
    if missing:
        shown, more = ", ".join(missing[:N_SHOWN]), len(missing) - N_SHOWN
        log.warning(
            "%s: %d of %d clips have no audio and are left out: %s%s",
            folder, len(missing), n_clips, shown, f" and {more} more" if more > 0 else "",
        )  # fmt: skip
        log.info("Without audio in %s: %s", folder, " ".join(missing))
