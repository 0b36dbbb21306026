"""Engine, passing car, train, siren, helicopter, mains hum, radio static, alarm, telephone, saw."""

import numpy as np

from captioner.corpus.synthetic.dsp import (
    SAMPLE_RATE_HZ,
    Rng,
    Waveform,
    envelope,
    faded,
    noise,
    pass_by,
    pulses,
    resonate,
    scatter,
    shower,
    strike,
    times,
    to_samples,
    tone,
    wander,
)
from captioner.corpus.synthetic.source import EventSequence, Manner, Noun, Source, verb

SIREN_LOW_HZ, SIREN_HIGH_HZ = 600.0, 1400.0
SIREN_PERIOD_S = {"slow": 4.0, None: 1.8, "fast": 0.35}  # wail and yelp of an electronic siren
BEEP_HZ = 3100.0  # smoke alarms: near 3.1 kHz, bursts of half a second (ISO 8201)


def engine(rng: Rng, n: int, manner: Manner) -> Waveform:
    """A four-cylinder four-stroke motor idling: two firings a turn, uneven, through the exhaust."""
    turns_per_s = rng.uniform(700, 950) / 60
    firing_hz = 2 * turns_per_s * (1 + 0.03 * noise(rng, n, 1, 8))
    firing = pulses(firing_hz) * (1 + 0.25 * noise(rng, n, 2, 40))
    pipe = rng.uniform(0.85, 1.2)
    exhaust = resonate(
        firing,
        [75 * pipe, 160 * pipe, 330 * pipe, 720 * pipe, 1500],
        [0.02, 0.012, 0.008, 0.004, 0.002],
        [1.0, 0.8, 0.5, 0.35, 0.2],
    )
    valves = noise(rng, n, 900, 5000, -3) * (
        1 + 0.7 * np.sin(2 * np.pi * np.cumsum(firing_hz) / SAMPLE_RATE_HZ)
    )
    return exhaust / (np.std(exhaust) + 1e-9) + 0.12 * valves


def car(rng: Rng, n: int, manner: Manner) -> Waveform:
    """Tyre noise and motor harmonics, moved past the listener."""
    speed = rng.uniform(14, 25)  # 50 to 90 km/h
    motor = tone(np.full(n, rng.uniform(75, 120)), (1, 0.8, 0.6, 0.5, 0.3, 0.25, 0.2, 0.1))
    tyres = noise(rng, n, 400, 2200, -2) + 0.35 * noise(rng, n, 2000, 9000, -3)
    duration = n / SAMPLE_RATE_HZ
    passage = duration * rng.uniform(0.42, 0.58)
    return pass_by(tyres + 0.35 * motor, speed, speed * duration / 12, passage)


def train(rng: Rng, n: int, manner: Manner) -> Waveform:
    """Rumble of the wagons and the double knock of each bogie's two axles on the rail joints."""
    rumble = noise(rng, n, 35, 220, -3) * wander(rng, n, 2, 0.6, 1.0)
    rolling = noise(rng, n, 300, 3500, -4) * wander(rng, n, 3, 0.6, 1.0)
    joint_s = 0.85 / manner.rate
    axle_s = min(0.16, 0.25 * joint_s)
    joints = np.arange(rng.uniform(0, joint_s), n / SAMPLE_RATE_HZ, joint_s)
    starts = np.concatenate([joints, joints + axle_s]) * SAMPLE_RATE_HZ
    knock = strike(
        0.2, [180, 410, 900, 1700, 2600], [0.03, 0.025, 0.02, 0.015, 0.01], [1, 0.9, 0.7, 0.6, 0.4]
    )
    knocks = scatter(n, starts.astype(int), [knock * rng.uniform(0.7, 1) for _ in starts])
    return 0.6 * rumble + 0.2 * rolling + 2.5 * knocks


def siren(rng: Rng, n: int, manner: Manner) -> Waveform:
    """A horn whose pitch sweeps between two bounds: slow wail or fast yelp."""
    cycles = times(n) / SIREN_PERIOD_S[manner.pace] + rng.uniform()
    sweep = (1 - np.cos(2 * np.pi * cycles)) / 2
    pitch = SIREN_LOW_HZ * (SIREN_HIGH_HZ / SIREN_LOW_HZ) ** sweep
    return tone(pitch, (1.0, 0.45, 0.6, 0.2, 0.25))


def helicopter(rng: Rng, n: int, manner: Manner) -> Waveform:
    """Blade slaps of the main rotor, 11 to 15 a second, the tail rotor's tone, the turbine."""
    blades_hz = np.full(n, rng.uniform(11, 15))
    cycle = np.cumsum(blades_hz) / SAMPLE_RATE_HZ % 1
    slap = np.exp(-cycle / 0.22)
    thump = resonate(
        pulses(blades_hz), [45, 90, 170, 320], [0.03, 0.02, 0.015, 0.008], [1, 1, 0.7, 0.4]
    )
    wash = noise(rng, n, 120, 3000, -4) * slap
    tail = tone(np.full(n, rng.uniform(85, 110)), (1, 0.6, 0.4, 0.2))
    turbine = noise(rng, n, 3000, 9000, -3)
    return thump / (np.std(thump) + 1e-9) + wash + 0.12 * tail + 0.05 * turbine


def hum(rng: Rng, n: int, manner: Manner) -> Waveform:
    """Mains hum: a transformer sings at twice the mains frequency (50 or 60 Hz) and multiples."""
    mains = rng.choice([50.0, 60.0])
    amplitudes = np.array([0.25, 1.0, 0.1, 0.5, 0.08, 0.35, 0.05, 0.2, 0.03, 0.12])
    sound = tone(np.full(n, mains), amplitudes * rng.uniform(0.6, 1.4, len(amplitudes)))
    return sound * wander(rng, n, 1, 0.85, 1.0) + 0.03 * noise(rng, n, 80, 1500, -4)


