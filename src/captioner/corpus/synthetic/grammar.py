"""Captions of a scene: sentence forms, synonyms, attributes; only what holds is said."""

from collections.abc import Callable
from dataclasses import dataclass

from captioner.corpus.synthetic.dsp import Rng
from captioner.corpus.synthetic.soundscape import Part, Scene
from captioner.corpus.synthetic.source import Verb
from captioner.text.normalisation import tokenize

N_CAPTIONS = 5
MIN_WORDS, MAX_WORDS = 8, 20  # Clotho's bounds
ATTEMPTS = 60  # sentences drawn for the captions of one scene

LEVEL = {"loud": ("loudly", "very loudly"), "soft": ("softly", "quietly", "very quietly")}
LEVEL_OF_SOUND = {"loud": ("loud", "very loud"), "soft": ("soft", "quiet", "faint")}
PACE = {
    "slow": ("slowly", "at a slow pace"),
    "fast": ("quickly", "rapidly", "at a fast pace"),
}
ONCE = ("once", "only once", "a single time")
REPEATEDLY = ("repeatedly", "again and again", "over and over", "several times")
STEADILY = ("continuously", "constantly", "the whole time", "without stopping")
DISTANCE = {
    "near": ("nearby", "close by", "very close"),
    "far": ("in the distance", "far away", "from a distance"),
}
DISTANCE_OF_NOUN = {"near": "nearby", "far": "distant"}
INDOORS = (
    "in a large room",
    "inside a large hall",
    "in an echoing room",
    "in an echoing hall",
    "indoors with an echo",
)
HEARD = ("is heard", "can be heard", "is audible")
ALONE = (
    "and nothing else is heard",
    "and no other sound is heard",
    "while everything else is quiet",
    "and there are no other sounds",
)


def words(caption: str) -> list[str]:
    """Split a caption into words by the task page's rule."""
    return tokenize(caption, "task")


def draw_captions(
    scene: Scene, rng: Rng, known: frozenset[str] | None = None
) -> tuple[str, ...] | None:
    """Draw five different captions of 8 to 20 words; None where `known` words do not suffice.

    known: the words that may be used; None: all.
    """
    forms = FORMS[scene.relation]
    captions: dict[str, None] = {}  # a set that keeps the order
    order = rng.permutation(len(forms))
    for attempt in range(ATTEMPTS):
        caption = _sentence(forms[order[attempt % len(forms)]](scene, rng))
        found = words(caption)
        if MIN_WORDS <= len(found) <= MAX_WORDS and (known is None or known.issuperset(found)):
            captions[caption] = None
        if len(captions) == N_CAPTIONS:
            return tuple(captions)
    return None


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _pick(rng: Rng, choices: tuple[str, ...]) -> str:
    return choices[rng.integers(len(choices))]


@dataclass(frozen=True)
class Clause:
    """A subject, its verb and adverbs, in the forms that sentences need."""

    subject: str
    plural: bool
    definite: bool
    verb: Verb
    adverbs: str  # "" or with a leading space
    sound: str  # "loud sound"

    @property
    def finite(self) -> str:
        """Give "a dog barks loudly"."""
        return (
            f"{self.subject} {self.verb.plural if self.plural else self.verb.third}{self.adverbs}"
        )

    @property
    def reduced(self) -> str:
        """Give "a dog barking loudly"."""
        return f"{self.subject} {self.verb.gerund}{self.adverbs}"

    @property
    def being(self) -> str:
        """Give "is" or "are", agreeing with the subject."""
        return "are" if self.plural else "is"


def _clause(
    part: Part, rng: Rng, *, lasting: bool = False, level_as_adjective: bool = False
) -> Clause:
    """Put a part into words; each attribute is named four times in five.

    `lasting`: the source sounds all through the clip. `level_as_adjective`: loud or soft is said
    of the clause's `sound`, not in its adverbs.
    """
    noun = part.source.nouns[rng.integers(len(part.source.nouns))]
    verb = part.source.verbs[rng.integers(len(part.source.verbs))]
    adjective, adverbs, sound = "", [], "sound"
    if part.level and level_as_adjective:
        sound = f"{_pick(rng, LEVEL_OF_SOUND[part.level])} sound"
    elif part.level and rng.uniform() < 0.8:
        adverbs.append(_pick(rng, LEVEL[part.level]))
    if part.manner.pace and rng.uniform() < 0.8:
        pace = _pick(rng, PACE[part.manner.pace])
        adverbs.append(f"and {pace}" if adverbs else pace)
    if part.source.repeats and rng.uniform() < 0.8:
        adverbs.append(_pick(rng, ONCE if part.manner.once else REPEATEDLY))
    if lasting and part.source.steady and rng.uniform() < 0.4:
        adverbs.append(_pick(rng, STEADILY))
    if part.distance and rng.uniform() < 0.8:
        if noun.text != "someone" and rng.uniform() < 0.4:
            adjective = DISTANCE_OF_NOUN[part.distance]
        else:
            adverbs.append(_pick(rng, DISTANCE[part.distance]))
    phrase = f"{adjective} {noun.text}".strip()
    article = noun.article
    if article == "a":
        article = "an" if phrase[0] in "aeiou" else "a"
    return Clause(
        subject=f"{article} {phrase}".strip(),
        plural=noun.plural,
        definite=article == "the",
        verb=verb,
        adverbs="".join(f" {adverb}" for adverb in adverbs),
        sound=sound,
    )


