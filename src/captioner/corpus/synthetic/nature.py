"""Rain, wind, waves, stream, thunder, dripping water, fire."""

import numpy as np

from captioner.corpus.synthetic.dsp import (
    Rng,
    Waveform,
    envelope,
    faded,
    noise,
    poisson_starts,
    resonate,
    scatter,
    shower,
    times,
    to_samples,
    tone,
    wander,
)
from captioner.corpus.synthetic.source import EventSequence, Manner, Noun, Source, verb


def rain(rng: Rng, n: int, manner: Manner) -> Waveform:
    """Many drops heard as a hiss, single near drops above it (a Poisson process of impulses)."""
    drops: list[Waveform] = []
    for _ in range(16):
        length = to_samples(rng.uniform(0.004, 0.012))
        low = rng.uniform(1500, 5000)
        drops.append(noise(rng, length, low, 2.5 * low) * envelope(length, 0.0003, 0.002))
    impulses = np.zeros(n)
    starts = poisson_starts(rng, n, 6000)
    np.add.at(impulses, starts, rng.standard_normal(len(starts)))
    fine = resonate(impulses, [2500, 5500, 9000], [0.0004, 0.0003, 0.0002], [1, 0.8, 0.6])
    fine /= np.std(fine)
    hiss = noise(rng, n, 700, 12000, slope_db=-2)
    return 0.5 * fine + 0.5 * hiss + 3.0 * shower(rng, n, 110, drops, 0.5)


def wind(rng: Rng, n: int, manner: Manner) -> Waveform:
    """Turbulence noise in three bands that swell with the gusts; the highest whistles."""
    gust = wander(rng, n, 0.9, 0.15, 1.0)
    body = noise(rng, n, 50, 280, slope_db=-3) * gust
    rush = noise(rng, n, 250, 1600, slope_db=-4) * gust**2
    pitch = wander(rng, n, 1.2, 450, 750) + 250 * gust
    whistle = noise(rng, n, 2, 45) * tone(pitch)  # noise around a moving centre
    return body + 0.7 * rush + 0.8 * gust**3 * whistle


def waves(rng: Rng, n: int, manner: Manner) -> Waveform:
    """Surf: each wave swells, breaks and runs out as a hiss that comes later and lasts longer."""
    t = times(n)
    swell, foam = np.full(n, 0.12), np.full(n, 0.05)
    crest = rng.uniform(0.6, 1.8)
    while crest < t[-1] + 1:
        height = rng.uniform(0.7, 1.0)
        swell += height * np.exp(-(((t - crest) / 0.7) ** 2))
        late = np.maximum(t - crest, 0)
        foam += height * np.exp(-((np.minimum(t - crest, 0) / 0.35) ** 2) - late / 1.1)
        crest += rng.uniform(2.6, 3.8)
    return 1.2 * swell * noise(rng, n, 60, 500, -4) + foam * noise(rng, n, 500, 9000, -3)


def bubble(rng: Rng, low_hz: float, high_hz: float, rise: float) -> Waveform:
    """A bubble rings at 3.26 m/s over its radius (Minnaert, 1933), its pitch rising as it surfaces.

    Damping 0.13 / r + 0.0072 / r**1.5 per second (van den Doel, Physically based models for liquid
    sounds, 2005).
    """
    frequency = np.exp(rng.uniform(np.log(low_hz), np.log(high_hz)))
    radius_m = 3.26 / frequency
    damping = 0.13 / radius_m + 0.0072 / radius_m**1.5
    t = times(to_samples(min(0.12, 5 / damping)))
    return np.sin(2 * np.pi * frequency * (t + rise * damping * t**2 / 2)) * np.exp(-damping * t)


def stream(rng: Rng, n: int, manner: Manner) -> Waveform:
    """Hundreds of bubbles a second over the noise of moving water."""
    bubbles = [bubble(rng, 350, 3500, 0.15) for _ in range(80)]
    flow = wander(rng, n, 2.0, 0.6, 1.0) * noise(rng, n, 300, 6000, slope_db=-4)
    babble = shower(rng, n, 170, bubbles, 0.8)
    return babble / (np.std(babble) + 1e-9) + 0.3 * flow


