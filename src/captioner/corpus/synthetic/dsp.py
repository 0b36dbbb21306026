"""Building blocks of the sources: shaped noise, resonators, moving tones, events, propagation.

All waveforms are mono, (n_samples,), at 44.1 kHz. Times are in seconds, frequencies in hertz.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.signal import lfilter

SAMPLE_RATE_HZ = 44100
SPEED_OF_SOUND_M_S = 343.0  # dry air at 20 degrees C

Waveform = NDArray[np.floating]
Values = Sequence[float] | NDArray[np.floating]
Rng = np.random.Generator


def to_samples(duration_s: float) -> int:
    """Give the number of samples of a duration, at least one."""
    return max(1, round(duration_s * SAMPLE_RATE_HZ))


def times(n: int) -> Waveform:
    """Give the time of each sample, in seconds: (n,)."""
    return np.arange(n) / SAMPLE_RATE_HZ


def noise(rng: Rng, n: int, low_hz: float, high_hz: float, slope_db: float = 0.0) -> Waveform:
    """Give Gaussian noise of unit RMS between two frequencies: (n,).

    The edges fall like a fourth-order Butterworth filter's; `slope_db` per octave tilts the band
    (pink noise: -3). Made in the frequency domain: any spectrum costs one transform.
    """
    n_fft = fft.next_fast_len(n, real=True)
    frequency = np.fft.rfftfreq(n_fft, 1 / SAMPLE_RATE_HZ).astype(np.float32)
    frequency[0] = frequency[1]
    below, above = np.float32(low_hz) / frequency, frequency / np.float32(high_hz)
    for ratio in (below, above):
        np.minimum(ratio, 1e4, out=ratio)  # -320 dB; further on single precision overflows
        for _ in range(3):
            np.square(ratio, out=ratio)  # to the 8th power, without the slow power function
    gain = 1 / np.sqrt((1 + below) * (1 + above))
    if slope_db:
        gain *= frequency ** np.float32(slope_db / 6.02)  # 6.02 dB: twice the amplitude
    parts = rng.standard_normal(2 * len(gain), dtype=np.float32)
    spectrum = parts.view(np.complex64) * gain
    spectrum[0] = 0
    waveform = fft.irfft(spectrum, n_fft)[:n]
    return waveform / (root_mean_square(waveform) + 1e-12)


def root_mean_square(waveform: Waveform) -> float:
    """Give the RMS of a waveform."""
    return float(np.sqrt(np.mean(np.square(waveform))))


def resonate(
    excitation: Waveform,
    frequencies_hz: Values,
    decays_s: Values,
    gains: Values,
) -> Waveform:
    """Excite a bank of two-pole resonators and sum them: (n,).

    The impulse response of each is gain * exp(-t / decay) * sin(2 pi frequency t): modal synthesis
    of struck objects, formants of a voice, resonances of a motor.
    """
    total = np.zeros(len(excitation))
    for frequency, decay, gain in zip(frequencies_hz, decays_s, gains, strict=True):
        radius = np.exp(-1 / (decay * SAMPLE_RATE_HZ))
        angle = 2 * np.pi * frequency / SAMPLE_RATE_HZ
        total += lfilter(
            [0.0, gain * radius * np.sin(angle)],
            [1.0, -2 * radius * np.cos(angle), radius**2],
            excitation,
        )
    return total


def strike(
    duration_s: float,
    frequencies_hz: Values,
    decays_s: Values,
    gains: Values,
) -> Waveform:
    """Give the sound of an object with these modes, struck once by an impulse."""
    impulse = np.zeros(to_samples(duration_s))
    impulse[0] = 1.0
    return faded(resonate(impulse, frequencies_hz, decays_s, gains), 0.0, 0.01)


def tone(frequency_hz: Waveform, harmonics: Values = (1.0,)) -> Waveform:
    """Give a tone whose pitch follows `frequency_hz` (n,); `harmonics` are partials' amplitudes."""
    angle = 2 * np.pi / SAMPLE_RATE_HZ * np.cumsum(frequency_hz)
    partial, before, twice_cosine = np.sin(angle), np.zeros(len(angle)), 2 * np.cos(angle)
    total = harmonics[0] * partial
    for amplitude in harmonics[1:]:  # sin(k x) = 2 cos(x) sin((k - 1) x) - sin((k - 2) x)
        partial, before = twice_cosine * partial - before, partial
        total += amplitude * partial
    return total


def pulses(frequency_hz: Waveform) -> Waveform:
    """Give one unit impulse per period of a moving frequency, less their mean: (n,).

    Glottal or firing pulses; without the mean no resonator passes a constant pressure on.
    """
    per_sample = frequency_hz / SAMPLE_RATE_HZ
    cycles = np.floor(np.cumsum(per_sample))
    return np.diff(cycles, prepend=cycles[0]) - per_sample


def wander(rng: Rng, n: int, rate_hz: float, low: float, high: float) -> Waveform:
    """Give a control that drifts between two bounds, with `rate_hz` new targets a second: (n,)."""
    n_targets = int(n / SAMPLE_RATE_HZ * rate_hz) + 3
    targets = rng.uniform(low, high, n_targets)
    position = times(n) * rate_hz + rng.uniform()
    index = position.astype(np.int64)
    weight = position - index
    weight *= weight * (3 - 2 * weight)  # smoothstep: no corners to be heard
    return targets[index] + weight * np.diff(targets)[index]


