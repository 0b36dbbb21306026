"""Listening sections, of given content and of any size, for the tests of data and page."""

import random
from typing import Any

from captioner.corpus.tables import Annotation, Clip
from captioner.reporting.content import ReportContent
from captioner.reporting.data import Tables
from captioner.reporting.listening import Listening, Run, read_listening

METRICS = ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "meteor", "cider", "spice", "spider"]
SENTENCE = """a the rain falls on metal roof while birds sing in distance someone walks through
leaves
and water drips into puddle car passes by quickly engine rumbles door creaks open slowly people talk
loudly crowd restaurant dishes clatter footsteps gravel wind blows hard against window"""
WORDS = SENTENCE.split()


def listening_of(content: dict[str, Any]) -> Listening:
    """Read the clips of the split evaluation, without tags."""
    typed = ReportContent.from_dict(content)
    tables = Tables.read(typed.splits["evaluation"])
    return read_listening(typed, "evaluation", tables.clips, tables.annotations, {})


def many_clips(n_clips: int, n_runs: int, generator: random.Random) -> Listening:
    """Make up clips with five references, captions and nine scores of each run, and tags."""

    def sentence() -> str:
        return " ".join(generator.choices(WORDS, k=generator.randint(8, 15)))

    names = [
        f"{' '.join(generator.choices(WORDS, k=3))} {number:04d}.wav" for number in range(n_clips)
    ]
    licences = [f"http://creativecommons.org/licenses/{kind}/3.0/" for kind in ("by", "by-nc")]
    return Listening(
        split="evaluation",
        audio="compressed",
        clips=[
            Clip(name, f"{name}", 1, round(generator.uniform(15, 30), 2), 44100, 1)
            for name in names
        ],
        annotations=[
            Annotation(
                name,
                tuple(sentence().capitalize() + "." for _ in range(5)),
                sound_id=f"freesound:{generator.randint(1, 600000)}",
                author=generator.choice(WORDS) + str(generator.randint(1, 99)),
                licence=generator.choice(licences),
            )
            for name in names
        ],
        problems={},
        runs=[
            Run(
                identifier=f"system{run}.seed1.beam3",
                label=f"A system with a name of usual length, {run}",
                trivial=run == n_runs - 1,
                first=True,
                captions=[sentence() for _ in names],
                scores={
                    metric: [round(generator.random(), 4) for _ in names] for metric in METRICS
                },
            )
            for run in range(n_runs)
        ],
        tags={
            "cnn14": [
                [(word, generator.random()) for word in generator.choices(WORDS, k=3)]
                for _ in names
            ]
        },
    )