def _place(scene: Scene, rng: Rng) -> str:
    return f" {_pick(rng, INDOORS)}" if scene.indoors and rng.uniform() < 0.8 else ""


def _completed(text: str, rng: Rng) -> str:
    """Add to a short sentence on a single source that nothing else is heard."""
    return text if len(words(text)) >= MIN_WORDS else f"{text} {_pick(rng, ALONE)}"


Form = Callable[[Scene, Rng], str]


def _alone_forms() -> tuple[Form, ...]:
    def active(scene: Scene, rng: Rng) -> str:
        clause = _clause(scene.parts[0], rng, lasting=True)
        return _completed(clause.finite + _place(scene, rng), rng)

    def progressive(scene: Scene, rng: Rng) -> str:
        clause = _clause(scene.parts[0], rng, lasting=True)
        text = f"{clause.subject} {clause.being} {clause.verb.gerund}{clause.adverbs}"
        return _completed(text + _place(scene, rng), rng)

    def existential(scene: Scene, rng: Rng) -> str:
        clause = _clause(scene.parts[0], rng, lasting=True)
        opening = "one can hear" if clause.definite else f"there {clause.being}"
        return _completed(f"{opening} {clause.reduced}{_place(scene, rng)}", rng)

    def heard(scene: Scene, rng: Rng) -> str:
        clause = _clause(scene.parts[0], rng, lasting=True)
        text = f"{clause.subject} {clause.being} heard {clause.verb.gerund}{clause.adverbs}"
        return _completed(text + _place(scene, rng), rng)

    def sound(scene: Scene, rng: Rng) -> str:
        clause = _clause(scene.parts[0], rng, lasting=True, level_as_adjective=True)
        text = f"the {clause.sound} of {clause.reduced} {_pick(rng, HEARD)}"
        return _completed(text + _place(scene, rng), rng)

    def fronted(scene: Scene, rng: Rng) -> str:
        clause = _clause(scene.parts[0], rng, lasting=True)
        opening = _pick(rng, INDOORS) if scene.indoors else "in this recording"
        return _completed(f"{opening}, {clause.finite}", rng)

    return active, progressive, existential, heard, sound, fronted


def _after_forms() -> tuple[Form, ...]:
    def joined(pattern: str) -> Form:
        def form(scene: Scene, rng: Rng) -> str:
            first, second = (_clause(part, rng) for part in scene.parts)
            return pattern.format(first=first, second=second) + _place(scene, rng)

        return form

    return (
        joined("{first.finite} and then {second.finite}"),
        joined("{first.finite} before {second.finite}"),
        joined("{first.finite}, followed by {second.reduced}"),
        joined("after {first.finite}, {second.finite}"),
        joined("first {first.finite}, then {second.finite}"),
        joined("{second.finite} after {first.finite}"),
        joined("the sound of {first.reduced} is followed by {second.reduced}"),
        joined("{first.finite} and afterwards {second.finite}"),
    )


def _during_forms() -> tuple[Form, ...]:
    def joined(pattern: str) -> Form:
        def form(scene: Scene, rng: Rng) -> str:
            lasting = _clause(scene.parts[0], rng, lasting=True)
            within = _clause(scene.parts[1], rng)
            return pattern.format(lasting=lasting, within=within) + _place(scene, rng)

        return form

    return (
        joined("while {lasting.finite}, {within.finite}"),
        joined("{within.finite} while {lasting.finite}"),
        joined("{lasting.finite} as {within.finite}"),
        joined("{lasting.finite} and in the middle {within.finite}"),
        joined(
            "{lasting.subject} {lasting.being} heard {lasting.verb.gerund}{lasting.adverbs}"
            " while {within.finite}"
        ),
        joined("during the sound of {lasting.reduced}, {within.finite}"),
        joined(
            "{lasting.finite} while {within.subject} {within.being}"
            " {within.verb.gerund}{within.adverbs}"
        ),
    )


def _front_forms() -> tuple[Form, ...]:
    def joined(pattern: str) -> Form:
        def form(scene: Scene, rng: Rng) -> str:
            front = _clause(scene.parts[0], rng, lasting=True)
            back = _clause(scene.parts[1], rng)
            return pattern.format(front=front, back=back) + _place(scene, rng)

        return form

    return (
        joined("{front.finite} while {back.finite} in the background"),
        joined("{front.finite} with {back.reduced} in the background"),
        joined("in the background {back.finite} while {front.finite}"),
        joined("{front.finite} over the quieter sound of {back.reduced}"),
        joined("{front.finite} in front of the sound of {back.reduced}"),
        joined(
            "{front.subject} {front.being} {front.verb.gerund}{front.adverbs} and"
            " {back.subject} {back.being} {back.verb.gerund}{back.adverbs} in the background"
        ),
    )


FORMS: dict[str, tuple[Form, ...]] = {
    "alone": _alone_forms(),
    "after": _after_forms(),
    "during": _during_forms(),
    "front": _front_forms(),
}