def envelope(n: int, attack_s: float, decay_s: float) -> Waveform:
    """Give a linear attack, then an exponential decay to 1/e in `decay_s`: (n,)."""
    t = times(n)
    return np.minimum(t / attack_s, 1.0) * np.exp(-np.maximum(t - attack_s, 0) / decay_s)


def faded(waveform: Waveform, fade_in_s: float, fade_out_s: float) -> Waveform:
    """Give a copy with raised-cosine fades at its ends."""
    result = np.array(waveform, dtype=np.float64)
    n_in, n_out = (min(len(result), round(s * SAMPLE_RATE_HZ)) for s in (fade_in_s, fade_out_s))
    if n_in:
        result[:n_in] *= (1 - np.cos(np.pi * np.arange(n_in) / n_in)) / 2
    if n_out:
        result[-n_out:] *= (1 + np.cos(np.pi * np.arange(1, n_out + 1) / n_out)) / 2
    return result


def scatter(n: int, starts: Sequence[int] | NDArray, events: Sequence[Waveform]) -> Waveform:
    """Add events at sample positions into silence of length n; what passes the end is cut."""
    total = np.zeros(n)
    for start, event in zip(starts, events, strict=True):
        place = total[start : start + len(event)]
        place += event[: len(place)]
    return total


def poisson_starts(rng: Rng, n: int, rate_hz: float) -> NDArray[np.int64]:
    """Give the sample positions of a Poisson process, unordered."""
    return rng.integers(0, n, rng.poisson(rate_hz * n / SAMPLE_RATE_HZ))


def shower(rng: Rng, n: int, rate_hz: float, kinds: Sequence[Waveform], spread: float) -> Waveform:
    """Scatter a Poisson shower of events drawn from `kinds`, log-normal gains of sigma `spread`."""
    starts = poisson_starts(rng, n, rate_hz)
    choice = rng.integers(0, len(kinds), len(starts))
    gains = rng.lognormal(0.0, spread, len(starts))
    return scatter(n, starts, [kinds[k] * g for k, g in zip(choice, gains, strict=True)])


def pass_by(signal: Waveform, speed_m_s: float, closest_m: float, passage_s: float) -> Waveform:
    """Move a source past the listener on a straight line: Doppler shift and 1/r gain, (n,).

    Emitted at time s from distance r(s), sound arrives at s + r(s) / c (Morse and Ingard,
    Theoretical Acoustics, 11.2); `passage_s` is when the closest point is heard. What was emitted
    before the first sample and after the last is the signal's mirror image.
    """
    n = len(signal)
    farthest_m = speed_m_s * max(passage_s, n / SAMPLE_RATE_HZ - passage_s)
    lead = min(n - 1, to_samples(farthest_m / SPEED_OF_SOUND_M_S))
    emitted_s = np.arange(-lead, n + lead) / SAMPLE_RATE_HZ
    distance_m = np.hypot(closest_m, speed_m_s * (emitted_s - passage_s))
    arrival_s = emitted_s + (distance_m - closest_m) / SPEED_OF_SOUND_M_S
    pressure = np.pad(signal, lead, mode="reflect") * (closest_m / distance_m)
    return np.interp(times(n), arrival_s, pressure)


def room_response(rng: Rng, decay_s: float) -> Waveform:
    """Give the diffuse part of a room's impulse response, unit energy.

    Gaussian noise that decays by 60 dB in `decay_s` (Moorer, About this reverberation business,
    1979); the first 8 ms are empty, as before the first reflection in a hall.
    """
    n = to_samples(decay_s)
    response = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)  # 60 dB
    response[: to_samples(0.008)] = 0
    return response / np.sqrt(np.sum(np.square(response)))


def air_absorption(frequency_hz: Waveform, distance_m: float) -> Waveform:
    """Give the amplitude gain of air over a distance.

    About 0.1 dB/m at 8 kHz, growing with the square of frequency: the classical part of
    ISO 9613-1 at 20 degrees C and 50 % humidity, without its relaxation terms.
    """
    return 10 ** (-0.1 * distance_m * np.square(frequency_hz / 8000) / 20)


def propagate(waveform: Waveform, distance_m: float, room: Waveform, wet: float) -> Waveform:
    """Carry a sound to the listener: air absorption, then `wet` times the room's diffuse sound.

    `room` is the response of `room_response`; the result has the waveform's length. One transform
    forth and back serves both filters.
    """
    n_fft = fft.next_fast_len(len(waveform) + len(room), real=True)
    spectrum = fft.rfft(waveform.astype(np.float32), n_fft)
    frequency = np.fft.rfftfreq(n_fft, 1 / SAMPLE_RATE_HZ).astype(np.float32)
    transfer = 1 + np.float32(wet) * fft.rfft(room.astype(np.float32), n_fft)
    transfer *= air_absorption(frequency, distance_m)
    return fft.irfft(spectrum * transfer, n_fft)[: len(waveform)]
