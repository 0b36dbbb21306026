"""Write the corpus `synthetic` in the form in which Clotho is published."""

import csv
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import py7zr
import soundfile

from captioner.corpus.registry import Entry, write_registry
from captioner.corpus.synthetic.dsp import SAMPLE_RATE_HZ
from captioner.corpus.synthetic.grammar import draw_captions, words
from captioner.corpus.synthetic.soundscape import Scene, draw_scene, render_scene, to_int16
from captioner.corpus.synthetic.sources import SOURCES
from captioner.errors import InputError
from captioner.job import Progress, atomic_path

CORPUS = "synthetic"
SPLITS = ("development", "validation", "evaluation", "test")  # test: no captions
SHORTEST_S = 3.0  # two sources one after another need that much
SCENES = 20  # drawn for a clip until the known words suffice
WRITTEN_AT = 1609459200  # time stamp in the archives, 2021-01-01 UTC: same seed, same bytes
AUTHORS = (
    "synthetic",
    "Générateur synthétique",
    "Jürgen Synthese",
    "Señal Sintética",
    "Ångström Syntes",
    "Synthèse, Noëlle",
)
LICENCE = "http://creativecommons.org/publicdomain/zero/1.0/"
CAPTION_COLUMNS = ("file_name", *(f"caption_{number}" for number in range(1, 6)))
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


@dataclass(frozen=True)
class Settings:
    """What a corpus depends on."""

    seed: int
    n_development: int
    duration_s: tuple[float, float]


@dataclass(frozen=True)
class ClipPlan:
    """A clip before its sound: what it is called, what is heard, how long, how it is described."""

    file_name: str
    scene: Scene
    duration_s: float
    captions: tuple[str, ...]  # empty for test
    author: str


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
            archive = temporary / f"{CORPUS}_audio_{split}.7z"
            plans = _archived(archive, wavs, run(work, range(clips[split])), progress)
            files = {"audio_archive": archive, **_write_tables(temporary, split, plans)}
            wavs.rmdir()
            entries += [_entry(split, kind, file, folder) for kind, file in files.items()]
        write_registry(temporary / f"{CORPUS}.tsv", entries)
    return folder / f"{CORPUS}.tsv"


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


def _streams(settings: Settings, split: str, index: int) -> list[np.random.Generator]:
    """Give a clip's own generators: for its description and for its sound."""
    sequence = np.random.SeedSequence(settings.seed, spawn_key=(SPLITS.index(split), 0, index))
    return [np.random.default_rng(child) for child in sequence.spawn(2)]


def _source_name(settings: Settings, split: str, index: int) -> str:
    """Give a clip's first source: each comes once, in random order, before any comes again."""
    names = sorted(SOURCES)
    turn, place = divmod(index, len(names))
    sequence = np.random.SeedSequence(settings.seed, spawn_key=(SPLITS.index(split), 1, turn))
    return names[np.random.default_rng(sequence).permutation(len(names))[place]]


def plan_clip(
    settings: Settings, split: str, index: int, known: frozenset[str] | None = None
) -> ClipPlan:
    """Describe a clip; validation and evaluation use `known` words only.

    Scenes are drawn until the known words suffice for five captions. Where they do not (a handful
    of development clips), the clip is a new rendering of a development clip's scene.
    """
    rng, _ = _streams(settings, split, index)
    duration_s = rng.uniform(*settings.duration_s)
    name = _source_name(settings, split, index)
    captions: tuple[str, ...] | None = ()
    for _ in range(SCENES):
        scene = draw_scene(rng, name)
        captions = draw_captions(scene, rng, known) if split != "test" else ()
        if captions is not None:
            break
    else:
        model = plan_clip(settings, "development", index % settings.n_development)
        scene, captions = model.scene, model.captions
    author = AUTHORS[rng.integers(len(AUTHORS))]
    file_name = _file_name(scene.parts[0].source.name, index)
    return ClipPlan(file_name, scene, duration_s, captions, author)


def _file_name(source: str, index: int) -> str:
    """Name a clip as people name recordings: dots, spaces, brackets, commas, non-ASCII letters.

    Two of each twelve differ only after the first dot.
    """
    match index % 12:
        case 1:
            return f"{source}.{index:05d}.take.2 [mono].wav"
        case 2:
            return f"field recording {index:05d}.east.wav"
        case 3:
            return f"field recording {index - 1:05d}.west.wav"
        case 4:
            return f"{source} près de l'étang {index:05d}.wav"
        case 5:
            return f"{index:05d} {source}, (A & B) 50%.wav"
        case 6:
            return f"Straße #{index:05d} {source}.wav"
        case _:
            return f"{source}_{index:05d}.wav"


def development_words(settings: Settings) -> set[str]:
    """Give the words of all development captions (no sound is made)."""
    return {
        word
        for index in range(settings.n_development)
        for caption in plan_clip(settings, "development", index).captions
        for word in words(caption)
    }


def _write_clip(
    settings: Settings, split: str, known: frozenset[str], folder: Path, index: int
) -> ClipPlan:
    plan = plan_clip(settings, split, index, known)
    _, rng = _streams(settings, split, index)
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


def _write_tables(folder: Path, split: str, plans: Iterable[ClipPlan]) -> dict[str, Path]:
    """Write the captions (not for test) and the metadata of a split; give their paths by kind."""
    captions_path = folder / f"{CORPUS}_captions_{split}.csv"
    metadata_path = folder / f"{CORPUS}_metadata_{split}.csv"
    test = split == "test"
    with (
        captions_path.open("w", encoding="utf-8", newline="") as captions_file,
        metadata_path.open("w", encoding=METADATA_ENCODING, newline="") as metadata_file,
    ):
        captions = csv.writer(captions_file, lineterminator="\r\n")
        metadata = csv.writer(metadata_file, delimiter=";" if test else ",", lineterminator="\r\n")
        captions.writerow(CAPTION_COLUMNS)
        metadata.writerow(TEST_METADATA_COLUMNS if test else METADATA_COLUMNS)
        for index, plan in enumerate(plans):
            captions.writerow([plan.file_name, *plan.captions])
            row = [plan.file_name, plan.author, LICENCE]
            if not test:
                row[1:1] = [
                    ";".join(part.source.name for part in plan.scene.parts),
                    str(index),
                    f"{CORPUS}:{split}/{index}",
                    f"[0, {round(plan.duration_s * SAMPLE_RATE_HZ)}]",
                ]
            metadata.writerow(row)
    if test:
        captions_path.unlink()
        return {"metadata": metadata_path}
    return {"captions": captions_path, "metadata": metadata_path}


def _entry(split: str, kind: str, file: Path, folder: Path) -> Entry:
    """Describe a written file; `folder` is where it will stand."""
    with file.open("rb") as content:
        md5 = hashlib.file_digest(content, "md5").hexdigest()
    url = (folder / file.name).as_uri()
    return Entry(split, kind, file.name, url, md5, file.stat().st_size)
