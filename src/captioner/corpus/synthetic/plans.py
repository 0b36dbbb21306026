"""Plans of clips: each clip's description depends on the seed, its split and its index."""

from dataclasses import dataclass

import numpy as np

from captioner.corpus.synthetic.grammar import draw_captions, words
from captioner.corpus.synthetic.soundscape import Scene, draw_scene
from captioner.corpus.synthetic.sources import SOURCES

SPLITS = ("development", "validation", "evaluation", "test")  # test: no captions
SCENES = 10  # drawn for a clip until the known words suffice
AUTHORS = (
    "synthetic",
    "Générateur synthétique",
    "Jürgen Synthese",
    "Señal Sintética",
    "Ångström Syntes",
    "Synthèse, Noëlle",
)


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


def random_streams(settings: Settings, split: str, index: int) -> list[np.random.Generator]:
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
    rng, _ = random_streams(settings, split, index)
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
