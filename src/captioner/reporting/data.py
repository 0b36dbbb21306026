"""What the section on data shows: histograms, licences, clips left out, what front-ends hear."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from captioner.corpus.tables import Annotation, Clip, read_annotations, read_clips, read_faults
from captioner.errors import InputError
from captioner.reporting.content import FrontEndFiles, ReportContent, SplitFiles
from captioner.reporting.figures import (
    Figure,
    coverage_figure,
    frequency_figure,
    histogram_figure,
    safe_identifier,
)
from captioner.reporting.heard import HeardClip, Sound, read_sound, top_tags
from captioner.reporting.heard_figure import heard_figure
from captioner.reporting.listening import Listening
from captioner.reporting.loading import read_leakage
from captioner.reporting.tables import settings_text
from captioner.store.shards import FeatureStore
from captioner.text.normalisation import tokenize

N_LICENCES = 12  # of the table; the rest is one row

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tables:
    """Clips and annotations of one split, in the order of the files."""

    clips: Sequence[Clip]
    annotations: Sequence[Annotation]
    faults: Mapping[str, str]  # damaged clips that the corpus lets pass: file name -> why

    @classmethod
    def read(cls, files: SplitFiles) -> "Tables":
        """Read the tables of a split."""
        return cls(
            read_clips(files.clips), read_annotations(files.annotations), read_faults(files.clips)
        )


@dataclass(frozen=True)
class LeftOut:
    """Clips of one split or training source that were not used."""

    where: str
    why: str
    n_clips: int  # of the split or source in all
    clips: Mapping[str, str]  # file name -> why this one


@dataclass(frozen=True)
class FrontEndExample:
    """One clip as one front-end hears it."""

    name: str
    settings: str
    clip: Clip
    played: bool  # whether the page plays the clip
    figure: Figure


@dataclass(frozen=True)
class LicenceRow:
    """Clips under one licence, a number per split."""

    licence: str  # as published, mostly an address
    n_clips: Sequence[int]


def pictures(tables: Mapping[str, Tables], expected: Mapping[str, Any]) -> list[Figure]:
    """Draw durations, caption lengths and words; `expected` is what the corpus declares of them."""
    durations = {split: [c.duration_s for c in table.clips] for split, table in tables.items()}
    captions = {split: _words(table, "task") for split, table in tables.items()}
    lengths = {split: [len(words) for words in found] for split, found in captions.items()}
    counts = {
        split: list(Counter(word for words in found for word in words).values())
        for split, found in captions.items()
    }
    return [
        histogram_figure(
            durations,
            "Duration of clips",
            "duration (s)",
            "durations",
            whole=False,
            expected=expected.get("duration_s"),
        ),
        histogram_figure(
            lengths,
            "Length of captions",
            "words without punctuation",
            "lengths",
            whole=True,
            expected=expected.get("caption_words"),
        ),
        frequency_figure(counts, "frequencies"),
    ]


def coverage(
    vocabularies: Mapping[str, Mapping[str, Any]], tables: Mapping[str, Tables]
) -> dict[str, dict[str, np.ndarray]]:
    """Give vocabulary -> split -> share of the running words of its captions that are known.

    Each is an array (n_words,): entry k - 1 is the share that the k most frequent words of the
    vocabulary cover, the last that of all of them. Specials are no words.
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, vocabulary in vocabularies.items():
        counts = dict(zip(vocabulary["tokens"], vocabulary["counts"], strict=True))
        words = [token for token in counts if not token.startswith("<")]  # as no text rule leaves
        ranked = sorted(words, key=lambda word: -counts[word])
        found[name] = {}
        for split, table in tables.items():
            captions = _words(table, vocabulary["settings"]["text_rule"])
            said = Counter(word for caption in captions for word in caption)
            if said and ranked:
                covered = np.cumsum([said[word] for word in ranked])
                found[name][split] = covered / said.total()
    return found


