"""Tabulate the audio files of folders: their headers, and what their samples measure."""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from captioner.audio.reading import probe, read_audio
from captioner.corpus.listing import list_audio
from captioner.corpus.samples import measure_samples
from captioner.corpus.tables import Clip
from captioner.errors import InputError
from captioner.job import Progress

N_NAMED = 10  # damaged files that a message names

log = logging.getLogger(__name__)


def tabulate_folders(
    folders: Sequence[str | Path],
    file_names: Iterable[str] | None = None,
    damaged: Literal["error", "skip"] = "error",
) -> Iterator[Clip]:
    """Tabulate the audio files of some folders one by one, in the order of their names.

    Of `file_names`, if given, only those that exist are tabulated: the checks name the others.
    Files that cannot be read, hold no samples or NaN are named in one `InputError` at the end, or,
    with `damaged="skip"`, given as clips with a fault and warned of. To find every such file,
    "skip" decodes each as a whole; "error" reads headers and excerpts, and leaves what is broken
    between them to the job that reads it all.

    Only names are held in memory. Raises `InputError` at once if a name is in two folders, or no
    file is there.
    """
    located = _locate([os.fspath(folder) for folder in folders], file_names)
    return _tabulate(located, damaged == "skip")


def _locate(folders: list[str], file_names: Iterable[str] | None) -> dict[str, str]:
    """Give the folder of each file that exists, sorted by the file's name."""
    folder_of: dict[str, str] = {}
    wanted = None if file_names is None else sorted(set(file_names))
    for folder in folders:
        names = list_audio(folder) if wanted is None else wanted
        for name in names:
            if wanted is not None and not os.path.isfile(os.path.join(folder, name)):  # noqa: PTH113, PTH118, faster
                continue
            if name in folder_of:
                raise InputError(
                    f"{name!r} is in {folder_of[name]} and in {folder}, expected in one of the "
                    "corpus's folders: remove one of the files"
                )
            folder_of[name] = folder
    if not folder_of:
        raise InputError(
            f"{', '.join(folders)} holds none of the audio files expected there: check the path"
        )
    return dict(sorted(folder_of.items()))


def _tabulate(folder_of: dict[str, str], skip: bool) -> Iterator[Clip]:
    n_damaged, named = 0, []
    with Progress(len(folder_of), "Clips", "clip") as progress:
        for name, folder in folder_of.items():
            path = Path(folder, name)
            try:
                if skip:
                    read_audio(path)
                clip = _clip(name, path)
            except InputError as fault:
                n_damaged += 1
                if n_damaged <= N_NAMED:
                    named.append(str(fault))
                clip = Clip(name, str(path), path.stat().st_size, 0.0, 0, 0, fault=str(fault))
            if skip or not clip.fault:
                yield clip
            progress.advance()
    if not named:
        return
    told = "\n".join(named)
    if n_damaged > N_NAMED:
        told += f"\nand {n_damaged - N_NAMED} more files"
    if not skip:
        raise InputError(told)
    log.warning("Damaged clips, left out: %d\n%s", n_damaged, told)


def _clip(name: str, path: Path) -> Clip:
    """Read one file's header and excerpts of its samples."""
    info = probe(path)
    return Clip(
        file_name=name,
        path=str(path),
        size=info.size,
        duration_s=info.duration_s,
        sample_rate_hz=info.sample_rate_hz,
        n_channels=info.n_channels,
        **asdict(measure_samples(path)),
    )
