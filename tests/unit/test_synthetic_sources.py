"""Each source against a fact of its physics."""

import numpy as np
import pytest
from scipy.signal import find_peaks

from captioner.corpus.synthetic import machines, objects
from captioner.corpus.synthetic.dsp import (
    SAMPLE_RATE_HZ,
    SPEED_OF_SOUND_M_S,
    air_absorption,
    noise,
    pass_by,
    propagate,
    room_response,
    times,
    to_samples,
    tone,
)
from captioner.corpus.synthetic.nature import bubble
from captioner.corpus.synthetic.source import EventSequence, Manner, verb
from captioner.corpus.synthetic.sources import SOURCES


def sound(name, duration_s=4.0, seed=0, **manner):
    rng = np.random.default_rng(seed)
    return SOURCES[name].synthesise(rng, to_samples(duration_s), Manner(**manner))


def share_between(waveform, low_hz, high_hz):
    """Share of the energy between two frequencies."""
    power = np.abs(np.fft.rfft(waveform)) ** 2
    frequency = np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE_HZ)
    return power[(frequency >= low_hz) & (frequency <= high_hz)].sum() / power.sum()


def strongest_hz(waveform, low_hz=20.0, high_hz=20000.0):
    n_fft = 8 * len(waveform)  # interpolated: a fraction of a bin
    power = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)), n_fft))
    frequency = np.fft.rfftfreq(n_fft, 1 / SAMPLE_RATE_HZ)
    inside = (frequency >= low_hz) & (frequency <= high_hz)
    return frequency[inside][np.argmax(power[inside])]


def frame_levels(waveform, frame_s=0.01):
    frame = to_samples(frame_s)
    n_frames = len(waveform) // frame
    return np.sqrt((waveform[: n_frames * frame].reshape(n_frames, frame) ** 2).mean(axis=1))


def count_onsets(waveform, apart_s):
    levels = frame_levels(waveform)
    rises = np.maximum(np.diff(levels, prepend=0), 0)
    peaks, _ = find_peaks(
        np.pad(rises, 1), height=0.2 * rises.max(), distance=max(1, round(apart_s / 0.01))
    )
    return len(peaks)


def test_at_least_25_sources_and_the_ones_promised():
    assert len(SOURCES) >= 25
    promised = "rain wind waves stream thunder songbird crickets dog engine car train siren bell"
    promised += " clock footsteps_gravel footsteps_wood knocking typing telephone alarm door"
    promised += " hammering saw babble applause dripping helicopter hum static fireworks"
    assert set(promised.split()) <= set(SOURCES)


@pytest.mark.parametrize("name", SOURCES)
def test_no_source_has_a_constant_pressure(name):
    assert share_between(sound(name), 0, 8) < 0.02


@pytest.mark.parametrize("name", SOURCES)
def test_source_sounds_whatever_the_manner_and_is_its_seed_alone(name):
    source = SOURCES[name]
    manners = [Manner()]
    if source.paced:
        manners += [Manner(pace="slow"), Manner(pace="fast")]
    if source.repeats:
        manners.append(Manner(once=True))
    for manner in manners:
        n = to_samples(1.3)
        first, again, other = (
            source.synthesise(np.random.default_rng(seed), n, manner) for seed in (1, 1, 2)
        )
        assert first.shape == (n,)
        assert np.isfinite(first).all()
        assert first.std() > 1e-4
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)


def test_rain_is_broad_and_steady():
    rain = sound("rain")
    assert share_between(rain, 1000, 15000) > 0.7
    assert frame_levels(rain, 0.2).std() < 0.3 * frame_levels(rain, 0.2).mean()


def test_wind_is_low_and_swells():
    wind = sound("wind", 8)
    assert share_between(wind, 20, 1000) > 0.8
    levels = frame_levels(wind, 0.2)
    assert levels.max() > 3 * levels.min()


def test_waves_come_and_go():
    levels = frame_levels(sound("waves", 12), 0.25)
    peaks, _ = find_peaks(levels, prominence=0.4 * levels.max())
    assert 2 <= len(peaks) <= 6  # one each 2.6 to 3.8 s


def test_crickets_sing_between_3_and_6_khz():
    assert share_between(sound("crickets"), 3000, 6000) > 0.95


def test_thunder_is_low():
    assert share_between(sound("thunder", once=True), 20, 500) > 0.8


