"""The data beside the challenge's own that systems learned from, as the metadata declares it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.corpus.tables import read_usable_annotations
from captioner.submission.check_rules import Model, alike
from captioner.submission.schema import DATASET

Entry = dict[str, Any]  # the fields of `DATASET`


@dataclass(frozen=True)
class Known:
    """Where a dataset is, and what it has beside audio."""

    url: str
    has_video: bool = False


KNOWN = {  # by the start of a corpus's name
    "audiocaps": Known("https://audiocaps.github.io", has_video=True),
    "macs": Known("https://doi.org/10.5281/zenodo.5114771"),
    "wavcaps": Known("https://github.com/XinhaoMei/WavCaps"),
}
AUDIOSET: Entry = {
    "name": "AudioSet",
    "url": "https://research.google.com/audioset/",
    "has_audio": True,
    "has_images": False,
    "has_video": True,
    "has_captions": False,
    "nb_captions_per_audio": None,
    "total_audio_length": None,
    "used_for": "audio_modelling",
}


# Clips of AudioSet's training set that an encoder learned from: of the PANNs (Kong et al. 2020).
N_AUDIOSET = {"cnn10": 1_934_187, "cnn14": 1_934_187}


def external_datasets(
    models: Sequence[Model],
    parts: Iterable[Mapping[str, Any]],
    declared: Iterable[Mapping[str, Any]],
) -> list[Entry]:
    """Give the external datasets of a system.

    Args:
        models: model.json of every model behind it; their pretrained parts learned from AudioSet.
        parts: splits of other corpora that it was trained on: corpus, title, and the paths of
            clips, annotations and leaks.
        declared: entries of the config, by `name`: they add datasets, and correct those found.
    """
    entries: dict[str, Entry] = {}
    for part in parts:
        known = next((KNOWN[key] for key in KNOWN if part["corpus"].startswith(key)), None)
        entry = entries.setdefault(
            part["title"].lower(),
            {
                "name": _name(part["corpus"], part["title"]),
                "url": known.url if known else None,
                "has_audio": True,
                "has_images": False,
                "has_video": known.has_video if known else False,
                "has_captions": True,
                "nb_captions_per_audio": 0,
                "total_audio_length": 0,
                "used_for": "audio_and_word_modelling",
            },
        )
        n_clips, n_captions = _examples(part)
        clips_before = entry.pop("n_clips", 0)
        entry["n_clips"] = clips_before + n_clips
        entry["total_audio_length"] += n_captions  # pairs of clip and caption, as on the page
        mean = entry["total_audio_length"] / max(1, entry["n_clips"])
        entry["nb_captions_per_audio"] = int(mean) if mean == int(mean) else round(mean, 2)
    for entry in entries.values():
        entry.pop("n_clips", None)
    if encoders := {kind for model in models for kind in _audioset_kinds(model)}:
        totals = {N_AUDIOSET.get(kind) for kind in encoders}
        total = totals.pop() if len(totals) == 1 else None
        entries["audioset"] = {**AUDIOSET, "total_audio_length": total}
    for name, entry in _of_words(models):
        entries[name.lower()] = entry
    for given in declared:
        before = entries.get(given["name"].lower(), dict.fromkeys(DATASET))
        name = before["name"] or given["name"]
        entries[given["name"].lower()] = {**before, **given, "name": name}
    return list(entries.values())


def _name(corpus: str, title: str) -> str:
    """Name a corpus by its title, and so that its models' own name of it is found there."""
    return title if alike(corpus, title) else f"{title} ({corpus})"


def _examples(part: Mapping[str, Any]) -> tuple[int, int]:
    """Count the clips that were trained on, and their captions."""
    left_out = set()
    if part["leaks"]:
        left_out = set(json.loads(Path(part["leaks"]).read_text(encoding="utf-8"))["excluded"])
    rows = [
        row
        for row in read_usable_annotations(part["annotations"], part["clips"])
        if row.captions and row.file_name not in left_out
    ]
    return len(rows), sum(len(row.captions) for row in rows)


def _audioset_kinds(model: Model) -> Iterator[str]:
    """Give the kinds of a model's encoders: all that this project knows learned from AudioSet."""
    for settings in model["frontends"].values():
        if "checkpoint" in settings:
            yield settings["kind"]
    for file in (model["settings"].get("pretrained") or {}).values():
        name = Path(file).name.lower()
        yield next((kind for kind in N_AUDIOSET if name.startswith(kind)), name)


def _of_words(models: Sequence[Model]) -> Iterator[tuple[str, Entry]]:
    """Give what the vectors of words come from; where, their file does not say."""
    for model in models:
        words = model["settings"].get("word_embeddings") or {}
        if words.get("source") in ("bert", "file"):
            name = f"word embeddings {Path(words['path']).name}"
            entry = {
                **dict.fromkeys(DATASET),
                "name": name,
                "has_audio": False,
                "has_images": False,
                "has_video": False,
                "has_captions": False,
                "used_for": "word_modelling",
            }
            yield name, entry
