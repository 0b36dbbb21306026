"""AudioCaps (Kim et al. 2019), version 1 and 2.0: excerpts of ten seconds of YouTube videos.

Its CSVs (train.csv, val.csv, test.csv) have one row per caption: one for a clip to train on, five
for others. Everyone fetches the audio from YouTube for themselves, and tools that do so name the
files in different ways; `possible_stems` has those that are known. Clips whose video was taken
down are left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.corpus.clips import tabulate_folders
from captioner.corpus.folder import audio_folder
from captioner.corpus.readers.placed import audio_by_stem, caption_files, report_missing
from captioner.corpus.readers.text_files import Faults, read_csv
from captioner.corpus.tables import Annotation, Clip
from captioner.errors import InputError

COLUMNS = ("audiocap_id", "youtube_id", "start_time", "caption")
LENGTH_S = 10  # of a clip, where a name has its end too


@dataclass
class Excerpt:
    """One clip as the CSV has it."""

    youtube_id: str
    start_s: int
    audiocap_ids: list[str]  # one per caption
    captions: list[str]


def tabulate_clips(
    settings: Mapping[str, Any], split: str, files: Mapping[str, Any]
) -> Iterator[Clip]:
    """Tabulate the clips of a split that have audio in `settings["audio"]`."""
    folder = audio_folder(settings, split)
    return tabulate_folders([folder], _placed(settings, split), settings.get("damaged", "error"))


def read_annotations(
    settings: Mapping[str, Any], split: str, files: Mapping[str, Any]
) -> list[Annotation]:
    """Read `settings["captions"][split]`, the rows of clips that have audio."""
    return [
        Annotation(name, tuple(excerpt.captions), sound_id=f"youtube:{excerpt.youtube_id}")
        for name, excerpt in _placed(settings, split).items()
    ]


def read_audiocaps_csv(path: str | Path) -> list[Excerpt]:
    """Read the clips of a CSV, in the order of their first rows; `InputError` names its faults."""
    path = Path(path)
    header, rows = read_csv(path)
    if sorted(header) != sorted(COLUMNS):
        raise InputError(
            f"{path}: the header is {', '.join(header) or 'empty'}; expected {', '.join(COLUMNS)}, "
            "as AudioCaps has it: is it another corpus's file?"
        )
    if not rows:
        raise InputError(f"{path} has a header and no rows; expected one row per caption")
    faults, line_of = Faults(path), dict[str, int]()
    excerpts: dict[tuple[str, str], Excerpt] = {}
    for line, cells in rows:
        if len(cells) != len(header):
            faults.add(f"{len(cells)} cells, expected {len(header)} as in the header", line)
            continue
        row = dict(zip(header, cells, strict=True))
        number, youtube_id, start, caption = (row[column].strip() for column in COLUMNS)
        if not (start.isascii() and start.isdigit()):
            faults.add(f"start_time is {start!r}, expected whole seconds", line)
            continue
        if not youtube_id or "/" in youtube_id:
            faults.add(f"youtube_id is {youtube_id!r}, expected the id of a video", line)
        if not caption:
            faults.add(f"the caption of {youtube_id!r} is empty", line)
        if number in line_of:
            faults.add(f"audiocap_id {number!r} stands in line {line_of[number]} too", line)
        line_of[number] = line
        excerpt = excerpts.setdefault((youtube_id, start), Excerpt(youtube_id, int(start), [], []))
        excerpt.audiocap_ids.append(number)
        excerpt.captions.append(row["caption"])
    faults.raise_if_any("fetch the file again, or mend these rows")
    return list(excerpts.values())


def possible_stems(excerpt: Excerpt) -> Iterator[str]:
    """Give the names, without suffix, that the audio of a clip may have, the surest first.

    For a video v and a clip from s to e seconds: v_s; v_s_e, also in milliseconds or with one or
    three decimals; v alone; each of these with a Y in front too, as AudioSet's files often have
    it; and the audiocap_id, where several captions may have brought the same audio several times.
    """
    start, end = excerpt.start_s, excerpt.start_s + LENGTH_S
    times = [f"_{start}"]
    times += [
        f"_{first}_{last}"
        for first, last in (
            (f"{start}", f"{end}"),
            (f"{start * 1000}", f"{end * 1000}"),
            (f"{start:.1f}", f"{end:.1f}"),
            (f"{start:.3f}", f"{end:.3f}"),
        )
    ]
    for time in (*times, ""):
        yield f"{excerpt.youtube_id}{time}"
        yield f"Y{excerpt.youtube_id}{time}"
    yield from excerpt.audiocap_ids


def _placed(settings: Mapping[str, Any], split: str) -> dict[str, Excerpt]:
    """Give the clips of a split that have audio, by the name of its file; say which have none."""
    folder, (path,) = audio_folder(settings, split), caption_files(settings, split)
    by_stem = audio_by_stem(folder)
    placed: dict[str, Excerpt] = {}
    missing = []
    excerpts = read_audiocaps_csv(path)
    for excerpt in excerpts:
        name = next((by_stem[s] for s in possible_stems(excerpt) if s in by_stem), None)
        if name is None:
            missing.append(f"{excerpt.youtube_id}_{excerpt.start_s}")
        elif name in placed:
            raise InputError(
                f"{folder}: {name!r} could be the clip at {placed[name].start_s} s or the one at "
                f"{excerpt.start_s} s of the same video ({path}); expected names that tell them "
                f"apart: name them {excerpt.youtube_id}_START"
            )
        else:
            placed[name] = excerpt
    report_missing(
        missing,
        len(excerpts),
        folder,
        f"files like {missing[0]}.wav; the clips are in {path}" if missing else "",
    )
    return placed