def coverage_figures(shares: Mapping[str, Mapping[str, np.ndarray]]) -> list[Figure]:
    """Draw what `coverage` gives, a picture per vocabulary."""
    return [
        coverage_figure(of_splits, name, safe_identifier("coverage", number, name))
        for number, (name, of_splits) in enumerate(shares.items())
        if of_splits
    ]


def _words(table: Tables, rule: str) -> list[list[str]]:
    """Split every caption of a table into words."""
    return [tokenize(caption, rule) for a in table.annotations for caption in a.captions]


def expectations(content: ReportContent) -> Mapping[str, Any]:
    """Give what the YAML of the corpus expects of its clips and captions."""
    corpus = content.config.get("corpora", {}).get(content.corpus.name, {})
    found: Mapping[str, Any] = corpus.get("expected", {})
    return found


def licences(tables: Mapping[str, Tables]) -> list[LicenceRow]:
    """Count clips by licence, the most frequent first; nothing where no licence is known."""
    counts = [Counter(a.licence for a in table.annotations) for table in tables.values()]
    total: Counter[str] = sum(counts, Counter())
    if not any(total.keys()):
        return []
    names = [licence for licence, _ in total.most_common()]
    rows = [LicenceRow(name or "unknown", [c[name] for c in counts]) for name in names[:N_LICENCES]]
    if rest := names[N_LICENCES:]:
        label = f"{len(rest)} others"
        rows.append(LicenceRow(label, [sum(c[name] for name in rest) for c in counts]))
    return rows


def left_out(content: ReportContent, tables: Mapping[str, Tables]) -> list[LeftOut]:
    """Gather the clips that a run did without: damaged ones, and leaks into training."""
    found = [
        LeftOut(split, "damaged", len(table.clips) + len(table.faults), table.faults)
        for split, table in tables.items()
        if table.faults
    ]
    for source, path in content.leakage.items():
        n_clips, excluded = read_leakage(path)
        found.append(LeftOut(source, "also in a held-out split", n_clips, excluded))
    return found


def open_stores(frontends: Mapping[str, FrontEndFiles]) -> dict[str, FeatureStore]:
    """Open the features of each front-end that has some."""
    return {name: FeatureStore(files.shards) for name, files in frontends.items() if files.shards}


def frontend_examples(
    content: ReportContent, stores: Mapping[str, FeatureStore], listening: Listening
) -> list[FrontEndExample]:
    """Draw one clip as each front-end hears it: the same clip, from the features in the shards.

    It is the clip in the middle of the ranking by SPIDEr whose audio can be read and which all
    front-ends have.

    Args:
        content: the report's.
        stores: of the split that can be listened to, by front-end.
        listening: the clips of that split.
    """
    ranked = listening.ranked()
    middle = len(ranked) // 2
    places = sorted(
        range(len(ranked)), key=lambda i: (ranked[i] in listening.problems, abs(i - middle))
    )
    chosen = _first_held([ranked[place] for place in places], stores.values())
    if chosen is None:
        return []
    (clip,) = [clip for clip in listening.clips if clip.file_name == chosen]
    sound = _read(clip)
    return [
        FrontEndExample(
            name=name,
            settings=settings_text(content.frontends[name].settings),
            clip=clip,
            played=listening.can_be_heard(chosen),
            figure=heard_figure(
                HeardClip(
                    clip.duration_s,
                    sound,
                    store.settings,
                    store[chosen],
                    top_tags(store.tag_names, store.tags(chosen)),
                ),
                f"{chosen} as {name} hears it",
                f"heard-{number}",
            ),
        )
        for number, (name, store) in enumerate(stores.items())
    ]


def _first_held(names: Iterable[str], stores: Iterable[FeatureStore]) -> str | None:
    held = list(stores)
    return next((name for name in names if held and all(name in store for store in held)), None)


def _read(clip: Clip) -> Sound | None:
    try:
        return read_sound(clip.path, clip.duration_s + 1)
    except InputError as error:
        log.warning("No waveform in the report for this clip: %s", error)
        return None
