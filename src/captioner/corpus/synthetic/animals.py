"""Songbird, crickets, dog, frog, bee."""

import numpy as np

from captioner.corpus.synthetic.dsp import (
    SAMPLE_RATE_HZ,
    Rng,
    Waveform,
    envelope,
    faded,
    noise,
    pulses,
    resonate,
    scatter,
    times,
    to_samples,
    tone,
    wander,
)
from captioner.corpus.synthetic.source import EventSequence, Manner, Noun, Source, verb


def bird_phrases(rng: Rng, count: int) -> list[Waveform]:
    """A motif of two to five whistled sweeps between 2 and 7 kHz, sung again each time."""
    notes, starts, position = [], [], 0.0
    for _ in range(rng.integers(2, 6)):
        duration = rng.uniform(0.05, 0.16)
        start_hz, end_hz = rng.uniform(2200, 6800, 2)
        n = to_samples(duration)
        bend = np.linspace(0, 1, n)
        trill = rng.choice([0.0, 300.0]) * np.sin(2 * np.pi * rng.uniform(25, 45) * times(n))
        note = tone(start_hz + (end_hz - start_hz) * bend**1.5 + trill, (1.0, 0.12))
        notes.append(note * np.sin(np.pi * bend) ** 0.7)
        starts.append(to_samples(position))
        position += duration + rng.uniform(0.02, 0.09)
    phrase = scatter(to_samples(position), starts, notes)
    return [phrase * rng.uniform(0.7, 1.0) for _ in range(count)]


def crickets(rng: Rng, n: int, manner: Manner) -> Waveform:
    """Several field crickets: chirps of three or four pulses on a carrier of 4 to 5 kHz.

    About 30 pulses a second within a chirp, two to three chirps a second (Gryllus species).
    """
    total = np.zeros(n)
    for _ in range(rng.integers(3, 6)):
        carrier = rng.uniform(4000, 5200)
        pulse_s = rng.uniform(0.030, 0.036)
        length = to_samples(0.022)
        pulse = np.sin(2 * np.pi * carrier * times(length)) * np.hanning(length)
        n_pulses = int(rng.integers(3, 5))
        chirp_starts = [to_samples(pulse_s * k) - 1 for k in range(n_pulses)]
        chirp = scatter(chirp_starts[-1] + length, chirp_starts, [pulse] * n_pulses)
        period = SAMPLE_RATE_HZ / rng.uniform(2.0, 3.0)
        starts = np.arange(rng.uniform(-period, 0), n, period)
        starts = (starts + rng.normal(0, 0.01 * SAMPLE_RATE_HZ, len(starts))).astype(int)
        starts = starts[starts >= 0]
        total += rng.uniform(0.3, 1.0) * scatter(n, starts, [chirp] * len(starts))
    return total + 0.004 * noise(rng, n, 1000, 9000, -3)


def barks(rng: Rng, count: int) -> list[Waveform]:
    """A glottal pulse train that jumps up and falls, rough, through the formants of a muzzle."""
    size = rng.uniform(0.75, 1.4)  # a small dog speaks higher
    result: list[Waveform] = []
    for _ in range(count):
        n = to_samples(rng.uniform(0.16, 0.26))
        bend = np.linspace(0, 1, n)
        pitch = size * (260 + 330 * np.sin(np.pi * bend**0.6)) * rng.uniform(0.95, 1.05)
        rough = 1 + 0.05 * noise(rng, n, 20, 120)
        source = pulses(pitch * rough) + 0.05 * noise(rng, n, 400, 5000, -2)
        voice = resonate(
            source, [650 * size, 1350 * size, 2900], [0.006, 0.004, 0.002], [1, 0.9, 0.3]
        )
        result.append(voice * envelope(n, 0.015, 0.09) * faded(np.ones(n), 0, 0.05))
    return result


def croaks(rng: Rng, count: int) -> list[Waveform]:
    """A train of 40 to 60 pulses a second through the resonances of a vocal sac."""
    rate, size = rng.uniform(38, 60), rng.uniform(0.8, 1.2)
    result: list[Waveform] = []
    for _ in range(count):
        n = to_samples(rng.uniform(0.3, 0.5))
        train = pulses(np.linspace(0.9, 1.15, n) * rate)
        croak = resonate(
            train, [550 * size, 1150 * size, 2300 * size], [0.006, 0.005, 0.002], [1, 1, 0.3]
        )
        result.append(croak * np.sin(np.pi * np.linspace(0, 1, n)) ** 0.5)
    return result


def bee(rng: Rng, n: int, manner: Manner) -> Waveform:
    """Wings at about 230 beats a second, rich in harmonics; it comes nearer and turns away."""
    pitch = wander(rng, n, 3, 205, 255) * (1 + 0.01 * noise(rng, n, 3, 30))
    wings = tone(pitch, (1.0, 0.8, 0.55, 0.35, 0.25, 0.15, 0.1, 0.06))
    return wings * wander(rng, n, 1.6, 0.25, 1.0) + 0.02 * noise(rng, n, 200, 4000, -3)


SOURCES = (
    Source(
        "songbird",
        EventSequence(bird_phrases, 1.1, jitter=0.25),
        (Noun("bird"), Noun("songbird"), Noun("small bird")),
        (verb("chirp"), verb("sing"), verb("tweet"), verb("whistle", "a short phrase")),
        repeats=True,
    ),
    Source(
        "crickets",
        crickets,
        (Noun("crickets", "", True), Noun("insects", "", True), Noun("chorus of crickets")),
        (verb("chirp"), verb("chirp", "in the grass"), verb("sing", "in the grass")),
        steady=True,
    ),
    Source(
        "dog",
        EventSequence(barks, 0.75, jitter=0.25),
        (Noun("dog"), Noun("hound")),
        (verb("bark"), verb("bark", "at something"), verb("yap", gerund="yapping")),
        repeats=True,
        paced=True,
        indoors=True,
    ),
    Source(
        "frog",
        EventSequence(croaks, 0.95),
        (Noun("frog"), Noun("toad")),
        (verb("croak"), verb("croak", "in a pond"), verb("call", "from a pond")),
        repeats=True,
    ),
    Source(
        "bee",
        bee,
        (Noun("bee"), Noun("insect"), Noun("flying insect")),
        (verb("buzz"), verb("buzz", "around"), verb("buzz", "with its wings")),
        steady=True,
    ),
)