def test_bell_has_the_classical_partials():
    (stroke,) = objects.bell_strikes(np.random.default_rng(3), 1)
    hum = strongest_hz(stroke[to_samples(1.5) :], 100, 300)  # it rings longest
    prime = hum / 0.5
    assert 280 <= prime <= 560
    for ratio in objects.BELL_RATIOS:
        found = strongest_hz(stroke, 0.93 * ratio * prime, 1.07 * ratio * prime)
        assert found == pytest.approx(ratio * prime, rel=0.01)


def test_bells_low_partials_ring_longest():
    (stroke,) = objects.bell_strikes(np.random.default_rng(3), 1)
    early, late = stroke[: to_samples(0.5)], stroke[to_samples(1.5) : to_samples(2.0)]
    assert share_between(late, 20, 300) > 2 * share_between(early, 20, 300)


@pytest.mark.parametrize("pace", ["slow", None, "fast"])
def test_siren_sweeps_between_its_bounds(pace):
    siren = sound("siren", 6, pace=pace)
    pitch = []
    for start in range(0, len(siren) - 2048, 1024):
        pitch.append(strongest_hz(siren[start : start + 2048], 400, 1600))
    low, high = min(pitch), max(pitch)
    assert low == pytest.approx(machines.SIREN_LOW_HZ, rel=0.08)
    assert high == pytest.approx(machines.SIREN_HIGH_HZ, rel=0.08)
    sweeps = (np.diff(np.sign(np.array(pitch) - 900)) > 0).sum()
    assert sweeps == pytest.approx(6 / machines.SIREN_PERIOD_S[pace], abs=1.01)


def test_passing_car_doppler_shift_and_gain():
    speed, closest, passage_s, pitch = 25.0, 8.0, 2.0, 1000.0
    heard = pass_by(tone(np.full(to_samples(4), pitch)), speed, closest, passage_s)
    before = strongest_hz(heard[: to_samples(0.5)])
    after = strongest_hz(heard[-to_samples(0.5) :])
    assert before == pytest.approx(pitch / (1 - speed / SPEED_OF_SOUND_M_S), rel=0.005)
    assert after == pytest.approx(pitch / (1 + speed / SPEED_OF_SOUND_M_S), rel=0.005)
    levels = frame_levels(heard, 0.1)
    assert np.argmax(levels) * 0.1 == pytest.approx(passage_s, abs=0.15)
    assert levels[0] / levels.max() == pytest.approx(closest / np.hypot(closest, 50), rel=0.1)


def test_car_is_loudest_as_it_passes():
    levels = frame_levels(sound("car", 6), 0.2)
    assert 6 * 0.35 < np.argmax(levels) * 0.2 < 6 * 0.65
    assert levels.max() > 3 * max(levels[0], levels[-1])


def test_engine_fires_25_times_a_second():
    level = np.abs(sound("engine", 8))
    rate = strongest_hz(level - level.mean(), 15, 45)
    assert 2 * 700 / 60 * 0.95 <= rate <= 2 * 950 / 60 * 1.05


def test_helicopter_slaps():
    level = np.abs(sound("helicopter", 6))
    assert 10.5 <= strongest_hz(level - level.mean(), 5, 30) <= 15.5


def test_hum_is_on_a_multiple_of_the_mains():
    strongest = strongest_hz(sound("hum"))
    assert min(abs(strongest - 100), abs(strongest - 120)) < 1


def test_alarm_beeps_near_3100_hz():
    assert strongest_hz(sound("alarm")) == pytest.approx(machines.BEEP_HZ, rel=0.04)


@pytest.mark.parametrize("name", ["footsteps_gravel", "footsteps_wood", "clock", "hammering"])
def test_paces_are_heard_as_events_per_second(name):
    apart_s = 0.2
    slow, usual, fast = (
        count_onsets(sound(name, 6, pace=pace), apart_s) for pace in ("slow", None, "fast")
    )
    assert slow < usual < fast
    interval_s = SOURCES[name].synthesise.interval_s
    assert usual == pytest.approx(6 / interval_s, abs=1.5)
    assert slow == pytest.approx(0.55 * 6 / interval_s, abs=1.5)
    assert fast == pytest.approx(1.9 * 6 / interval_s, abs=2.5)


@pytest.mark.parametrize("name", [s.name for s in SOURCES.values() if s.repeats])
def test_once_is_one_event_and_repeatedly_three_at_least(name):
    synthesis = SOURCES[name].synthesise
    counts = []

    def events(rng, count):
        counts.append(count)
        return synthesis.events(rng, count)

    counting = EventSequence(events, synthesis.interval_s, synthesis.jitter)
    for pace in ("slow", None, "fast") if SOURCES[name].paced else (None,):
        for seed in range(3):
            counting(np.random.default_rng(seed), to_samples(1.8), Manner(pace=pace))
    assert min(counts) >= 3
    counts.clear()
    counting(np.random.default_rng(0), to_samples(1.8), Manner(once=True))
    assert counts == [1]


