import csv
import runpy
from types import SimpleNamespace

import pytest

from captioner import cli
from captioner.commands import split
from captioner.corpus.folder import folder_splits
from captioner.corpus.readers.captions import read_captions_csv
from captioner.corpus.splitting.hold_out import hold_out
from captioner.corpus.splitting.stratify import stratified_split
from captioner.errors import InputError

SOUNDS = ["rain", "wind", "a dog", "a bell", "traffic", "birds", "a door", "steps"]
ROWS = [
    [f"clip {n}, (ü) 1.2.wav", f"{SOUNDS[n % 8].capitalize()} is heard.", f'so "{SOUNDS[n // 8]}"']
    for n in range(64)
]


@pytest.fixture
def captions(tmp_path):
    with (tmp_path / "my captions.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["file_name", "caption_1", "caption_2"], *ROWS])
    return tmp_path / "my captions.csv"


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(cli, "COMMANDS", (split,))
    return lambda *arguments: cli.main(["split", *map(str, arguments)])


def test_the_csv_it_writes_is_a_folder_corpus(captions, tmp_path, run, capsys):
    assert run(captions, "--out", tmp_path / "split.csv") == 0
    rows = read_captions_csv(tmp_path / "split.csv", 2, split_column=True)
    assert [[row.file_name, *row.captions] for row in rows] == ROWS
    settings = {"captions": str(tmp_path / "split.csv"), "audio": "x", "n_captions": None}
    by_name = {row.file_name: row.captions for row in rows}
    shares = {"development": 0.7, "validation": 0.15, "evaluation": 0.15}
    assert folder_splits(settings) == stratified_split(by_name, shares, seed=0)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "64 clips, 12 words"
    assert told[3].split()[:4] == ["development", "44", "68.8", "%"]
    assert any(line.split()[-2] == "0" for line in told if "development lacks" in line)


def test_shares_seed_and_picture(captions, tmp_path, run):
    def splits(*options):
        assert run(captions, "--out", tmp_path / "o.csv", *options) == 0
        rows = read_captions_csv(tmp_path / "o.csv", 2, split_column=True)
        return [row.split for row in rows]

    found = splits("--validation", 0, "--evaluation", 0.25, "--plot", tmp_path / "w.png")
    assert (tmp_path / "w.png").read_bytes().startswith(b"\x89PNG")
    assert (found.count("development"), found.count("evaluation")) == (48, 16)
    assert splits("--validation", 0, "--evaluation", 0.25) == found
    assert splits("--validation", 0, "--evaluation", 0.25, "--seed", 1) != found


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--validation", "0.6", "--evaluation", "0.4"], "Held out are validation 0.6"),
        (["--validation", "-0.1"], "expected numbers above 0 that sum to 1"),
        (["--plot", "w.txt"], "expected a picture's name"),
    ],
)
def test_options_that_cannot_be(captions, tmp_path, run, capsys, options, told):
    assert run(captions, "--out", tmp_path / "o.csv", *options) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "o.csv").exists()


def test_the_captions_are_not_overwritten(captions, run, capsys):
    before = captions.read_bytes()
    assert run(captions, "--out", captions.parent / "." / captions.name) == 2
    assert "found it among what is read" in capsys.readouterr().err
    assert captions.read_bytes() == before


def test_captions_that_cannot_be_read(captions, tmp_path, run, capsys):
    assert run(tmp_path / "none.csv", "--out", tmp_path / "o.csv") == 2
    assert "none.csv is missing" in capsys.readouterr().err
    assert run(captions, "--out", tmp_path / "split.csv") == 0
    assert run(tmp_path / "split.csv", "--out", tmp_path / "o.csv") == 2  # it is split already
    assert "the header is file_name, split, caption_1" in capsys.readouterr().err


def test_hold_out_writes_what_readers_read(captions, tmp_path, repository, caplog):
    ours, at_random = hold_out(captions, tmp_path / "s.csv", {"validation": 0.25}, seed=3)
    rows = read_captions_csv(tmp_path / "s.csv", 0, split_column=True)
    assert [row.file_name for row in rows] == sorted(row[0] for row in ROWS)
    assert ours.sizes == at_random.sizes == {"development": 48, "validation": 16}
    script = runpy.run_path(str(repository / "workflow/scripts/hold_out_split.py"))
    job = SimpleNamespace(
        log=[str(tmp_path / "log")],
        params=SimpleNamespace(hold_out={"shares": {"validation": 0.25}, "seed": 3}),
        input=SimpleNamespace(captions=captions),
        output=SimpleNamespace(splits=tmp_path / "out/development.csv"),
    )
    script["main"].__globals__["start_logging"] = lambda path: None
    with caplog.at_level("INFO"):
        script["main"](job)
    made = (tmp_path / "out/development.csv").read_bytes()
    assert made == (tmp_path / "s.csv").read_bytes()
    assert "64 clips, 12 words" in caplog.text


def test_hold_out_with_nothing_left(captions, tmp_path):
    with pytest.raises(InputError, match="development is what they leave"):
        hold_out(captions, tmp_path / "s.csv", {"validation": 1.0}, seed=0)
    assert not (tmp_path / "s.csv").exists()
