"""`captioner check-submission`, as a person runs it."""

import json

import pytest

from captioner.cli import main
from good_package import CLIPS, METADATA, NAMES, OUTPUT, good_files, write_zip


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join('"' + name.replace('"', '""') + '"\n' for name in CLIPS)
    (tmp_path / "clips.csv").write_text(f"file_name\n{rows}", encoding="utf-8")
    return write_zip(tmp_path / "p.zip", good_files())


def test_a_good_package(package, capsys):
    assert main(["check-submission", "p.zip", "--clips", "clips.csv"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("p.zip\nNot checked:\n")
    assert told.endswith("\n0 errors, 0 warnings\n")


def test_findings_have_file_and_line_and_the_exit_code_says_so(package, capsys):
    files = {**good_files(), NAMES["output"]: OUTPUT.replace("a dog", "A dog").encode()}
    files[NAMES["metadata"]] = METADATA.replace("ensemble: No", "ensemble: 3").encode()
    write_zip(package, files)
    assert main(["check-submission", "p.zip", "--clips", "clips.csv"]) == 1
    lines = capsys.readouterr().out.splitlines()
    line = METADATA[: METADATA.index("ensemble")].count("\n") + 1
    told = "system.description.ensemble: found 3, expected Yes or No [type]"
    assert lines[1:3] == ["Errors:", f"  {NAMES['metadata']}:{line}: {told}"]
    assert lines[3] == "Warnings:"
    assert lines[4].startswith(f"  {NAMES['output']}:3: 'A dog barks twice'")
    assert lines[-1] == "1 error, 1 warning"


def test_warnings_alone_are_no_failure(package):
    write_zip(package, {**good_files(), "notes.txt": b""})
    assert main(["check-submission", "p.zip"]) == 0


def test_scores_and_models_by_index(package, tmp_path, capsys):
    (tmp_path / "s.json").write_text(json.dumps({"bleu_1": 0.5}))
    model = tmp_path / "model"
    model.mkdir()
    learned = [{"corpus": "clotho-v2", "split": "test"}]
    description = {"trained_on": learned, "frontends": {}, "settings": {}}
    (model / "model.json").write_text(json.dumps(description))
    assert main(["check-submission", "p.zip", "--scores", "2=s.json", "--model", "model"]) == 1
    told = capsys.readouterr().out
    line = METADATA[: METADATA.index("bleu1")].count("\n") + 1
    assert f"submission_2_metadata.yaml:{line}: bleu1: found 0.378, expected 0.5000" in told
    assert "submission_1_metadata.yaml: the system was trained on test" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere.zip"], "nowhere.zip: no such file"),
        (["clips.csv"], "clips.csv: found no zip"),
        (["p.zip", "--scores", "3=clips.csv"], "clips.csv: found no scores"),
        (["p.zip", "--scores", "a", "--scores", "b"], "found two files for one system"),
    ],
)
def test_bad_input_is_one_message(package, capsys, arguments, told):
    assert main(["check-submission", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["check-submission", "--help"])
    assert "Example: captioner check-submission" in capsys.readouterr().out