def static(rng: Rng, n: int, manner: Manner) -> Waveform:
    """An untuned radio: band-limited white noise with crackles, fading up and down."""
    crackle = [noise(rng, 200, 300, 8000) * envelope(200, 0.0002, 0.001) for _ in range(6)]
    whistle = 0.05 * tone(wander(rng, n, 0.7, 900, 2800))  # a carrier beside the station
    hiss = noise(rng, n, 150, 7500) * wander(rng, n, 3, 0.55, 1.0)
    return hiss + 2.0 * shower(rng, n, 18, crackle, 0.6) + whistle


def beeps(rng: Rng, count: int) -> list[Waveform]:
    """A piezo sounder: a square wave's odd harmonics, a burst of about 0.3 s."""
    pitch = np.full(to_samples(rng.uniform(0.16, 0.3)), BEEP_HZ * rng.uniform(0.97, 1.03))
    beep = faded(tone(pitch, (1, 0, 0.2, 0, 0.1)), 0.005, 0.01)
    return [beep] * count


def rings(rng: Rng, count: int) -> list[Waveform]:
    """A telephone's two gongs, struck in turn by a clapper 20 times a second, for a second."""
    gong = rng.uniform(0.9, 1.1)
    low, high = (
        strike(0.5, np.array([1, 2.76, 5.4]) * f * gong, [0.25, 0.1, 0.05], [1, 0.5, 0.25])
        for f in (1050, 1290)  # bars and shallow gongs: overtones near 2.76 and 5.40
    )
    ring_s = rng.uniform(0.7, 1.0)
    starts = np.arange(0, ring_s, 1 / 20) * SAMPLE_RATE_HZ
    strokes = [low if k % 2 else high for k in range(len(starts))]
    ring = scatter(to_samples(ring_s + 0.5), starts.astype(int), strokes)
    return [ring] * count


def saw_strokes(rng: Rng, count: int) -> list[Waveform]:
    """A hand saw: teeth tear the wood a few hundred times a second, push louder than pull."""
    teeth = rng.uniform(130, 200)
    result: list[Waveform] = []
    for stroke in range(count):
        n = to_samples(0.26)
        speed = np.sin(np.pi * np.linspace(0, 1, n)) ** 0.6
        tearing = 0.35 + pulses(teeth * speed + 20)  # impulses are sparse: the noise is their body
        grain = resonate(
            tearing * noise(rng, n, 500, 9000),
            [900, 2100, 4300],
            [0.002, 0.0015, 0.001],
            [1, 1, 0.8],
        )
        result.append(grain * speed * (1.0 if stroke % 2 == 0 else 0.55))
    return result


SOURCES = (
    Source(
        "engine",
        engine,
        (Noun("engine"), Noun("motor"), Noun("car engine")),
        (
            verb("idle"),
            verb("run", "without load", gerund="running"),
            verb("rumble", "while idling"),
        ),
        steady=True,
    ),
    Source(
        "car",
        car,
        (Noun("car"), Noun("vehicle"), Noun("automobile")),
        (verb("pass", "by"), verb("drive", "past"), verb("speed", "past"), verb("drive", "by")),
    ),
    Source(
        "train",
        train,
        (Noun("train"), Noun("freight train"), Noun("railway train")),
        (
            verb("clatter", "along the tracks"),
            verb("roll", "over the rails"),
            verb("rattle", "down the track"),
        ),
        steady=True,
        paced=True,
    ),
    Source(
        "siren",
        siren,
        (Noun("siren"), Noun("emergency siren"), Noun("police siren")),
        (verb("wail"), verb("sound"), verb("rise", "and fall in pitch")),
        paced=True,
    ),
    Source(
        "helicopter",
        helicopter,
        (Noun("helicopter"), Noun("chopper")),
        (
            verb("fly", "through the air", third="flies"),
            verb("hover", "in the air"),
            verb("beat", "the air with its blades"),
        ),
        steady=True,
    ),
    Source(
        "hum",
        hum,
        (Noun("electrical appliance"), Noun("transformer"), Noun("electrical device")),
        (
            verb("drone"),
            verb("hum", "at a low pitch", gerund="humming"),
            verb("buzz", "at a low pitch"),
        ),
        steady=True,
        indoors=True,
    ),
    Source(
        "static",
        static,
        (Noun("radio"), Noun("detuned radio"), Noun("receiver")),
        (verb("hiss", "with static"), verb("crackle", "with static"), verb("play", "only static")),
        steady=True,
        indoors=True,
    ),
    Source(
        "alarm",
        EventSequence(beeps, 0.55, jitter=0.0),
        (Noun("alarm"), Noun("smoke alarm"), Noun("electronic alarm")),
        (verb("beep"), verb("go", "off", third="goes"), verb("sound", "in high beeps")),
        repeats=True,
        paced=True,
        indoors=True,
    ),
    Source(
        "telephone",
        EventSequence(rings, 1.7, jitter=0.02),
        (Noun("telephone"), Noun("phone"), Noun("old telephone")),
        (verb("ring"), verb("ring", "with a bell"), verb("ring", "without an answer")),
        repeats=True,
        indoors=True,
    ),
    Source(
        "saw",
        EventSequence(saw_strokes, 0.42, jitter=0.06),
        (Noun("person"), Noun("carpenter"), Noun("someone", "")),
        (
            verb("saw", "wood"),
            verb("saw", "through a board"),
            verb("cut", "wood with a saw", gerund="cutting"),
        ),
        paced=True,
        indoors=True,
    ),
)
