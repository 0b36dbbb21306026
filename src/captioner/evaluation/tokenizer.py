"""The official tokenisation: CoreNLP's PTB tokenizer, lower case, punctuation dropped."""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from pycocoevalcap.tokenizer import ptbtokenizer

from captioner.evaluation.java import java_command
from captioner.evaluation.process import JavaProcess

JAR = Path(ptbtokenizer.__file__).with_name(ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR)
PUNCTUATION = frozenset(ptbtokenizer.PUNCTUATIONS)
MEMORY_MB = 1024
JVM_FLAGS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")  # it runs for a second
# What the tokenizer takes for the end of a line, beside "\n": a caption must stay on one.
LINE_BREAK = re.compile("\r\n|[\n\r\v\f\x85\u2028\u2029]")


def tokenize_all(
    texts: Sequence[Sequence[str]], scratch: Path, timeout_s: float
) -> list[list[str]]:
    """Tokenise lists of captions, each list by its own process, all at once.

    One process per list is the official way: the tokenizer looks ahead beyond the line (whether
    "p.m." ends a sentence), so a list must end where the official one ends.

    Returns:
        For each list, its captions as tokens joined by single spaces.

    Raises:
        InputError: the Java tool failed.
        ValueError: it printed another number of lines than it was given (a defect).
    """
    with ExitStack() as stack:
        running = [
            stack.enter_context(_start(captions, scratch / f"tokens-{number}", timeout_s))
            for number, captions in enumerate(texts)
        ]
        printed = [process.finish() for process in running]
    return [
        [_join_words(line) for line, _ in zip(text.split("\n"), captions, strict=True)]
        for text, captions in zip(printed, texts, strict=True)
    ]


def _start(captions: Sequence[str], folder: Path, timeout_s: float) -> JavaProcess:
    folder.mkdir()
    lines = [LINE_BREAK.sub(" ", caption) for caption in captions]
    (folder / "captions.txt").write_text("\n".join(lines), encoding="utf-8")
    command = [
        *java_command(MEMORY_MB, *JVM_FLAGS, "-cp", str(JAR)),
        "edu.stanford.nlp.process.PTBTokenizer",
        "-preserveLines",
        "-lowerCase",
        "captions.txt",
    ]
    return JavaProcess("PTB tokenizer", command, folder, timeout_s)


def _join_words(line: str) -> str:
    return " ".join(token for token in line.rstrip().split(" ") if token not in PUNCTUATION)
