"""MACS (Martín-Morató and Mesaros 2021): soundscapes described by two to five people each.

One YAML (Zenodo 5114771) holds, per clip of TAU Urban Acoustic Scenes 2019 (Zenodo 2589280) that
was described, the sentences and tags of its annotators. The audio comes in archives that hold the
clips of seven other scenes too; only clips named in the YAML belong to the corpus.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from captioner.corpus.clips import tabulate_folders
from captioner.corpus.readers.split_names import names_of_split
from captioner.corpus.readers.text_files import Faults, decode
from captioner.corpus.tables import Annotation, Clip
from captioner.errors import InputError

AUTHOR = "Toni Heittola, Annamaria Mesaros, Tuomas Virtanen"
LICENCE = "TAU Urban Acoustic Scenes 2019: free, non-commercial"

# The parser in C takes a tenth of the time. No type is guessed: a sentence "Yes" stays text.
LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def tabulate_clips(
    settings: Mapping[str, Any], split: str, files: Mapping[str, Any]
) -> Iterator[Clip]:
    """Tabulate those wavs of the unpacked archives `files["audio"]` that are described."""
    names = {annotation.file_name for annotation in read_annotations(settings, split, files)}
    return tabulate_folders(files["audio"], names, settings.get("damaged", "error"))


def read_annotations(
    settings: Mapping[str, Any], split: str, files: Mapping[str, Any]
) -> list[Annotation]:
    """Read the clips of a split from `files["captions"]`."""
    annotations = read_macs_yaml(files["captions"])
    names = names_of_split(split, files, known={a.file_name for a in annotations})
    return [a for a in annotations if names is None or a.file_name in names]


def read_macs_yaml(path: str | Path) -> list[Annotation]:
    """Read the described clips, in the order of the file.

    The keywords are the tags of all annotators, each once. Clips of one recording, of which there
    is one per scene, city and place, share a sound id. Raises `InputError` for what is not this
    YAML, for a clip without sentences or with an empty one, and for a clip that stands there twice.
    """
    path = Path(path)
    what = "YAML with a list `files`, each with `filename` and `annotations` (MACS.yaml)"
    try:
        content = yaml.load(decode(path, "YAML"), LOADER)
    except yaml.YAMLError as error:
        raise InputError(f"{path} cannot be read as YAML ({error}); expected {what}") from error
    entries = content.get("files") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        found = f"the keys {sorted(content)[:10]}" if isinstance(content, dict) else "no mapping"
        raise InputError(f"{path}: found {found}, expected {what}: is it another corpus's file?")
    faults, annotations = Faults(path), {}
    for number, entry in enumerate(entries, start=1):
        try:
            annotation = _annotation(entry)
        except (KeyError, TypeError, AttributeError):
            faults.add(f"clip {number} of the list: found {str(entry)[:80]!r}, expected {what}")
            continue
        name = annotation.file_name
        if not annotation.captions:
            faults.add(f"{name!r} has no sentence, expected one at least")
        for index, caption in enumerate(annotation.captions, start=1):
            if not caption.strip():
                faults.add(f"sentence {index} of {name!r} is empty")
        if name in annotations:
            faults.add(f"{name!r} stands there twice, expected once")
        annotations[name] = annotation
    faults.raise_if_any("fetch the file again, or mend these entries")
    return list(annotations.values())


def _annotation(entry: dict[str, Any]) -> Annotation:
    said = entry["annotations"]
    tags = dict.fromkeys(tag for one in said for tag in one.get("tags") or ())
    return Annotation(
        file_name=entry["filename"],
        captions=tuple(one["sentence"] for one in said),
        keywords=";".join(tags),
        sound_id=_sound_id(entry["filename"]),
        author=AUTHOR,
        licence=LICENCE,
    )


def _sound_id(file_name: str) -> str:
    """Name the recording: scene, city and place of "airport-barcelona-0-0-a.wav".

    The other two parts of a name are the number of the ten seconds cut from it and the device.
    """
    return "tau:" + Path(file_name).stem.rsplit("-", 2)[0]
