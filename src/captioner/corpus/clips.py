"""Tabulate the audio files of a folder by their headers."""

from collections.abc import Iterable
from pathlib import Path

from captioner.audio.reading import probe
from captioner.corpus.listing import list_audio
from captioner.corpus.tables import Clip
from captioner.errors import InputError
from captioner.job import Progress


def tabulate_folder(folder: str | Path, file_names: Iterable[str] | None = None) -> list[Clip]:
    """Read the headers of a folder's audio files, in the order of their names.

    Of `file_names`, if given, only those that exist are tabulated: the checks name the others.
    Files that cannot be read, or hold no samples, are all named in one `InputError`.
    """
    folder = Path(folder)
    if file_names is None:
        file_names = list_audio(folder)
    present = [name for name in sorted(file_names) if (folder / name).is_file()]
    if not present:
        raise InputError(f"{folder} holds none of the audio files expected there: check the path")
    clips, faults = [], []
    with Progress(len(present), f"Headers in {folder.name}", "clip") as progress:
        for name in present:
            try:
                info = probe(folder / name)
            except InputError as fault:
                faults.append(str(fault))
            else:
                clips.append(
                    Clip(
                        file_name=name,
                        path=str(folder / name),
                        size=info.size,
                        duration_s=info.duration_s,
                        sample_rate_hz=info.sample_rate_hz,
                        n_channels=info.n_channels,
                    )
                )
            progress.advance()
    if faults:
        more = f"\nand {len(faults) - 10} more files" if len(faults) > 10 else ""
        raise InputError("\n".join(faults[:10]) + more)
    return clips
