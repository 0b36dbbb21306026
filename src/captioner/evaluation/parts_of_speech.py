"""Lemmas and parts of speech of captions, by the CoreNLP 3.6.0 that SPICE brings along."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pycocoevalcap.spice import spice

from captioner.errors import InputError
from captioner.evaluation.java import SPICE_JARS, java_command, missing_jars
from captioner.evaluation.process import JavaProcess
from captioner.evaluation.tokenizer import LINE_BREAK

CORENLP_JARS = tuple(jar for jar in SPICE_JARS if jar.artifact == "stanford-corenlp")
LIBRARIES = Path(spice.__file__).with_name("lib")
LOGGING_JARS = ("slf4j-api-1.7.12.jar", "slf4j-simple-1.7.21.jar")  # CoreNLP does not start without
MEMORY_MB = 2048
# Numbered lines `number, word, lemma, tag, ...`, separated by tabs; a blank line ends a sentence.
_WORD, _LEMMA, _TAG = 1, 2, 3


@dataclass(frozen=True)
class Tagged:
    """A word in lower case, its lemma (`men`: `man`) and its tag of the Penn Treebank (`NNS`)."""

    word: str
    lemma: str
    tag: str


def tag_captions(
    captions: Sequence[str], scratch: Path, *, java_folder: Path, timeout_s: float = 3600
) -> list[list[Tagged]]:
    """Tag the words of captions, each as one sentence in lower case.

    Args:
        captions: any texts; one without a letter or digit has no words.
        scratch: an empty folder for the tool's files.
        java_folder: where SPICE's jars are (`captioner.evaluation.java.fetch_spice_jars`).
        timeout_s: the tool is stopped after this time.

    Raises:
        InputError: the jars are missing or the tool failed.
        ValueError: it gave another number of captions than it was given (a defect).
    """
    missing = {jar.file_name for jar in missing_jars(java_folder)}
    if lacking := [jar.file_name for jar in CORENLP_JARS if jar.file_name in missing]:
        raise InputError(
            f"Found no {', '.join(lacking)} in {java_folder}, expected CoreNLP's jars. Fetch them "
            "first (the rule fetch_java_tools, or any `captioner score`)."
        )
    spoken = [number for number, text in enumerate(captions) if any(map(str.isalnum, text))]
    tagged: list[list[Tagged]] = [[] for _ in captions]
    if not spoken:
        return tagged
    lines = [LINE_BREAK.sub(" ", captions[number]).lower() for number in spoken]
    (scratch / "captions.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    jars = [Path(java_folder).resolve() / jar.file_name for jar in CORENLP_JARS]
    command = [
        *java_command(MEMORY_MB, "-XX:+UseSerialGC", "-cp"),
        os.pathsep.join(map(str, [*jars, *(LIBRARIES / name for name in LOGGING_JARS)])),
        "edu.stanford.nlp.pipeline.StanfordCoreNLP",
        *("-annotators", "tokenize,ssplit,pos,lemma"),
        *("-ssplit.eolonly", "true"),  # a line is a sentence, whatever full stops it has
        *("-tokenize.options", "untokenizable=noneKeep"),  # else a line might have no token
        *("-file", "captions.txt", "-outputFormat", "conll", "-encoding", "UTF-8"),
    ]
    with JavaProcess("CoreNLP", command, scratch, timeout_s) as process:
        process.finish()
    text = (scratch / "captions.txt.conll").read_text(encoding="utf-8")
    sentences = [_parse(block) for block in text.strip("\n").split("\n\n")]
    for number, sentence in zip(spoken, sentences, strict=True):
        tagged[number] = sentence
    return tagged


def _parse(block: str) -> list[Tagged]:
    rows = [line.split("\t") for line in block.split("\n")]
    return [Tagged(row[_WORD], row[_LEMMA], row[_TAG]) for row in rows]
