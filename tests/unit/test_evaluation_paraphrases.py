"""The part of METEOR's paraphrase table that captions need: as good as the whole."""

import gzip
import json
import logging
import os

import numpy as np
import pytest

from captioner.evaluation import meteor
from captioner.evaluation.java import SPICE_JARS, java_command
from captioner.evaluation.paraphrases import (
    ParaphraseTable,
    _letters,
    _present,
    open_table,
    write_relevant,
)
from captioner.evaluation.process import JavaProcess

ENTRIES = [
    ("a lot of", "many"),
    ("dog", "hound"),
    ("dog", "the dog"),
    ("car", "automobile"),
    ("co-worker", "colleague"),
    ("p m", "evening"),
    ("the hound", "dog"),
    ("café", "bar"),
]


@pytest.fixture
def table_file(tmp_path):
    path = tmp_path / "table.gz"
    text = "".join(f"0.{number}\n{a}\n{b} \n" for number, (a, b) in enumerate(ENTRIES))
    path.write_bytes(gzip.compress(text.encode()))
    return path


def relevant(table_file, tmp_path, captions):
    table = open_table(table_file, tmp_path)
    n_entries = write_relevant(table, captions, tmp_path / "relevant.gz")
    lines = gzip.decompress((tmp_path / "relevant.gz").read_bytes()).decode().splitlines()
    found = list(zip(lines[1::3], lines[2::3], strict=True))
    assert len(found) == n_entries
    return found


@pytest.mark.parametrize(
    ("captions", "expected"),
    [
        (["a dog", "one hound"], [("dog", "hound")]),
        (["the dog", "the hound"], [("dog", "hound"), ("dog", "the dog"), ("the hound", "dog")]),
        (["a lot & of dogs", "many"], [("a lot of", "many")]),  # METEOR drops the "&"
        (["a lot", "of many dogs"], []),  # no phrase spans two captions
        (["many", "a lot of dogs"], [("a lot of", "many")]),
        (["my co-worker", "a colleague"], [("co-worker", "colleague")]),
        (["at 5 p.m.", "in the evening"], [("p m", "evening")]),  # METEOR parts the token
        (["café", "bar"], [("café", "bar")]),
        (["car"], []),
        ([""], []),
    ],
)  # fmt: skip
def test_entries_whose_phrases_stand_in_captions(table_file, tmp_path, captions, expected):
    assert relevant(table_file, tmp_path, captions) == expected


def test_the_table_is_kept_and_made_again_if_damaged(table_file, tmp_path, caplog):
    first = open_table(table_file, tmp_path)
    (kept,) = tmp_path.glob("meteor-paraphrases-*.npz")
    before = kept.stat().st_mtime_ns
    again = open_table(table_file, tmp_path)
    assert kept.stat().st_mtime_ns == before
    assert again.words() == first.words()
    assert np.array_equal(again.entries, first.entries)
    kept.write_bytes(kept.read_bytes()[:100])
    assert np.array_equal(open_table(table_file, tmp_path).word_ids, first.word_ids)
    assert "is damaged" in caplog.text
    assert kept.stat().st_size > 100


def test_a_folder_that_cannot_be_written(table_file, tmp_path, caplog):
    """A file stands where the folder should be."""
    caplog.set_level(logging.WARNING)
    table = open_table(table_file, table_file)
    assert isinstance(table, ParaphraseTable)
    assert "cannot be written" in caplog.text


def test_meteor_sees_no_word_that_is_left_out(repository, tmp_path):
    """METEOR's own normalisation of odd and plain tokens gives words that `_present` allows."""
    jars = [repository / "resources" / "java" / jar.file_name for jar in SPICE_JARS]
    if not all(jar.is_file() for jar in jars):
        pytest.skip("the JavaScript engine is not in resources/java")
    captions = [
        "a dog 's bark it 's loud isn't it 5 p.m. the end",
        "dog's 10th u.s. 3.5 1,000 e.g. walkie-talkie rock'n'roll n't can't cannot gonna",
        r"back\slash \n and \u0041 / slash % 100 $ 5 # & <b> tag </b> a&amp;b &quot;x&quot;",
        "naïve café über 中文 ρ 🎵 bird’s ‘quoted’ “double” – — … don`t",
        "a.b a...b x,y,z @home foo_bar (x) [y] {z} ~ ^ | a|b ||| 1/2 +3 = 4 * 5 mr. st. no. 3",
        "".join(chr(code) for code in range(33, 127)),
    ]
    script = """
    var captions = %s;
    var normalise = Packages.edu.cmu.meteor.util.Normalizer.normalizeLine;
    var out = new java.io.PrintStream(java.lang.System.out, true, "UTF-8");
    captions.forEach(function (c) { out.println(String(normalise(c, 0, false))); });
    """ % json.dumps(captions)  # noqa: UP031
    (tmp_path / "normalise.js").write_text(script, encoding="utf-8")
    class_path = os.pathsep.join(map(str, [*jars, meteor.JAR]))
    command = [*java_command(512, "-cp", class_path), "org.mozilla.javascript.tools.shell.Main"]
    process = JavaProcess("METEOR", [*command, "normalise.js"], tmp_path, 60)
    with process:
        lines = process.finish().splitlines()
    assert len(lines) == len(captions)
    for caption, line in zip(captions, lines, strict=True):
        words = line.lower().split()
        assert len(words) > 1
        sure, possible = _present(words, [caption])
        assert [w for w, allowed in zip(words, sure | possible, strict=True) if not allowed] == []
    assert "dog" in lines[0].split()
    assert _letters("p.m.") == "pm"


def test_plain_captions_are_left_as_they_are_by_meteor():
    """So that n-grams of their tokens are METEOR's n-grams."""
    sure, possible = _present(["dog", "do", "hound", "..."], ["a dog", "barks"])
    assert sure.tolist() == [True, False, False, False]
    assert possible.tolist() == [False, False, False, True]
