"""METEOR 1.5, the official jar, spoken to as `pycocoevalcap` does (`-stdio`, English, `-norm`)."""

from collections.abc import Sequence
from pathlib import Path

from pycocoevalcap.meteor import meteor

from captioner.evaluation.java import java_command
from captioner.evaluation.process import JavaProcess

JAR = Path(meteor.__file__).with_name(meteor.METEOR_JAR)
# Named, because the jar's own search for it fails where its path has a space.
PARAPHRASES = JAR.parent / "data" / "paraphrase-en.gz"
MEMORY_MB = 2048  # as official; the serial collector, no slower here, keeps it to 0.5 GB
SEPARATOR = " ||| "


def start_meteor(scratch: Path, timeout_s: float) -> JavaProcess:
    """Start METEOR: start it early, it loads its paraphrase table for some 8 s."""
    folder = scratch / "meteor"
    folder.mkdir()
    options = ["-", "-", "-stdio", "-l", "en", "-norm", "-a", str(PARAPHRASES)]
    command = [*java_command(MEMORY_MB, "-XX:+UseSerialGC", "-jar", str(JAR)), *options]
    return JavaProcess("METEOR", command, folder, timeout_s, talks=True)


def meteor_scores(
    process: JavaProcess, candidates: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[float, list[float], list[list[float]]]:
    """Return the corpus value, one per clip, and the clips' statistics.

    The corpus value is that of the summed statistics, no mean of clips. A clip's statistics are the
    numbers of METEOR's answer to SCORE, in its order: those that its EVAL takes.
    Captions are tokenised, so none holds the separator `|||`.
    """
    statistics = [
        process.ask(SEPARATOR.join(("SCORE", *of_clip, candidate.replace("  ", " "))))
        for candidate, of_clip in zip(candidates, references, strict=True)
    ]
    first = process.ask(SEPARATOR.join(("EVAL", *statistics)))
    answers = [first, *(process.read_line() for _ in statistics)]
    *per_clip, corpus = map(float, answers)
    return corpus, per_clip, [[float(number) for number in line.split()] for line in statistics]