def test_steps_on_gravel_are_higher_than_on_wood():
    assert share_between(sound("footsteps_gravel"), 1000, 12000) > 0.8
    assert share_between(sound("footsteps_wood"), 50, 800) > 0.7


def test_drops_rise_in_pitch():
    drop = bubble(np.random.default_rng(0), 700, 800, 0.3)
    first, last = drop[: len(drop) // 4], drop[len(drop) // 3 :]
    assert strongest_hz(last, 300, 3000) > strongest_hz(first, 300, 3000)


def test_voices_have_pitch_and_formants():
    babble = sound("babble")
    assert share_between(babble, 80, 4000) > 0.95
    assert 90 < strongest_hz(babble, 80, 1000) < 1000


def test_static_is_flat_in_its_band():
    static = sound("static")
    assert share_between(static, 1000, 2000) == pytest.approx(
        share_between(static, 4000, 5000), rel=0.25
    )


def test_noise_has_unit_rms_and_keeps_to_its_band():
    waveform = noise(np.random.default_rng(0), 44100, 1000, 2000)
    assert np.sqrt(np.mean(waveform**2)) == pytest.approx(1, rel=1e-4)
    frequency = np.linspace(1, 20000, 20000)
    power = 1 / ((1 + (1000 / frequency) ** 8) * (1 + (frequency / 2000) ** 8))
    for low, high in ((1000, 2000), (500, 4000), (2000, 4000)):
        inside = (frequency >= low) & (frequency <= high)
        expected = power[inside].sum() / power.sum()
        assert share_between(waveform, low, high) == pytest.approx(expected, abs=0.01)


def test_noise_of_any_length_raises_no_warning():
    with np.errstate(all="raise", under="ignore"):
        assert np.isfinite(noise(np.random.default_rng(0), to_samples(40), 5000, 12500)).all()


def test_pink_noise_has_equal_octaves():
    waveform = noise(np.random.default_rng(0), 441000, 20, 20000, slope_db=-3)
    octaves = [share_between(waveform, low, 2 * low) for low in (200, 800, 3200)]
    assert max(octaves) < 1.15 * min(octaves)


def test_room_decays_by_60_db_in_its_reverberation_time():
    """Schroeder's backward integration, fitted between -5 and -35 dB."""
    for decay_s in (0.6, 1.5):
        response = room_response(np.random.default_rng(1), decay_s)
        left = np.cumsum(response[::-1] ** 2)[::-1]
        level_db = 10 * np.log10(left / left[0] + 1e-12)
        fit = (level_db < -5) & (level_db > -35)
        slope = np.polyfit(times(len(response))[fit], level_db[fit], 1)[0]
        assert -60 / slope == pytest.approx(decay_s, rel=0.05)


def test_far_sounds_lose_high_frequencies():
    white = np.random.default_rng(0).standard_normal(44100)
    room = np.zeros(441)
    near, far = propagate(white, 1, room, 0.0), propagate(white, 250, room, 0.0)
    assert share_between(near, 6000, 20000) > 0.6
    assert share_between(far, 6000, 20000) < 0.1
    assert 20 * np.log10(air_absorption(np.array([8000.0]), 100)[0]) == pytest.approx(-10)


def test_propagation_without_air_or_room_changes_nothing():
    waveform = np.random.default_rng(0).standard_normal(5000)
    np.testing.assert_allclose(propagate(waveform, 0, np.zeros(100), 0.0), waveform, atol=1e-5)


def test_propagation_equals_plain_convolution():
    rng = np.random.default_rng(0)
    waveform, room = rng.standard_normal(3000), room_response(rng, 0.03)
    plain = waveform + 0.5 * np.convolve(waveform, room)[:3000]
    np.testing.assert_allclose(propagate(waveform, 0, room, 0.5), plain, atol=1e-4)


@pytest.mark.parametrize(
    ("conjugated", "third", "gerund"),
    [
        (verb("bark"), "barks", "barking"),
        (verb("crash", "on the shore"), "crashes on the shore", "crashing on the shore"),
        (verb("drive", "by"), "drives by", "driving by"),
        (verb("fly", third="flies"), "flies", "flying"),
        (verb("run", gerund="running"), "runs", "running"),
    ],
)
def test_verbs_are_conjugated(conjugated, third, gerund):
    assert (conjugated.third, conjugated.gerund) == (third, gerund)
