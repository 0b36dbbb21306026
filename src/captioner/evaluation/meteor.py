"""METEOR 1.5, the official jar, spoken to as `pycocoevalcap` does (`-stdio`, English, `-norm`)."""

from collections.abc import Sequence
from pathlib import Path

from pycocoevalcap.meteor import meteor

from captioner.evaluation.java import java_command
from captioner.evaluation.paraphrases import open_table, write_relevant
from captioner.evaluation.process import Crew, JavaProcess

JAR = Path(meteor.__file__).with_name(meteor.METEOR_JAR)
PARAPHRASES = JAR.parent / "data" / "paraphrase-en.gz"
MEMORY_MB = 2048  # as official
# The second compiler does not pay in a second of work; one processor is enough for METEOR.
JVM_FLAGS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
SEPARATOR = " ||| "

MeteorScores = tuple[float, list[float], list[list[float]]]  # corpus, per clip, statistics


def meteor_scores(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    folder: Path,
    *,
    table_folder: Path,
    timeout_s: float,
    crew: Crew | None = None,
) -> MeteorScores:
    """Return the corpus value, one per clip, and the clips' statistics.

    The corpus value is that of the summed statistics, no mean of clips. A clip's statistics are the
    numbers of METEOR's answer to SCORE, in its order: those that its EVAL takes.

    Args:
        candidates: tokenised, one a clip; so none holds the separator `|||`.
        references: tokenised, one or more a clip.
        folder: an empty one, for files that are not needed afterwards.
        table_folder: where the paraphrase table is kept in numbers (`open_table`).
        timeout_s: the longest wait for an answer.
        crew: whom the Java process belongs to.

    Raises:
        InputError: METEOR failed.
    """
    captions = [*candidates, *(reference for of_clip in references for reference in of_clip)]
    write_relevant(open_table(PARAPHRASES, table_folder), captions, folder / "paraphrases.gz")
    # The table is named, because the jar's own search fails where its path has a space.
    options = ["-", "-", "-stdio", "-l", "en", "-norm", "-a", "paraphrases.gz"]
    command = [*java_command(MEMORY_MB, *JVM_FLAGS, "-jar", str(JAR)), *options]
    with JavaProcess("METEOR", command, folder, timeout_s, talks=True, crew=crew) as process:
        statistics = process.ask_many(
            [
                SEPARATOR.join(("SCORE", *of_clip, candidate.replace("  ", " ")))
                for candidate, of_clip in zip(candidates, references, strict=True)
            ]
        )
        first = process.ask(SEPARATOR.join(("EVAL", *statistics)))
        answers = [first, *(process.read_line() for _ in statistics)]
    *per_clip, corpus = map(float, answers)
    return corpus, per_clip, [[float(number) for number in line.split()] for line in statistics]
