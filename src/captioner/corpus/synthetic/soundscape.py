"""Scenes: one or two sources with attributes that are heard, in a relation; and their sound."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from captioner.corpus.synthetic.dsp import (
    SAMPLE_RATE_HZ,
    Rng,
    Waveform,
    faded,
    noise,
    propagate,
    room_response,
    to_samples,
)
from captioner.corpus.synthetic.source import Manner, Source
from captioner.corpus.synthetic.sources import SOURCES

Relation = Literal["alone", "after", "during", "front"]
Level = Literal["loud", "soft"]
Distance = Literal["near", "far"]

PEAK = 10 ** (-1 / 20)  # -1 dBFS
CREST = 8.0  # peaks of a source are rounded above this multiple of its RMS, as a limiter does
FLOOR_DB = -66.0  # the recorder's own noise: no clip holds digital silence
LEVEL_DB = {"loud": -16.0, None: -26.0, "soft": -40.0}  # RMS re full scale of the loudest frames
DISTANCE_DB = {"near": 6.0, None: 0.0, "far": -12.0}
DISTANCE_M = {"near": 1.0, None: 10.0, "far": 250.0}  # for the absorption of high frequencies
AS_USUAL = Manner()
BACKGROUND_DB = -13.0
OUTDOOR_WET = {"near": 0.0, None: 0.1, "far": 0.6}  # diffuse against direct sound, amplitudes
INDOOR_WET = {"near": 0.3, None: 0.7, "far": 1.4}
OUTDOOR_DECAY_S = 0.5
INDOOR_DECAY_S = (1.0, 2.2)  # reverberation times of large rooms and halls


@dataclass(frozen=True)
class Part:
    """One source of a scene and its attributes; None: nothing to be said."""

    source: Source
    manner: Manner = AS_USUAL
    level: Level | None = None
    distance: Distance | None = None


@dataclass(frozen=True)
class Scene:
    """What is heard in a clip.

    Order of the parts: `after`: in time; `during`: the lasting one, then the one within it;
    `front`: the foreground, then the background.
    """

    parts: tuple[Part, ...]
    relation: Relation = "alone"
    indoors: bool = False


def draw_scene(rng: Rng, name: str) -> Scene:
    """Draw a scene in which the source `name` is heard."""
    source = SOURCES[name]
    relation: Relation = rng.choice(["alone", "after", "during", "front"], p=[0.3, 0.25, 0.25, 0.2])
    others = [other for other in SOURCES.values() if other is not source]
    if relation == "during":
        others = [other for other in others if other.steady != source.steady]
    if relation == "front":
        others = [other for other in others if other.steady or source.steady]
    other = others[rng.integers(len(others))]
    pair = [source, other] if rng.uniform() < 0.5 else [other, source]
    if relation == "during":
        pair.sort(key=lambda heard: not heard.steady)
    if relation == "front" and not pair[1].steady:
        pair.reverse()
    heard = pair if relation != "alone" else [source]
    indoors = all(s.indoors for s in heard) and bool(rng.uniform() < 0.5)
    parts = [_draw_part(rng, s, indoors) for s in heard]
    if relation == "front":
        front, back = parts
        parts = [_plain(front) if _is_weak(front) else front, _plain(back)]
    if relation == "during" and any(map(_is_strong, parts)):  # it would drown the weak one
        parts = [_plain(part) if _is_weak(part) else part for part in parts]
    return Scene(tuple(parts), relation, indoors)


def _is_weak(part: Part) -> bool:
    return part.level == "soft" or part.distance == "far"


def _is_strong(part: Part) -> bool:
    return part.level == "loud" or part.distance == "near"


def _plain(part: Part) -> Part:
    return replace(part, level=None, distance=None)


def _draw_part(rng: Rng, source: Source, indoors: bool) -> Part:
    once = source.repeats and bool(rng.uniform() < 0.35)
    pace = rng.choice(np.array([None, "slow", "fast"])) if source.paced and not once else None
    part = Part(source, Manner(pace, once))
    match rng.integers(6):
        case 0:
            return replace(part, level="loud")
        case 1:
            return replace(part, level="soft")
        case 2:
            return replace(part, distance="near")
        case 3 if not indoors:
            return replace(part, distance="far")
        case _:
            return part


def render_scene(scene: Scene, rng: Rng, n: int) -> Waveform:
    """Give the sound of a scene, (n,), peaks at most -1 dBFS."""
    decay_s = rng.uniform(*INDOOR_DECAY_S) if scene.indoors else OUTDOOR_DECAY_S
    room = room_response(rng, decay_s)
    wet = INDOOR_WET if scene.indoors else OUTDOOR_WET
    mix = noise(rng, n, 40, 8000, slope_db=-3).astype(np.float64) * 10 ** (FLOOR_DB / 20)
    for number, (part, (start, end)) in enumerate(
        zip(scene.parts, _spans(scene, rng, n), strict=True)
    ):
        dry = part.source.synthesise(rng, end - start, part.manner)
        dry = dry / loudness(dry)
        dry = CREST * np.tanh(dry / CREST)
        tail = min(len(room), n - end)  # the room goes on after the source has stopped
        dry = np.pad(faded(dry, 0.03 if start else 0.005, 0.08), (0, tail))
        heard = propagate(dry, DISTANCE_M[part.distance], room, wet[part.distance])
        level_db = LEVEL_DB[part.level] + DISTANCE_DB[part.distance]
        if scene.relation == "front" and number == 1:
            level_db += BACKGROUND_DB
        mix[start : end + tail] += heard * 10 ** (level_db / 20)
    return mix * min(1.0, PEAK / np.abs(mix).max())


def _spans(scene: Scene, rng: Rng, n: int) -> list[tuple[int, int]]:
    """Give first and last sample of each part."""
    match scene.relation:
        case "after":
            cut = int(n * rng.uniform(0.45, 0.55))
            return [(0, cut), (cut + to_samples(0.15), n)]
        case "during":
            start = int(n * rng.uniform(0.25, 0.35))
            return [(0, n), (start, start + n // 2)]
        case _:
            return [(0, n)] * len(scene.parts)


def loudness(waveform: Waveform) -> float:
    """Give the RMS of the loudest tenth of 50 ms frames: events and textures compare."""
    frame = SAMPLE_RATE_HZ // 20
    n_frames = max(1, len(waveform) // frame)
    power = np.square(waveform[: n_frames * frame]).reshape(n_frames, -1).mean(axis=1)
    loudest = np.sort(power)[-max(1, n_frames // 10) :]
    return float(np.sqrt(loudest.mean())) + 1e-12


def to_int16(waveform: Waveform) -> NDArray[np.int16]:
    """Round a waveform in -1..1 to 16 bits."""
    return np.round(waveform * 32767).astype(np.int16)
