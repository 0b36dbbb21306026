"""The section to listen and compare: what systems say about every clip of the last scored split.

A page opened from disk cannot fetch JSON, so the clips are a script, `data/clips.js`, in columns: a
list per field with an entry per clip. The page shows twenty of them at a time.
"""

import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow.parquet as pq

from captioner.corpus.tables import Annotation, Clip
from captioner.evaluation.tables import read_predictions
from captioner.reporting import media
from captioner.reporting.content import ReportContent, ScoreFiles, System, system_labels
from captioner.reporting.heard import top_tags
from captioner.reporting.loading import METRICS
from captioner.reporting.tables import licence_text
from captioner.store.shards import FeatureStore

DATA_FILE = "data/clips.js"
MEDIA_FOLDER = "media"
N_TAGS = 3  # per clip and front-end
SOUND_PAGES = {"freesound": "https://freesound.org/s/{}/", "youtube": "https://youtu.be/{}"}


@dataclass(frozen=True)
class Run:
    """What one run says about the clips, in their order."""

    identifier: str  # stable: a link to a view survives a new report
    label: str  # of the row in the score table
    trivial: bool
    first: bool  # of the system's first seed: shown at once, the others on demand
    captions: Sequence[str]
    scores: Mapping[str, Sequence[float | None]]  # by metric


@dataclass(frozen=True)
class Listening:
    """The clips of the section."""

    split: str
    audio: str  # compressed, original or none
    clips: Sequence[Clip]
    annotations: Sequence[Annotation]  # of the same clips
    problems: Mapping[str, str]  # file name -> why there is neither sound nor picture
    runs: Sequence[Run]
    tags: Mapping[str, Sequence[Sequence[tuple[str, float]]]]  # by front-end, of every clip

    def can_be_heard(self, file_name: str) -> bool:
        """Whether the page plays a clip."""
        return self.audio != "none" and file_name not in self.problems

    def ranked(self) -> list[str]:
        """Give the file names from the lowest to the highest mean SPIDEr of the trained systems."""
        runs = [run for run in self.runs if not run.trivial] or self.runs
        spider = np.array([run.scores["spider"] for run in runs], dtype=float).mean(axis=0)
        names = [clip.file_name for clip in self.clips]
        return [name for _, name in sorted(zip(spider, names, strict=True))]


def read_listening(
    content: ReportContent,
    split: str,
    clips: Sequence[Clip],
    annotations: Sequence[Annotation],
    stores: Mapping[str, FeatureStore],
) -> Listening:
    """Gather captions, scores and tags of the clips of a split that has been scored."""
    by_name = {found.file_name: found for found in annotations}
    problems: dict[str, str] = {}
    for folder in content.listening.folders:
        problems |= json.loads((folder / media.PROBLEMS).read_text(encoding="utf-8"))
    names = [clip.file_name for clip in clips]
    first = {id(group.first) for group in content.groups()}
    return Listening(
        split=split,
        audio=content.listening.audio,
        clips=clips,
        annotations=[by_name[name] for name in names],
        problems=problems,
        runs=[
            _run(system, label, id(system) in first, split, names)
            for label, system in zip(system_labels(content.systems), content.systems, strict=True)
            if split in system.scores and split in system.captions
        ],
        tags={
            frontend: [
                top_tags(store.tag_names, store.tags(name), N_TAGS) if name in store else []
                for name in names
            ]
            for frontend, store in stores.items()
            if store.tag_names
        },
    )


def write_listening(
    listening: Listening, folders: Sequence[Path], folder: Path, final_folder: Path
) -> None:
    """Write the data and bring sounds and spectrograms into the report.

    Args:
        listening: the clips.
        folders: with the sounds and spectrograms (`captioner.reporting.media.prepare_clips`).
        folder: where the report is written.
        final_folder: where it is to stand; links to the original audio are relative to it.
    """
    target = folder / MEDIA_FOLDER
    target.mkdir()
    for source in folders:
        for path in sorted(source.glob("clip-*")):
            _link_or_copy(path, target / path.name)
    text = json.dumps(
        page_data(listening, final_folder),
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
    )
    path = folder / DATA_FILE
    path.parent.mkdir()
    path.write_text(f'"use strict";\nconst listening = {text};\n', encoding="utf-8")


