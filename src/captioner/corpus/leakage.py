"""Clips to train on that are also in a split which is scored or submitted."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from captioner.corpus.tables import Annotation, Clip, iter_annotations, iter_clips

HeldOut = tuple[str, Iterable[Annotation], Iterable[Clip]]  # what it is called, and its tables

log = logging.getLogger(__name__)


def find_leaks(
    annotations: Iterable[Annotation], clips: Iterable[Clip], held_out: Iterable[HeldOut]
) -> dict[str, str]:
    """Give the clips that a training must leave out: file name -> reason.

    A clip is the same as one held out if both were cut from the recording with the same id (of
    Freesound or YouTube: `Annotation.sound_id`), wherever in it, or if their samples have the same
    digest: equal excerpts, lengths and rates, in whatever lossless format. Equal names say nothing,
    and neither do clips of one constant value, silence say, which have no digest. What the digest
    cannot see: copies that were compressed, resampled or cut elsewhere, where no id tells.

    The tables of the training source are read once, and only ids and digests of those held out are
    kept in memory.
    """
    by_id: dict[str, str] = {}
    by_digest: dict[str, str] = {}
    for label, rows, audio in held_out:
        for row in rows:
            by_id.setdefault(row.sound_id, f"{row.file_name} of {label}")
        for clip in audio:
            by_digest.setdefault(clip.digest, f"{clip.file_name} of {label}")
    by_id.pop("", None)
    by_digest.pop("", None)
    leaking_id = {row.file_name: row.sound_id for row in annotations if row.sound_id in by_id}
    leaks = {}
    for clip in clips:
        if sound_id := leaking_id.get(clip.file_name):
            leaks[clip.file_name] = f"{sound_id} is {by_id[sound_id]} too"
        elif clip.digest in by_digest:
            leaks[clip.file_name] = f"the same samples as {by_digest[clip.digest]}"
    return leaks


def check_leakage(
    annotations: str | Path,
    clips: str | Path,
    held_out: Iterable[tuple[str, str | Path, str | Path]],
) -> dict[str, Any]:
    """Read the tables of a training source and of what is held out (label, annotations, clips).

    Gives JSON: `n_clips` of the source, `excluded` (file name -> reason) and the labels `held_out`;
    logs how many are excluded.
    """
    held_out = list(held_out)
    n_clips = 0

    def counted() -> Iterator[Clip]:
        nonlocal n_clips
        for clip in iter_clips(clips):
            n_clips += 1
            yield clip

    tables = ((label, iter_annotations(text), iter_clips(audio)) for label, text, audio in held_out)
    excluded = find_leaks(iter_annotations(annotations), counted(), tables)
    log.info("%d of %d clips in %s are held out", len(excluded), n_clips, clips)
    return {"n_clips": n_clips, "excluded": excluded, "held_out": [label for label, *_ in held_out]}
