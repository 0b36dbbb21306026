"""Bell, clock, footsteps on gravel and on wood, knocking, typing, door, hammering, fireworks."""

import numpy as np

from captioner.corpus.synthetic.dsp import (
    Rng,
    Waveform,
    envelope,
    faded,
    noise,
    pulses,
    resonate,
    scatter,
    shower,
    strike,
    to_samples,
    tone,
)
from captioner.corpus.synthetic.source import EventSequence, Noun, Source, verb

# Partials of a tuned church bell, of its strike note: hum, prime, tierce, quint, nominal, deciem,
# superquint, octave nominal (Fletcher and Rossing, The Physics of Musical Instruments, 21.11).
BELL_RATIOS = (0.5, 1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0)
BELL_GAINS = (0.6, 0.7, 0.8, 0.4, 1.0, 0.3, 0.4, 0.3)
BELL_DECAYS_S = (1.8, 1.1, 0.9, 0.6, 0.6, 0.4, 0.35, 0.25)


def bell_strikes(rng: Rng, count: int) -> list[Waveform]:
    """A church bell's inharmonic partials; the low ones ring longest."""
    prime = rng.uniform(280, 560)
    stroke = strike(3.0, [prime * ratio for ratio in BELL_RATIOS], BELL_DECAYS_S, BELL_GAINS)
    return [stroke * rng.uniform(0.8, 1.0) for _ in range(count)]


def ticks(rng: Rng, count: int) -> list[Waveform]:
    """An escapement: tick and tock are the same short modes at two pitches."""
    pitch = rng.uniform(0.85, 1.15)
    tick, tock = (
        strike(0.06, np.array([1900, 3600, 6100]) * p, [0.006, 0.004, 0.003], [1, 0.8, 0.5])
        for p in (pitch, 0.78 * pitch)
    )
    return [tock if k % 2 else tick for k in range(count)]


def gravel_steps(rng: Rng, count: int) -> list[Waveform]:
    """Stones grind under heel and then toe: two showers of grains.

    After Cook, Modeling Bill's Gait (2002): particles shaken under an envelope per step.
    """
    grains = []
    for _ in range(12):
        length = to_samples(rng.uniform(0.002, 0.008))
        centre = rng.uniform(1200, 5000)
        grains.append(
            noise(rng, length, 0.6 * centre, 1.8 * centre) * envelope(length, 0.0002, 0.0015)
        )
    result: list[Waveform] = []
    for _ in range(count):
        n = to_samples(0.3)
        heel, toe = envelope(n, 0.012, 0.035), np.roll(envelope(n, 0.03, 0.05), to_samples(0.1))
        toe[: to_samples(0.1)] = 0
        grinding = shower(rng, n, 1400, grains, 0.7) + 0.15 * noise(rng, n, 700, 7000, -2)
        result.append(grinding * (heel + 0.55 * toe) * rng.uniform(0.8, 1.1))
    return result


def wood_steps(rng: Rng, count: int) -> list[Waveform]:
    """A shoe on floor boards: a hollow heel, a lighter toe."""
    board = rng.uniform(0.85, 1.2)
    heel = strike(
        0.25,
        np.array([95, 190, 330, 610, 1250]) * board,
        [0.04, 0.03, 0.02, 0.01, 0.004],
        [1, 0.9, 0.7, 0.5, 0.5],
    )
    toe = strike(0.12, np.array([240, 520, 1400]) * board, [0.012, 0.008, 0.003], [0.5, 0.4, 0.4])
    step = scatter(len(heel) + 5000, [0, 4200], [heel, 0.6 * toe])
    return [step * rng.uniform(0.75, 1.0) for _ in range(count)]


def knocks(rng: Rng, count: int) -> list[Waveform]:
    """Knuckles on a wooden door: three quick hits of its panel."""
    panel = rng.uniform(0.85, 1.25)
    hit = strike(
        0.2,
        np.array([160, 290, 480, 820, 1500]) * panel,
        [0.025, 0.02, 0.014, 0.007, 0.003],
        [1, 1, 0.8, 0.6, 0.5],
    )
    starts = [0, to_samples(0.16), to_samples(0.32)]
    return [
        scatter(to_samples(0.55), starts, [hit * rng.uniform(0.7, 1) for _ in starts])
        for _ in range(count)
    ]


def key_strokes(rng: Rng, count: int) -> list[Waveform]:
    """A keyboard's keys: the press, a lighter release, a weak thud of the desk."""
    result: list[Waveform] = []
    for _ in range(count):
        n = to_samples(0.02)
        centre = rng.uniform(2200, 4200)
        click = noise(rng, n, centre, 2.2 * centre) * envelope(n, 0.0003, 0.003)
        thud = strike(0.06, [220 * rng.uniform(0.9, 1.1), 480], [0.012, 0.006], [0.5, 0.3])
        starts = [0, 0, to_samples(rng.uniform(0.06, 0.09))]
        result.append(
            scatter(to_samples(0.12), starts, [click, thud, 0.4 * click]) * rng.uniform(0.6, 1)
        )
    return result


def creaks(rng: Rng, count: int) -> list[Waveform]:
    """A dry hinge sticks and slips: 40 to 220 jerks a second through the door's resonances."""
    door = rng.uniform(0.8, 1.25)
    result: list[Waveform] = []
    for _ in range(count):
        n = to_samples(rng.uniform(0.7, 1.1))
        bend = np.sin(np.pi * np.linspace(0.05, 1, n) ** rng.uniform(0.6, 1.6))
        jerks = pulses((45 + 170 * bend) * (1 + 0.05 * noise(rng, n, 5, 40)))
        body = resonate(
            jerks,
            np.array([420, 880, 1350, 2150, 3300]) * door,
            [0.008, 0.006, 0.005, 0.003, 0.002],
            [0.6, 1.0, 0.9, 0.7, 0.4],
        )
        result.append(faded(body, 0.06, 0.12))
    return result