def page_data(listening: Listening, final_folder: Path) -> dict[str, Any]:
    """Give the data of the page: plain values, lists of one entry per clip."""
    clips, annotations = listening.clips, listening.annotations
    licences = sorted({found.licence for found in annotations})
    metrics = [name for name in METRICS if any(name in run.scores for run in listening.runs)]
    metrics += sorted({name for run in listening.runs for name in run.scores} - set(metrics))
    tag_names = sorted({t for of in listening.tags.values() for h in of for t, _ in h})
    number = {tag: i for i, tag in enumerate(tag_names)}
    return {
        "split": listening.split,
        "metrics": {name: METRICS.get(name, name) for name in metrics},
        "marks": media.marked_frequencies(),
        "licences": [[licence_text(name), _link(name)] for name in licences],
        "tagNames": tag_names,
        "clips": {
            "name": [clip.file_name for clip in clips],
            "duration": [round(clip.duration_s, 3) for clip in clips],
            "rate": [clip.sample_rate_hz for clip in clips],
            "audio": [_audio(listening, clip, final_folder) for clip in clips],
            "picture": [
                None
                if clip.file_name in listening.problems
                else f"{MEDIA_FOLDER}/{media.media_name(clip.file_name)}.webp"
                for clip in clips
            ],
            "problem": [listening.problems.get(clip.file_name, "") for clip in clips],
            "author": [found.author for found in annotations],
            "licence": [licences.index(found.licence) for found in annotations],
            "source": [_source(found.sound_id) for found in annotations],
            "references": [list(found.captions) for found in annotations],
        },
        "runs": [
            {
                "id": run.identifier,
                "label": run.label,
                "trivial": run.trivial,
                "first": run.first,
                "captions": run.captions,
                "scores": run.scores,
            }
            for run in listening.runs
        ],
        "tags": {
            frontend: [[[number[tag], round(p, 2)] for tag, p in heard] for heard in of_clips]
            for frontend, of_clips in listening.tags.items()
        },
    }


def _run(system: System, label: str, first: bool, split: str, names: Sequence[str]) -> Run:
    captions = read_predictions(system.captions[split])
    return Run(
        identifier=system.run_name,
        label=label,
        trivial=system.trivial,
        first=first,
        captions=[captions[name] for name in names],
        scores=_read_scores(system.scores[split], names),
    )


def _read_scores(files: ScoreFiles, names: Sequence[str]) -> dict[str, list[float | None]]:
    """Read every score per clip, in the order of the names; None for what has no value."""
    table = pq.read_table(files.parquet)
    columns = [n for n in table.column_names if table.schema.field(n).type == "double"]
    row = {name: i for i, name in enumerate(table["file_name"].to_pylist())}
    order = [row[name] for name in names]
    return {
        column: [
            None if value is None or not math.isfinite(value) else round(value, 4)
            for value in table[column].take(order).to_pylist()
        ]
        for column in columns
    }


def _audio(listening: Listening, clip: Clip, final_folder: Path) -> str | None:
    if not listening.can_be_heard(clip.file_name):
        return None
    if listening.audio == "compressed":
        return f"{MEDIA_FOLDER}/{media.media_name(clip.file_name)}.mp3"
    return quote(os.path.relpath(clip.path, final_folder))


def _source(sound_id: str) -> str:
    """Give the page of a published sound, "" where it has none."""
    collection, _, number = sound_id.partition(":")
    known = SOUND_PAGES.get(collection, "") if number else ""
    return known.format(quote(number, safe=""))


def _link(licence: str) -> str:
    return licence if licence.startswith(("http://", "https://")) else ""


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
