"""Captions: their form, their truth, their words."""

import itertools
import re

import numpy as np
import pytest

from captioner.corpus.synthetic.grammar import (
    ALONE,
    DISTANCE,
    INDOORS,
    LEVEL,
    LEVEL_OF_SOUND,
    ONCE,
    PACE,
    REPEATEDLY,
    STEADILY,
    draw_captions,
    words,
)
from captioner.corpus.synthetic.plans import Settings, development_words, plan_clip
from captioner.corpus.synthetic.soundscape import Part, Scene, draw_scene
from captioner.corpus.synthetic.source import Manner
from captioner.corpus.synthetic.sources import SOURCES


def scenes(n, seed=0):
    rng = np.random.default_rng(seed)
    names = itertools.islice(itertools.cycle(SOURCES), n)
    return [(draw_scene(rng, name), rng) for name in names]


def says(caption, phrases):
    return any(re.search(rf"\b{phrase}\b", caption) for phrase in phrases)


def test_five_different_captions_of_8_to_20_words_in_the_published_style():
    for scene, rng in scenes(340):
        captions = draw_captions(scene, rng)
        assert captions is not None, scene
        assert len(captions) == 5
        assert len({" ".join(words(caption)) for caption in captions}) == 5
        for caption in captions:
            assert 8 <= len(words(caption)) <= 20, caption
            assert re.fullmatch(r"[A-Z][a-z]*(,? [a-z]+)*\.", caption), caption


def test_attributes_are_said_only_where_they_hold():
    said = set()
    for scene, rng in scenes(680):
        levels = {part.level for part in scene.parts}
        paces = {part.manner.pace for part in scene.parts}
        distances = {part.distance for part in scene.parts}
        holds = {
            "loud": ("loud" in levels, LEVEL["loud"] + LEVEL_OF_SOUND["loud"]),
            "soft": ("soft" in levels, LEVEL["soft"] + ("soft", "faint")),
            "slow": ("slow" in paces, PACE["slow"]),
            "fast": ("fast" in paces, PACE["fast"]),
            "near": ("near" in distances, (*DISTANCE["near"], "nearby")),
            "far": ("far" in distances, (*DISTANCE["far"], "distant")),
            "once": (any(part.manner.once for part in scene.parts), ONCE),
            "repeatedly": (
                any(part.source.repeats and not part.manner.once for part in scene.parts),
                REPEATEDLY,
            ),
            "steadily": (any(part.source.steady for part in scene.parts), STEADILY),
            "indoors": (scene.indoors, INDOORS),
            "alone": (scene.relation == "alone", ALONE),
            "background": (scene.relation == "front", ("background", "quieter", "in front of")),
        }
        for caption in draw_captions(scene, rng):
            for attribute, (hold, phrases) in holds.items():
                if says(caption, phrases):
                    assert hold, (attribute, caption, scene)
                    said.add(attribute)
    assert said == set(holds)  # each was met, so each could have failed


def test_order_of_two_sources_is_said():
    scene = Scene((Part(SOURCES["thunder"]), Part(SOURCES["siren"])), "after")
    forms = set()
    for seed in range(12):
        for caption in draw_captions(scene, np.random.default_rng(seed)):
            thunder, siren = caption.lower().index("thunder"), caption.lower().index("siren")
            backwards = " after " in caption and not caption.startswith("After")
            assert (siren < thunder) == backwards, caption
            assert says(caption.lower(), ("then", "before", "followed", "after", "afterwards"))
            forms.add(backwards)
    assert forms == {True, False}


@pytest.mark.parametrize("name", SOURCES)
def test_verbs_agree_with_their_subjects(name):
    source = SOURCES[name]
    scene = Scene((Part(source, Manner()),))
    singular = [re.escape(noun.text) for noun in source.nouns if not noun.plural]
    plural = [re.escape(noun.text) for noun in source.nouns if noun.plural]
    third = [verb.third.split()[0] for verb in source.verbs]
    base = [verb.plural.split()[0] for verb in source.verbs]
    for seed in range(8):
        for caption in draw_captions(scene, np.random.default_rng(seed)):
            text = caption.lower()
            assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text), caption
            for noun in singular:
                whole = rf"(^|, )((a|an|the) )?{noun}"
                assert not re.search(rf"{whole} ({'|'.join([*base, 'are'])})\b", text), caption
            for noun in plural:
                assert not re.search(rf"(?<!of )\b{noun} ({'|'.join([*third, 'is'])})\b", text), (
                    caption
                )


def test_known_words_are_kept_to():
    rng = np.random.default_rng(0)
    scene = Scene((Part(SOURCES["dog"]), Part(SOURCES["rain"])), "during")
    assert draw_captions(scene, rng, frozenset({"a", "dog", "barks"})) is None
    known = frozenset(
        word for _ in range(20) for c in draw_captions(scene, rng) for word in words(c)
    )
    known -= {"hound"}
    captions = draw_captions(scene, rng, known)
    assert all(known.issuperset(words(caption)) for caption in captions)


@pytest.mark.parametrize("n_development", [1, 3, 40, 200])
def test_evaluation_and_validation_words_occur_in_development(n_development):
    settings = Settings(5, n_development, (4.0, 8.0))
    known = frozenset(development_words(settings))
    for split in ("validation", "evaluation"):
        plans = [plan_clip(settings, split, index, known) for index in range(20)]
        for plan in plans:
            assert len(set(plan.captions)) == 5
            assert known.issuperset(word for c in plan.captions for word in words(c))


def test_evaluation_has_scenes_of_its_own():
    settings = Settings(5, 200, (4.0, 8.0))
    known = frozenset(development_words(settings))
    scenes_heard = {plan_clip(settings, "development", index).scene for index in range(200)}
    own = [plan_clip(settings, "evaluation", index, known).scene for index in range(60)]
    assert sum(scene in scenes_heard for scene in own) < 12  # single sources may coincide


def test_every_source_comes_once_before_any_comes_again():
    settings = Settings(5, 2 * len(SOURCES), (4.0, 8.0))
    heard = [
        {part.source.name for part in plan_clip(settings, "development", index).scene.parts}
        for index in range(len(SOURCES))
    ]
    assert set().union(*heard) == set(SOURCES)