def hammer_blows(rng: Rng, count: int) -> list[Waveform]:
    """Steel on a nail: the ringing head, the short nail, the thud of the wood."""
    steel = rng.uniform(0.9, 1.15)
    blow = strike(
        0.4,
        [140, 310, 1180 * steel, 2510 * steel, 3890 * steel, 5630 * steel],
        [0.03, 0.02, 0.05, 0.06, 0.04, 0.03],
        [1.3, 0.9, 0.5, 0.6, 0.5, 0.35],
    )
    crash = noise(rng, 400, 1500, 12000) * envelope(400, 0.0002, 0.002)
    blow = scatter(len(blow), [0, 0], [blow, 0.8 * crash])
    return [blow * rng.uniform(0.75, 1.0) for _ in range(count)]


def fireworks(rng: Rng, count: int) -> list[Waveform]:
    """A rocket whistles up, bursts, and its stars crackle."""
    sparks = []
    for _ in range(8):
        length = to_samples(rng.uniform(0.004, 0.012))
        sparks.append(noise(rng, length, 1200, 11000) * envelope(length, 0.0003, 0.002))
    result: list[Waveform] = []
    for _ in range(count):
        n_rise, n_burst = to_samples(0.45), to_samples(1.3)
        rise = tone(np.linspace(900, 2600, n_rise) * rng.uniform(0.9, 1.1)) * np.linspace(
            0.1, 1, n_rise
        )
        rush = noise(rng, n_rise, 1500, 9000, -2) * np.linspace(0.1, 1, n_rise)
        bang = noise(rng, n_burst, 40, 350, -2) * envelope(n_burst, 0.003, 0.2)
        crack = noise(rng, n_burst, 200, 9000, -3) * envelope(n_burst, 0.001, 0.05)
        shimmer = shower(rng, n_burst, 130, sparks, 0.7) * envelope(n_burst, 0.2, 0.5)
        launch = faded(0.12 * rise + 0.08 * rush, 0.05, 0.03)
        burst = faded(2.0 * bang + 1.2 * crack + 1.0 * shimmer, 0, 0.2)
        result.append(scatter(n_rise + n_burst, [0, n_rise], [launch, burst]))
    return result


SOURCES = (
    Source(
        "bell",
        EventSequence(bell_strikes, 1.4, jitter=0.03),
        (Noun("bell"), Noun("church bell"), Noun("large bell")),
        (verb("ring"), verb("toll"), verb("chime")),
        repeats=True,
        paced=True,
    ),
    Source(
        "clock",
        EventSequence(ticks, 0.5, jitter=0.0),
        (Noun("clock"), Noun("wall clock"), Noun("mechanical clock")),
        (verb("tick"), verb("tick", "away"), verb("tick", "the seconds")),
        paced=True,
        indoors=True,
    ),
    Source(
        "footsteps_gravel",
        EventSequence(gravel_steps, 0.58, jitter=0.05),
        (Noun("person"), Noun("someone", ""), Noun("man")),
        (
            verb("walk", "on gravel"),
            verb("walk", "over loose stones"),
            verb("step", "on gravel", gerund="stepping"),
        ),
        paced=True,
    ),
    Source(
        "footsteps_wood",
        EventSequence(wood_steps, 0.58, jitter=0.05),
        (Noun("person"), Noun("someone", ""), Noun("man")),
        (
            verb("walk", "on a wooden floor"),
            verb("walk", "across floor boards"),
            verb("step", "on a wooden floor", gerund="stepping"),
        ),
        paced=True,
        indoors=True,
    ),
    Source(
        "knocking",
        EventSequence(knocks, 1.1),
        (Noun("person"), Noun("someone", ""), Noun("visitor")),
        (
            verb("knock", "on a door"),
            verb("knock", "at the door"),
            verb("tap", "on a wooden door", gerund="tapping"),
        ),
        repeats=True,
        paced=True,
        indoors=True,
    ),
    Source(
        "typing",
        EventSequence(key_strokes, 0.2, jitter=0.4),
        (Noun("person"), Noun("someone", ""), Noun("typist")),
        (
            verb("type", "on a keyboard"),
            verb("type", "on a computer"),
            verb("press", "the keys of a keyboard"),
        ),
        paced=True,
        indoors=True,
    ),
    Source(
        "door",
        EventSequence(creaks, 1.4, jitter=0.2),
        (Noun("door"), Noun("old door"), Noun("wooden door"), Noun("door hinge")),
        (verb("creak"), verb("squeak"), verb("open", "with a creak")),
        repeats=True,
        indoors=True,
    ),
    Source(
        "hammering",
        EventSequence(hammer_blows, 0.62, jitter=0.06),
        (Noun("hammer"), Noun("metal hammer")),
        (
            verb("hit", "a nail", gerund="hitting"),
            verb("strike", "a nail"),
            verb("pound", "on a nail"),
        ),
        repeats=True,
        paced=True,
        indoors=True,
    ),
    Source(
        "fireworks",
        EventSequence(fireworks, 1.5, jitter=0.25),
        (Noun("firework"), Noun("rocket"), Noun("firework rocket")),
        (
            verb("explode", "in the sky"),
            verb("burst", "with crackles"),
            verb("go", "off with a bang", third="goes"),
        ),
        repeats=True,
    ),
)
