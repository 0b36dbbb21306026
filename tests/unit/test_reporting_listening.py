"""The data of the listening section: what the tables hold, safe for a page, small, for any name."""

import csv
import json
import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

from captioner.reporting.listening import Listening, page_data
from captioner.reporting.listening import write_listening as write
from captioner.reporting.report import build_report
from listening_pages import listening_of, many_clips
from reporting_tree import HOSTILE, METRICS, ODD_NAMES, write_listening, write_tree


def read_data(folder: Path) -> dict[str, Any]:
    text = (folder / "data/clips.js").read_text(encoding="utf-8")
    start, end = '"use strict";\nconst listening = ', ";\n"
    assert text.startswith(start) and text.endswith(end)
    return json.loads(text[len(start) : -len(end)])


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    root = tmp_path_factory.mktemp("tree with spaces")
    content = write_tree(root / "results")
    build_report({**content, "benchmarks": {}}, root / "report")
    return content, root / "report"


@pytest.fixture(scope="module")
def data(tree: Any) -> dict[str, Any]:
    return read_data(tree[1])


def test_captions_scores_and_references_are_those_of_the_files(tree: Any, data: Any) -> None:
    content, _ = tree
    assert data["split"] == "evaluation"
    assert data["clips"]["name"] == ODD_NAMES
    assert data["clips"]["references"] == [
        [HOSTILE, *[f"reference {k} of clip {i}" for k in range(4)]] for i in range(4)
    ]
    assert [(run["id"], run["label"], run["trivial"], run["first"]) for run in data["runs"]] == [
        ("small.seed1.beam3", "Small Transformer, seed 1", False, True),
        ("small.seed2.beam3", "Small Transformer, seed 2", False, False),
        ("typical_caption.seed0.greedy", "Typical caption", True, True),
    ]
    assert list(data["metrics"]) == METRICS and data["metrics"]["cider"] == "CIDEr"
    for run, system in zip(data["runs"], content["systems"], strict=True):
        with Path(system["captions"]["evaluation"]).open(encoding="utf-8", newline="") as file:
            assert run["captions"] == [row["caption_predicted"] for row in csv.DictReader(file)]
        table = pq.read_table(system["scores"]["evaluation"]["parquet"])
        for metric in METRICS:
            assert run["scores"][metric] == pytest.approx(table[metric].to_pylist(), abs=5e-5)
    assert "" in data["runs"][1]["captions"], "an empty caption stays one"


def test_order_of_the_files_plays_no_part(tmp_path: Path) -> None:
    content = write_tree(tmp_path)
    system = content["systems"][0]
    paths = Path(system["captions"]["evaluation"]), Path(system["scores"]["evaluation"]["parquet"])
    header, *rows = paths[0].read_text(encoding="utf-8").splitlines(keepends=True)
    paths[0].write_text("".join([header, *reversed(rows)]), encoding="utf-8")
    pq.write_table(pq.read_table(paths[1]).take([2, 0, 3, 1]), paths[1])
    run = listening_of(content).runs[0]
    assert run.captions == [f"a <i>good</i> caption {i}" for i in range(4)]
    assert run.scores["spider"] == pytest.approx([0.3, 0.31, 0.32, 0.33])


def test_who_made_it_and_what_is_heard(data: Any) -> None:
    clips = data["clips"]
    assert clips["author"] == ["A & B <c>"] * 4
    known = [data["licences"][number] for number in clips["licence"]]
    by = ["CC BY 3.0", "http://creativecommons.org/licenses/by/3.0/"]
    assert known == [["javascript:x()", ""], by] * 2, "only an address of the web is a link"
    assert list(data["tags"]) == ["tagger"]
    heard = [[(data["tagNames"][tag], p) for tag, p in of] for of in data["tags"]["tagger"]]
    assert heard == [[("Wind", 0.92), ("Water", 0.74), ("Dog", 0.57)]] * 4


@pytest.mark.parametrize(
    ("sound_id", "address"),
    [
        ("freesound:1234", "https://freesound.org/s/1234/"),
        ("youtube:a_b-c", "https://youtu.be/a_b-c"),
        ('youtube:"><b>', "https://youtu.be/%22%3E%3Cb%3E"),
        ("synthetic:development/3", ""),
        ("", ""),
    ],
)
def test_pages_of_recordings(
    listening: Listening, tmp_path: Path, sound_id: str, address: str
) -> None:
    annotations = [replace(found, sound_id=sound_id) for found in listening.annotations]
    found = page_data(replace(listening, annotations=annotations), tmp_path)
    assert set(found["clips"]["source"]) == {address}


