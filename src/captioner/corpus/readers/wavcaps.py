"""WavCaps (Mei et al. 2024): 403,050 clips of four collections, with captions written by a model.

Each collection has a JSON of its clips, as `json_files/FreeSound/fsd_final.json`, whose folder
names it, and its audio in a folder of the same name, as flac named by the clip's id. Many of the
clips are in AudioCaps or Clotho too; blacklists that come with the JSONs name them. A clip's name
has the collection in front ("FreeSound/1234.flac"): their ids overlap.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from captioner.corpus.clips import tabulate_folders
from captioner.corpus.folder import audio_folder
from captioner.corpus.readers.placed import audio_by_stem, caption_files, report_missing
from captioner.corpus.readers.text_files import Faults, decode
from captioner.corpus.tables import Annotation, Clip
from captioner.errors import InputError

# Collection -> what its sound ids start with.
COLLECTIONS = {
    "AudioSet_SL": "youtube:",
    "BBC_Sound_Effects": "bbc:",
    "FreeSound": "freesound:",
    "SoundBible": "soundbible:",
}
BLACKLISTED = {"AudioSet": "AudioSet_SL", "FreeSound": "FreeSound"}  # key of a blacklist -> ours

log = logging.getLogger(__name__)


class Entry(NamedTuple):
    """What is kept of one clip of a JSON."""

    id: str
    caption: str
    author: str
    tags: tuple[str, ...]


def tabulate_clips(
    settings: Mapping[str, Any], split: str, files: Mapping[str, Any]
) -> Iterator[Clip]:
    """Tabulate the clips of a split that have audio in `settings["audio"]`."""
    folder, names = audio_folder(settings, split), _placed(settings, split)
    return tabulate_folders([folder], names, settings.get("damaged", "error"))


def read_annotations(
    settings: Mapping[str, Any], split: str, files: Mapping[str, Any]
) -> Iterator[Annotation]:
    """Read the clips of the JSONs that have audio and are on no list of `settings["blacklists"]`.

    Licences are not in the JSONs; authors and tags are for some collections only.
    """
    for name, entry in _placed(settings, split).items():
        yield Annotation(
            name,
            (entry.caption,),
            keywords=";".join(entry.tags),
            sound_id=_sound_id(name.partition("/")[0], entry.id),
            author=entry.author,
        )


def read_wavcaps_json(path: str | Path) -> list[Entry]:
    """Read the clips of one collection; `InputError` names what is wrong with them."""
    path = Path(path)
    what = 'JSON with "data", a list of clips with "id" and "caption", as WavCaps has it'
    try:
        content = json.loads(decode(path, "JSON"), object_hook=_entry)
    except json.JSONDecodeError as error:
        raise InputError(f"{path} cannot be read as JSON ({error}); expected {what}") from error
    clips = content.get("data") if isinstance(content, dict) else None
    if not isinstance(clips, list) or not clips:
        found = f"the keys {sorted(content)[:10]}" if isinstance(content, dict) else "no mapping"
        raise InputError(f"{path}: found {found}; expected {what}: is it another corpus's file?")
    faults, seen = Faults(path), set()
    for number, clip in enumerate(clips, start=1):
        if not isinstance(clip, Entry):
            faults.add(f"clip {number} of the list: found {str(clip)[:80]!r}, expected {what}")
            continue
        if not clip.id or "/" in clip.id:
            faults.add(f"clip {number} of the list has the id {clip.id!r}, expected a name")
        if not clip.caption.strip():
            faults.add(f"the caption of {clip.id!r} is empty")
        if clip.id in seen:
            faults.add(f"{clip.id!r} stands there twice, expected once")
        seen.add(clip.id)
    faults.raise_if_any("fetch the file again, or mend these entries")
    return clips


def read_blacklist(path: str | Path) -> dict[str, set[str]]:
    """Read the ids that a blacklist leaves out, by collection."""
    path = Path(path)
    what = f"a blacklist of WavCaps: JSON with lists of ids under {' and '.join(BLACKLISTED)}"
    try:
        content = json.loads(decode(path, what))
    except json.JSONDecodeError as error:
        raise InputError(f"{path} cannot be read as JSON ({error}); expected {what}") from error
    if (
        not isinstance(content, dict)
        or not content
        or content.keys() - BLACKLISTED.keys()
        or not all(isinstance(ids, list) for ids in content.values())
    ):
        found = sorted(content)[:10] if isinstance(content, dict) else type(content).__name__
        raise InputError(f"{path}: found {found}; expected {what}")
    return {BLACKLISTED[key]: set(map(str, ids)) for key, ids in content.items()}


def _entry(fields: dict[str, Any]) -> "Entry | dict[str, Any]":
    """Keep what is needed of a clip while its file is parsed: descriptions are most of it."""
    if not ("id" in fields and isinstance(fields.get("caption"), str)):
        return fields
    author, tags = fields.get("author"), fields.get("tags")
    return Entry(
        str(fields["id"]),
        fields["caption"],
        author if isinstance(author, str) else "",
        tuple(map(str, tags)) if isinstance(tags, list) else (),
    )


def _placed(settings: Mapping[str, Any], split: str) -> dict[str, Entry]:
    """Give the clips of all collections by the names of their files, without those blacklisted."""
    excluded: dict[str, set[str]] = {}
    for blacklist in settings["blacklists"]:
        for collection, ids in read_blacklist(blacklist).items():
            excluded.setdefault(collection, set()).update(ids)
    placed = {}
    for path in caption_files(settings, split):
        collection = Path(path).parent.name
        if collection not in COLLECTIONS:
            raise InputError(
                f"{path} is in a folder {collection!r}; expected the folder of a collection: "
                f"{', '.join(COLLECTIONS)}"
            )
        entries = read_wavcaps_json(path)
        left_out = excluded.get(collection, set())
        kept = [entry for entry in entries if entry.id not in left_out]
        log.info("%s: %d of %d clips are blacklisted", path, len(entries) - len(kept), len(entries))
        folder = Path(audio_folder(settings, split), collection)
        by_stem = audio_by_stem(folder)
        missing = []
        for entry in kept:
            if name := by_stem.get(_stem(entry.id)):
                placed[f"{collection}/{name}"] = entry
            else:
                missing.append(entry.id)
        report_missing(missing, len(kept), folder, f"flac files named by the ids of {path}")
    return placed


def _stem(clip_id: str) -> str:
    """Give the name of a clip's file without suffix; ids of AudioSet end in ".wav"."""
    return clip_id.removesuffix(".wav")


def _sound_id(collection: str, clip_id: str) -> str:
    number = _stem(clip_id)
    if collection == "AudioSet_SL":
        number = number.removeprefix("Y")  # "Y" and the video's id
    return COLLECTIONS[collection] + number
