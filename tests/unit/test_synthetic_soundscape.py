"""Scenes and their sound: attributes are heard, nothing clips, nothing is silent."""

from collections import Counter

import numpy as np
import pytest

from captioner.corpus.synthetic import pictures
from captioner.corpus.synthetic.dsp import SAMPLE_RATE_HZ, to_samples
from captioner.corpus.synthetic.soundscape import (
    PEAK,
    Part,
    Scene,
    draw_scene,
    loudness,
    render_scene,
    to_int16,
)
from captioner.corpus.synthetic.source import Manner
from captioner.corpus.synthetic.sources import SOURCES

N = to_samples(4.0)


def render(*parts, relation="alone", indoors=False, seed=0):
    scene = Scene(tuple(parts), relation, indoors)
    return render_scene(scene, np.random.default_rng(seed), N)


def energy_above(waveform, limit_hz):
    power = np.abs(np.fft.rfft(waveform)) ** 2
    frequency = np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE_HZ)
    return power[frequency > limit_hz].sum() / power.sum()


def decibels(first, second):
    return 20 * np.log10(loudness(first) / loudness(second))


def test_scenes_hold_the_source_asked_for_and_every_relation_occurs():
    rng = np.random.default_rng(0)
    relations = Counter()
    for name in list(SOURCES) * 12:
        scene = draw_scene(rng, name)
        relations[scene.relation] += 1
        names = [part.source.name for part in scene.parts]
        assert name in names
        assert len(set(names)) == (1 if scene.relation == "alone" else 2)
        for part in scene.parts:
            assert part.source.paced or part.manner.pace is None
            assert part.source.repeats or not part.manner.once
            assert not (part.level and part.distance)
            assert part.source.indoors or not scene.indoors
            assert not (scene.indoors and part.distance == "far")
        if scene.relation == "during":
            assert [part.source.steady for part in scene.parts] == [True, False]
            attributes = {x for part in scene.parts for x in (part.level, part.distance)}
            assert not (attributes & {"loud", "near"} and attributes & {"soft", "far"})
        if scene.relation == "front":
            front, back = scene.parts
            assert back.source.steady
            assert (back.level, back.distance) == (None, None)
            assert front.level != "soft"
            assert front.distance != "far"
    assert min(relations[relation] for relation in ("alone", "after", "during", "front")) > 40


@pytest.mark.parametrize("name", SOURCES)
def test_no_clipping_no_silence(name):
    parts = [Part(SOURCES[name], level="loud"), Part(SOURCES[name], distance="near")]
    for part in parts:
        samples = to_int16(render(part))
        assert np.abs(samples.astype(int)).max() <= round(PEAK * 32767)
        frames = samples.reshape(-1, N // 40)
        assert (frames.std(axis=1) > 3).all()  # the recorder's own noise, at least


@pytest.mark.parametrize("name", SOURCES)
def test_loud_is_louder_than_soft(name):
    loud, plain, soft = (render(Part(SOURCES[name], level=x)) for x in ("loud", None, "soft"))
    assert decibels(loud, plain) > 6  # 10, less what the highest peaks have to come down
    assert decibels(plain, soft) == pytest.approx(14, abs=1.5)


@pytest.mark.parametrize("name", ["rain", "applause", "fire", "static", "footsteps_gravel"])
def test_far_is_weaker_and_duller_than_near(name):
    near, far = (render(Part(SOURCES[name], distance=x)) for x in ("near", "far"))
    assert decibels(near, far) > 12
    assert energy_above(far, 8000) < 0.5 * energy_above(near, 8000)


def test_a_room_goes_on_after_the_sound():
    knock = Part(SOURCES["knocking"], Manner(once=True))
    tails = []
    for clip in (render(knock), render(knock, indoors=True)):
        end = int(np.argmax(np.abs(clip))) + to_samples(0.6)  # 0.55 s are the event itself
        tails.append(clip[end : end + to_samples(0.3)].std() / np.abs(clip).max())
    assert tails[1] > 3 * tails[0]


def test_after_is_one_then_the_other():
    clip = render(Part(SOURCES["hum"]), Part(SOURCES["static"]), relation="after")
    assert energy_above(clip[: N // 3], 2000) < 0.02
    assert energy_above(clip[-N // 3 :], 2000) > 0.3


def test_during_starts_later_and_ends_earlier():
    clip = render(Part(SOURCES["hum"]), Part(SOURCES["alarm"]), relation="during")
    shares = [energy_above(part, 2000) for part in np.split(clip[: N // 10 * 10], 10)]
    assert max(shares[:2] + shares[-1:]) < 0.05
    assert max(shares[4:7]) > 0.2


def test_background_is_below_the_foreground():
    rain, hum = Part(SOURCES["rain"]), Part(SOURCES["hum"])
    hum_in_front = render(hum, rain, relation="front")
    rain_in_front = render(rain, hum, relation="front")
    assert energy_above(hum_in_front, 1000) < 0.1
    assert energy_above(rain_in_front, 1000) > 0.6


def test_same_generator_same_sound():
    np.testing.assert_array_equal(render(Part(SOURCES["fire"])), render(Part(SOURCES["fire"])))
    assert not np.array_equal(render(Part(SOURCES["fire"])), render(Part(SOURCES["fire"]), seed=1))


def test_picture_of_the_sources(tmp_path, monkeypatch):
    few = {name: SOURCES[name] for name in ("rain", "bell", "wind", "dog", "door", "hum")}
    monkeypatch.setattr(pictures, "SOURCES", few)
    path = tmp_path / "all sources [synthetic].png"
    pictures.draw_sources(path, duration_s=1.0)
    assert path.read_bytes().startswith(b"\x89PNG")