def test_sounds_and_pictures_can_be_opened(tree: Any, data: Any) -> None:
    content, folder = tree
    audio = Path(content["splits"]["evaluation"]["clips"]).parents[1] / "audio"
    clips = data["clips"]
    for i, name in enumerate(ODD_NAMES):
        original, copy = soundfile.info(audio / name), soundfile.info(folder / clips["audio"][i])
        assert copy.format == "MP3" and copy.channels == 1
        assert copy.duration == pytest.approx(original.duration, abs=0.06)
        assert clips["duration"][i] == pytest.approx(original.duration, abs=1e-3)
        assert clips["rate"][i] == original.samplerate
        assert clips["audio"][i].isascii()
        with Image.open(folder / clips["picture"][i]) as image:
            image.load()
    media = {path.name for path in (folder / "media").iterdir()}
    assert media == {Path(p).name for p in [*clips["audio"], *clips["picture"]]}


def test_links_to_the_original_files(tmp_path: Path) -> None:
    content = write_tree(tmp_path / "results")
    listening = write_listening(
        tmp_path / "original", content["splits"]["evaluation"]["clips"], "original"
    )
    found = listening_of({**content, "listening": listening})
    links = page_data(found, tmp_path / "a/report")["clips"]["audio"]
    assert links[2].startswith("../../results/audio/quotes%20%22and")
    for name, link in zip(ODD_NAMES, links, strict=True):
        assert not set(link) & set(" \"'<>#?&")
        linked = os.path.normpath(tmp_path / "a/report" / unquote(link))
        assert linked == str(tmp_path / "results/audio" / name)


def test_a_report_without_audio_has_pictures(listening: Listening, tmp_path: Path) -> None:
    silent = replace(listening, audio="none")
    clips = page_data(silent, tmp_path)["clips"]
    assert clips["audio"] == [None] * 4 and all(clips["picture"])
    assert listening.can_be_heard(ODD_NAMES[0]) and not silent.can_be_heard(ODD_NAMES[0])


def test_damaged_clip_is_shown_without_audio(tmp_path: Path) -> None:
    content = write_tree(tmp_path / "results")
    (tmp_path / "results/audio" / ODD_NAMES[2]).write_text("not audio")
    listening = write_listening(tmp_path / "again", content["splits"]["evaluation"]["clips"])
    clips = page_data(listening_of({**content, "listening": listening}), tmp_path)["clips"]
    for i, name in enumerate(ODD_NAMES):
        assert bool(clips["audio"][i]) == bool(clips["picture"][i]) == (i != 2)
        assert (name in clips["problem"][i]) == (i == 2)


@pytest.fixture
def listening(tree: Any) -> Listening:
    return listening_of(tree[0])


def test_ranking_is_by_the_systems_that_are_not_trivial(listening: Listening) -> None:
    assert listening.ranked() == ODD_NAMES, "each scores more than the one before"
    best_last = replace(
        listening.runs[2], scores={"spider": [9.0, 0.0, 0.0, 0.0]}
    )  # of the trivial system
    assert replace(listening, runs=[*listening.runs[:2], best_last]).ranked() == ODD_NAMES
    assert replace(listening, runs=[best_last]).ranked() == [
        *sorted(ODD_NAMES[1:]),
        ODD_NAMES[0],
    ]


def test_files_are_linked_or_else_copied(
    listening: Listening, tree: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [Path(folder) for folder in tree[0]["listening"]["folders"]]
    names = sorted(path.name for folder in folders for path in folder.glob("clip-*"))
    for name in ("linked", "copied"):
        if name == "copied":

            def refuse(*_: object) -> None:
                raise OSError("another file system")

            monkeypatch.setattr(os, "link", refuse)
        (tmp_path / name).mkdir()
        write(listening, folders, tmp_path / name, tmp_path / name)
        found = sorted((tmp_path / name / "media").iterdir())
        assert [path.name for path in found] == names
        assert all((path.stat().st_nlink > 1) == (name == "linked") for path in found)


def test_a_page_of_clothos_size_is_small(tree: Any, tmp_path: Path) -> None:
    """1,045 clips of five references, five systems with nine scores, an encoder's tags."""
    big = many_clips(1045, 5, random.Random(1))
    write(big, [], tmp_path, tmp_path)
    data = read_data(tmp_path)
    assert len(data["runs"]) == 5 and len(data["clips"]["name"]) == 1045
    references = [len(text.split()) for of in data["clips"]["references"] for text in of]
    assert 10 <= sum(references) / len(references) <= 13, "as in Clotho: 11.3 words"
    size = (tmp_path / "data/clips.js").stat().st_size
    page = (tree[1] / "index.html").stat().st_size
    print(f"clips.js {size} bytes, index.html {page} bytes")
    assert size + page < 5_000_000
