"""Write the corpus `synthetic` in the form in which Clotho is published."""

import csv
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import py7zr
import soundfile

from captioner.corpus.download.registry import Entry, write_registry
from captioner.corpus.synthetic.dsp import SAMPLE_RATE_HZ
from captioner.corpus.synthetic.files import CORPUS, REGISTRY, published_files
from captioner.corpus.synthetic.plans import (
    SPLITS,
    ClipPlan,
    Settings,
    development_words,
    plan_clip,
    random_streams,
)
from captioner.corpus.synthetic.soundscape import render_scene, to_int16
from captioner.errors import InputError
from captioner.job import Progress, atomic_path

SHORTEST_S = 3.0  # two sources one after another need that much
WRITTEN_AT = 1609459200  # time stamp in the archives, 2021-01-01 UTC: same seed, same bytes
LICENCE = "http://creativecommons.org/publicdomain/zero/1.0/"
CAPTION_COLUMNS = ("file_name", *(f"caption_{number}" for number in range(1, 6)))
SOUND_IDS = 1_000_000  # per split: a sound has one id in the whole corpus
METADATA_COLUMNS = (
    "file_name",
    "keywords",
    "sound_id",
    "sound_link",
    "start_end_samples",
    "manufacturer",
    "license",
)
TEST_METADATA_COLUMNS = ("file_name", "manufacturer", "license")
METADATA_ENCODING = "iso-8859-1"


def generate_corpus(
    folder: str | Path,
    seed: int,
    clips: dict[str, int],
    duration_s: tuple[float, float],
    processes: int,
) -> Path:
    """Write archives, captions, metadata and the registry to `folder`; give the registry's path.

    clips: number of clips per split (development, validation, evaluation, test).
    duration_s: shortest and longest clip; durations are uniform between them.
    processes: workers; the result does not depend on it.

    The bytes depend on the seed and the sizes only (the registry's `file:` urls on the folder too).
    A larger development split starts with the same clips. So do the others while development stays
    as it is: validation and evaluation use its words only. Clips are written one at a time:
    memory does not grow with the size. An existing folder is replaced, when all is written.
    Raises `InputError` for an unknown split, a size or a duration that cannot be.
    """
    _check(clips, duration_s)
    folder = Path(folder).resolve()
    settings = Settings(seed, clips.get("development", 0), duration_s)
    known = frozenset(development_words(settings))
    with (
        atomic_path(folder) as temporary,
        Progress(sum(clips.values()), "Synthetic clips", "clip") as progress,
        _mapping(processes) as run,
    ):
        temporary.mkdir()
        entries = []
        for split in SPLITS:
            if not clips.get(split):
                continue
            wavs = temporary.parent / split
            wavs.mkdir()
            _make_reproducible(wavs, 0o755)
            work = partial(_write_clip, settings, split, known, wavs)
            files = {kind: temporary / name for (_, kind), name in published_files([split]).items()}
            made = run(work, range(clips[split]))
            _write_tables(files, split, _archived(files["audio_archive"], wavs, made, progress))
            wavs.rmdir()
            entries += [_entry(split, kind, file, folder) for kind, file in files.items()]
        write_registry(temporary / REGISTRY, entries)
    return folder / REGISTRY


def _check(clips: dict[str, int], duration_s: tuple[float, float]) -> None:
    for split, n in clips.items():
        if split not in SPLITS:
            raise InputError(
                f"Synthetic corpus: found the split {split!r}, expected {', '.join(SPLITS)}"
            )
        if n < 0:
            raise InputError(f"Synthetic corpus: found {n} clips for {split}, expected 0 or more")
    if not clips.get("development"):
        raise InputError(
            "Synthetic corpus: found no development clips; the words of the other splits come from "
            "them: ask for one at least"
        )
    shortest, longest = duration_s
    if not SHORTEST_S <= shortest <= longest:
        raise InputError(
            f"Synthetic corpus: found durations from {shortest} to {longest} s, expected the "
            f"shorter one first and at least {SHORTEST_S} s"
        )


@contextmanager
def _mapping(processes: int) -> Iterator[Callable[..., Iterable]]:
    """Give a `map` that keeps the order, over so many processes."""
    if processes <= 1:
        yield map
        return
    with ProcessPoolExecutor(processes) as pool:
        yield partial(pool.map, chunksize=4)


def _write_clip(
    settings: Settings, split: str, known: frozenset[str], folder: Path, index: int
) -> ClipPlan:
    plan = plan_clip(settings, split, index, known)
    _, rng = random_streams(settings, split, index)
    waveform = render_scene(plan.scene, rng, round(plan.duration_s * SAMPLE_RATE_HZ))
    path = folder / plan.file_name
    soundfile.write(path, to_int16(waveform), SAMPLE_RATE_HZ, subtype="PCM_16")
    _make_reproducible(path, 0o644)
    return plan


def _make_reproducible(path: Path, mode: int) -> None:
    """Fix what an archive keeps of a file besides its content."""
    path.chmod(mode)
    os.utime(path, (WRITTEN_AT, WRITTEN_AT))


def _archived(
    archive: Path, wavs: Path, plans: Iterable[ClipPlan], progress: Progress
) -> Iterator[ClipPlan]:
    """Move each clip into the archive as it comes: the split's folder, stored, not compressed."""
    filters = [{"id": py7zr.FILTER_COPY}]  # LZMA packs noise at 2 MB/s and gains nothing
    with py7zr.SevenZipFile(archive, "w", filters=filters) as file:
        file.write(wavs, wavs.name)
        for plan in plans:
            wav = wavs / plan.file_name
            file.write(wav, f"{wavs.name}/{plan.file_name}")
            wav.unlink()
            progress.advance()
            yield plan


def _write_tables(files: dict[str, Path], split: str, plans: Iterable[ClipPlan]) -> None:
    """Write the metadata of a split, and its captions where `files` has a place for them."""
    test = split == "test"
    with ExitStack() as stack:
        metadata = csv.writer(
            stack.enter_context(
                files["metadata"].open("w", encoding=METADATA_ENCODING, newline="")
            ),
            delimiter=";" if test else ",",
            lineterminator="\r\n",
        )
        metadata.writerow(TEST_METADATA_COLUMNS if test else METADATA_COLUMNS)
        captions = None
        if "captions" in files:
            captions = csv.writer(
                stack.enter_context(files["captions"].open("w", encoding="utf-8", newline="")),
                lineterminator="\r\n",
            )
            captions.writerow(CAPTION_COLUMNS)
        for index, plan in enumerate(plans):
            metadata.writerow(_metadata_row(split, index, plan))
            if captions:
                captions.writerow([plan.file_name, *plan.captions])


def _metadata_row(split: str, index: int, plan: ClipPlan) -> list[str]:
    if split == "test":
        return [plan.file_name, plan.author, LICENCE]
    return [
        plan.file_name,
        ";".join(part.source.name for part in plan.scene.parts),
        str(SPLITS.index(split) * SOUND_IDS + index),
        f"{CORPUS}:{split}/{index}",
        f"[0, {round(plan.duration_s * SAMPLE_RATE_HZ)}]",
        plan.author,
        LICENCE,
    ]


def _entry(split: str, kind: str, file: Path, folder: Path) -> Entry:
    """Describe a written file; `folder` is where it will stand."""
    with file.open("rb") as content:
        md5 = hashlib.file_digest(content, "md5").hexdigest()
    url = (folder / file.name).as_uri()
    return Entry(split, kind, file.name, url, md5, file.stat().st_size)