def thunderclaps(rng: Rng, count: int) -> list[Waveform]:
    """A crack, then a rumble of echoes from ever farther parts of the lightning channel."""
    claps = []
    for _ in range(count):
        n = to_samples(rng.uniform(2.2, 3.2))
        rumble = noise(rng, n, 25, 130, slope_db=-3) * wander(rng, n, 6, 0.2, 1.0)
        crack = noise(rng, n, 80, 2500, slope_db=-4) * envelope(n, 0.01, 0.18)
        late = noise(rng, n, 60, 500, slope_db=-4) * wander(rng, n, 9, 0.0, 1.0) ** 2
        body = (1.4 * rumble + 0.6 * late) * envelope(n, 0.08, 0.9)
        claps.append(faded(body + 1.5 * crack, 0.0, 0.3))
    return claps


def drops(rng: Rng, count: int) -> list[Waveform]:
    """A drop into water: a click, then one bubble with a rising pitch; each drop a little other."""
    pitch = rng.uniform(600, 1300)
    result = []
    for _ in range(count):
        ring = bubble(rng, 0.85 * pitch, 1.2 * pitch, 0.3)
        click = noise(rng, 130, 2000, 8000) * envelope(130, 0.0002, 0.0006)
        result.append(scatter(len(ring) + 400, [0, 400], [0.25 * click, ring]))
    return result


def fire(rng: Rng, n: int, manner: Manner) -> Waveform:
    """A low roar, a weak hiss, and crackles of widely varied strength."""
    crackles = []
    for _ in range(20):
        length = to_samples(rng.uniform(0.003, 0.02))
        decay = rng.uniform(0.0006, 0.004)
        crackles.append(noise(rng, length, 900, 9000, -1) * envelope(length, 0.0002, decay))
    roar = wander(rng, n, 4, 0.4, 1.0) * noise(rng, n, 40, 250, slope_db=-3)
    hiss = wander(rng, n, 2, 0.3, 1.0) * noise(rng, n, 2000, 10000, slope_db=-3)
    return 0.12 * roar + 0.05 * hiss + shower(rng, n, 22, crackles, 1.0)


SOURCES = (
    Source(
        "rain",
        rain,
        (Noun("rain", ""), Noun("rain", "the"), Noun("rainfall", "")),
        (
            verb("fall", "on the ground"),
            verb("pour", "down"),
            verb("patter", "on a surface"),
            verb("come", "down"),
        ),
        steady=True,
    ),
    Source(
        "wind",
        wind,
        (Noun("wind", "the"), Noun("wind", ""), Noun("gusts of wind", "", True)),
        (verb("blow"), verb("howl"), verb("blow", "past"), verb("rush", "through the air")),
        steady=True,
    ),
    Source(
        "waves",
        waves,
        (
            Noun("waves", "", True),
            Noun("ocean waves", "", True),
            Noun("waves of the sea", "the", True),
        ),
        (
            verb("crash", "on the shore"),
            verb("roll", "onto the beach"),
            verb("break", "on the beach"),
        ),
        steady=True,
    ),
    Source(
        "stream",
        stream,
        (Noun("water", ""), Noun("stream"), Noun("small stream"), Noun("brook")),
        (
            verb("flow", "over stones"),
            verb("run", "over rocks", gerund="running"),
            verb("bubble", "along"),
            verb("gurgle"),
        ),
        steady=True,
    ),
    Source(
        "thunder",
        EventSequence(thunderclaps, 2.4),
        (Noun("thunder", ""), Noun("thunder", "the"), Noun("thunderstorm")),
        (verb("rumble"), verb("roll", "across the sky"), verb("boom", "in the sky")),
        repeats=True,
    ),
    Source(
        "dripping",
        EventSequence(drops, 0.6, jitter=0.2),
        (Noun("water", ""), Noun("faucet"), Noun("tap")),
        (verb("drip", gerund="dripping"), verb("drip", "into a basin", gerund="dripping")),
        paced=True,
        indoors=True,
    ),
    Source(
        "fire",
        fire,
        (Noun("fire"), Noun("wood fire"), Noun("campfire")),
        (verb("crackle"), verb("burn", "with crackles"), verb("burn", "with a crackle")),
        steady=True,
    ),
)
