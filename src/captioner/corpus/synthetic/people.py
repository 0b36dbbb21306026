"""Babble of voices, applause, whistling."""

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
from captioner.corpus.synthetic.source import Manner, Noun, Source, verb

# First three formants of five vowels of a man, in Hz (Peterson and Barney, 1952, rounded).
VOWELS_HZ = (
    (730, 1090, 2440),
    (530, 1840, 2480),
    (270, 2290, 3010),
    (570, 840, 2410),
    (300, 870, 2240),
)
CLAPS_PER_S = 4.0  # of one person (Repp, The sound of two hands clapping, 1987)


def syllable(rng: Rng, pitch_hz: float, tract: float) -> Waveform:
    """A consonant's noise or none, then a vowel: glottal pulses through gliding formants."""
    n = to_samples(rng.uniform(0.11, 0.24))
    glide = np.linspace(1.08, 0.92, n) * rng.uniform(0.9, 1.15)
    glottis = pulses(pitch_hz * glide) + 0.01 * noise(rng, n, 500, 5000, -3)
    start, end = (VOWELS_HZ[k] for k in rng.integers(0, len(VOWELS_HZ), 2))
    decays, gains = [0.006, 0.004, 0.003], [1.0, 0.6, 0.25]
    first, last = (
        resonate(glottis, [tract * f for f in vowel], decays, gains) for vowel in (start, end)
    )
    fade = np.linspace(0, 1, n)
    vowel = ((1 - fade) * first + fade * last) * np.sin(np.pi * fade) ** 0.6
    if rng.uniform() < 0.5:
        return vowel
    length = to_samples(rng.uniform(0.03, 0.08))
    consonant = noise(rng, length, rng.uniform(1500, 4000), 9000) * np.hanning(length)
    level = 0.25 * np.std(vowel)
    return scatter(length + n, [0, int(0.7 * length)], [level * consonant, vowel])


def babble(rng: Rng, n: int, manner: Manner) -> Waveform:
    """Five to seven people talk at once, four syllables a second each, with pauses."""
    total = np.zeros(n)
    for _ in range(rng.integers(5, 8)):
        male = rng.uniform() < 0.5
        pitch = rng.uniform(95, 140) if male else rng.uniform(170, 240)
        tract = 1.0 if male else 1.15  # a woman's vocal tract is about 15 % shorter
        said = [syllable(rng, pitch * rng.uniform(0.85, 1.2), tract) for _ in range(9)]
        steps = rng.uniform(0.17, 0.33, int(n / SAMPLE_RATE_HZ / 0.17) + 2)
        steps += (rng.uniform(size=len(steps)) < 0.08) * rng.uniform(0.3, 0.8, len(steps))
        starts = ((np.cumsum(steps) - steps[0]) * SAMPLE_RATE_HZ).astype(int)
        starts = starts[starts < n]
        total += scatter(n, starts, [said[k] for k in rng.integers(0, len(said), len(starts))])
    return total


def applause(rng: Rng, n: int, manner: Manner) -> Waveform:
    """Some 25 people clap, each at a steady rate with hands of one resonance, unsynchronised."""
    total = np.zeros(n)
    for _ in range(rng.integers(20, 32)):
        length = to_samples(0.02)
        centre = rng.uniform(700, 2200)
        clap = noise(rng, length, 0.7 * centre, 2.2 * centre) + 0.3 * noise(rng, length, 2000, 9000)
        clap *= envelope(length, 0.0005, 0.0035) * rng.lognormal(0, 0.5)
        period = SAMPLE_RATE_HZ / (CLAPS_PER_S * rng.uniform(0.8, 1.2))
        starts = np.arange(rng.uniform(0, period), n, period)
        starts = np.clip(starts + rng.normal(0, 0.04 * period, len(starts)), 0, n - 1).astype(int)
        total += scatter(n, starts, [clap] * len(starts))
    return total


def whistling(rng: Rng, n: int, manner: Manner) -> Waveform:
    """A tune on a pentatonic scale between 1 and 2 kHz, with vibrato and some breath."""
    scale = 2 ** (np.array([0, 2, 4, 7, 9, 12]) / 12) * rng.uniform(900, 1150)
    beat_s = rng.uniform(0.24, 0.34) / manner.rate
    starts, notes, position = [], [], 0.05
    while position < n / SAMPLE_RATE_HZ:
        duration = beat_s * rng.choice([1, 1, 2])
        length = to_samples(0.93 * duration)
        vibrato = 1 + 0.006 * np.sin(2 * np.pi * 5.5 * times(length))
        scoop = 1 - 0.04 * np.exp(-times(length) / 0.02)
        pitch = rng.choice(scale) * vibrato * scoop
        notes.append(faded(tone(pitch, (1.0, 0.04)), 0.03, 0.05))
        starts.append(to_samples(position))
        position += duration
    breath = noise(rng, n, 900, 4000, -3) * wander(rng, n, 3, 0.3, 1.0)
    return scatter(n, starts, notes) + 0.03 * breath


SOURCES = (
    Source(
        "babble",
        babble,
        (Noun("people", "", True), Noun("voices", "", True), Noun("group of people")),
        (verb("talk"), verb("chatter"), verb("talk", "at the same time"), verb("speak")),
        steady=True,
        indoors=True,
    ),
    Source(
        "applause",
        applause,
        (Noun("audience"), Noun("crowd"), Noun("people", "", True)),
        (verb("applaud"), verb("clap", gerund="clapping"), verb("give", "applause")),
        steady=True,
        indoors=True,
    ),
    Source(
        "whistling",
        whistling,
        (Noun("person"), Noun("someone", ""), Noun("man")),
        (verb("whistle", "a tune"), verb("whistle", "a melody")),
        paced=True,
        indoors=True,
    ),
)
