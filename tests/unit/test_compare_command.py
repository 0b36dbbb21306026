"""`captioner compare` as its users meet it: what it prints, writes and refuses."""

import argparse
import csv
import json
import re
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from clip_tables import scored_table, sentences

from captioner.commands import compare
from captioner.errors import InputError

N = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Scores and captions of two systems: a better in SPICE by .1 and in nothing else."""
    folder = tmp_path_factory.mktemp("scores")
    flat = sentences(2 * N + 2, 3)
    candidates, references = flat[:N], [[caption] for caption in flat[N + 2 :]]
    for name, shift in (("a", 0.1), ("b", 0.0)):
        (folder / name).mkdir()
        table = scored_table(candidates, references, shift=shift)
        pq.write_table(table, folder / name / "evaluation.parquet")
        (folder / name / "evaluation.json").write_text("{}")
        with (folder / f"{name}.csv").open("w", newline="") as file:
            rows = [[f"clip {i}.wav", f"{c}, says {name}"] for i, c in enumerate(candidates)]
            csv.writer(file).writerows([["file_name", "caption_predicted"], *rows])
    return folder


def run(*words):
    parser = argparse.ArgumentParser()
    compare.add(parser.add_subparsers())
    arguments = parser.parse_args(["compare", *map(str, words)])
    return arguments.run(arguments)


def test_prints_differences_in_words(folder, capsys):
    files = [folder / "a" / "evaluation.json", folder / "b"]
    assert run(*files, "--resamples", 99) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"A: {files[0]}\nB: {files[1]}\n20 clips, 99 resamples\n")
    assert re.search(
        r"^spice +\S+ +\S+  A is better than B by \.1000, 95 % interval \.1000 to \.1000, "
        r"p = \.01: unlikely to be chance\.$",
        printed,
        re.MULTILINE,
    )
    assert re.search(r"^spider .* by \.0500, ", printed, re.MULTILINE)
    assert printed.count("A and B are equal.") == 7
    assert len(re.findall(r"\.wav: A \S+, B ", printed)) == 5  # clips that moved most, one way only
    assert "A gained most, by spider:" in printed
    assert "B gained most" not in printed


def test_shows_the_captions_of_clips_that_moved(folder, capsys):
    captions = ["--captions-a", folder / "a.csv", "--captions-b", folder / "b.csv"]
    assert run(folder / "a", folder / "b", *captions, "--metric", "spice", "--clips", 2) == 0
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("A gained most, by spice:")
    shown = lines[start + 1 :]
    assert len(shown) == 6
    for clip, of_a, of_b in (shown[:3], shown[3:]):
        assert re.fullmatch(r"  clip \d+\.wav: A \.\d{4}, B \.\d{4}", clip)
        assert of_a.startswith("    A: ")
        assert of_a.endswith("says a")
        assert of_b.endswith("says b")
    assert "spider" not in "".join(lines)


def test_writes_json(folder, tmp_path, capsys):
    out = tmp_path / "comparison.json"
    words = ["--resamples", 99, "--seed", 4, "--captions-a", folder / "a.csv", "--out", out]
    assert run(folder / "b", folder / "a", *words) == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    assert {k: found[k] for k in ("n_clips", "resamples", "seed", "confidence")} == {
        "n_clips": 20,
        "resamples": 99,
        "seed": 4,
        "confidence": 0.95,
    }
    assert "CIDEr's idf is kept from the full set" in found["method"]
    spice = found["metrics"]["spice"]
    assert spice["difference"] == pytest.approx(-0.1)
    assert spice["interval"] == pytest.approx([-0.1, -0.1])
    assert spice["p"] == pytest.approx(0.01)
    assert spice["words"].startswith("B is better than A by .1000")
    assert found["moved"]["metric"] == "spider"
    assert found["moved"]["a_gained"] == []
    assert [set(clip) for clip in found["moved"]["b_gained"]] == [
        {"file_name", "a", "b", "caption_a"}
    ] * 5


def test_nothing_but_the_differences(folder, capsys):
    assert run(folder / "a", folder / "b", "--clips", 0, "--resamples", 9) == 0
    assert "gained" not in capsys.readouterr().out


def test_refuses_what_it_cannot_compare(folder, tmp_path):
    with pytest.raises(InputError, match="found the metric clarity, expected some of bleu_1"):
        run(folder / "a", folder / "b", "--metric", "clarity")
    with pytest.raises(InputError, match="no such file"):
        run(folder / "a", folder / "c.parquet")
    (tmp_path / "few.csv").write_text("file_name,caption_predicted\nother.wav,a dog\n")
    with pytest.raises(InputError, match=r"few\.csv: found no caption of 'clip"):
        run(folder / "a", folder / "b", "--captions-b", tmp_path / "few.csv")


@pytest.mark.parametrize("words", [["--resamples", "0"], ["--seed", "-1"], ["--clips", "-2"], []])
def test_wrong_arguments_end_with_code_2(folder, words, capsys):
    files = [folder / "a", folder / "b"] if words else []
    with pytest.raises(SystemExit) as ended:
        run(*files, *words)
    assert ended.value.code == 2


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit):
        run("--help")
    assert "Example: captioner compare" in " ".join(capsys.readouterr().out.split())


def test_a_start_without_arrays():
    """The parser alone loads neither numpy nor pyarrow: `captioner --help` stays quick."""
    code = (
        "import sys, captioner.commands.compare; "
        "sys.exit(bool({'numpy', 'pyarrow', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
