import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from captioner.corpus import folder
from captioner.corpus.readers import folder as folder_reader
from captioner.corpus.shards import shard_of
from captioner.corpus.splitting.stratify import stratified_split
from captioner.errors import InputError

NAMES = [
    "a.b.wav",
    "a.c.wav",
    "it's [1].wav",
    'say "hi", dog.wav',
    "Bäume 雨.wav",
    "f.wav",
    "g.wav",
]
SPLIT = {"seed": 1, "validation": 0.15, "evaluation": 0.15}


def write_csv(path: Path, rows, header="file_name,caption_1,caption_2"):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)
    return str(path)


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # splits that are worked out are kept in the working directory
    audio = tmp_path / "wavs of mine"
    audio.mkdir()
    for number, name in enumerate(NAMES):
        soundfile.write(audio / name, np.full(800 + number, 0.1, np.float32), 8000)
    captions = write_csv(tmp_path / "captions.csv", [[name, "One", "Two"] for name in NAMES])
    return {"audio": str(audio), "captions": captions, "n_captions": None, "split": SPLIT}


def test_one_csv_is_split_by_its_words(corpus, caplog):
    splits = folder.folder_splits(corpus)
    captions = dict.fromkeys(NAMES, ("One", "Two"))
    shares = {"development": 0.7, "validation": 0.15, "evaluation": 0.15}
    assert splits == stratified_split(captions, shares, seed=1)
    assert {split: len(names) for split, names in splits.items()} == {
        "development": 5,
        "validation": 1,
        "evaluation": 1,
    }
    assert f"{corpus['captions']} has no column `split`: its 7 clips" in caplog.text


def test_a_share_of_nothing_is_no_split(corpus):
    corpus["split"] = {**SPLIT, "validation": 0}
    assert {split: len(names) for split, names in folder.folder_splits(corpus).items()} == {
        "development": 6,
        "evaluation": 1,
    }


def test_the_split_is_worked_out_once(corpus, tmp_path, monkeypatch):
    splits = folder.folder_splits(corpus)
    (kept,) = (tmp_path / "resources/splits").iterdir()
    assert kept.read_text(encoding="utf-8").splitlines()[:2] == [
        "file_name,split",
        "Bäume 雨.wav," + next(split for split, names in splits.items() if "Bäume 雨.wav" in names),
    ]
    with monkeypatch.context() as patched:
        patched.setattr("captioner.corpus.splitting.stratify.stratified_split", None)
        assert folder.folder_splits(corpus) == splits
        rows = [[name, "One", "Two"] for name in reversed(NAMES)]
        write_csv(Path(corpus["captions"]), rows)  # another order is no other corpus
        assert folder.folder_splits(corpus) == splits
        corpus["split"] = dict(reversed(SPLIT.items()))
        assert folder.folder_splits(corpus) == splits
        for change in ({"seed": 2}, {"validation": 0.3}):
            with pytest.raises(TypeError):  # None is called: it would be worked out anew
                folder.folder_splits({**corpus, "split": {**SPLIT, **change}})
    rows[0][1] = "Another caption"
    write_csv(Path(corpus["captions"]), rows)
    folder.folder_splits(corpus)
    assert len(list((tmp_path / "resources/splits").iterdir())) == 2


def test_a_kept_split_of_other_clips_is_named(corpus, tmp_path):
    folder.folder_splits(corpus)
    (kept,) = (tmp_path / "resources/splits").iterdir()
    lines = kept.read_text(encoding="utf-8").splitlines(keepends=True)
    kept.write_text("".join(lines[:-1]), encoding="utf-8")
    os.utime(corpus["captions"])
    with pytest.raises(InputError, match=rf"{kept.name} holds 6 clips, expected the 7 of .*delete"):
        folder.folder_splits(corpus)


def test_a_split_already_worked_out_needs_no_heavy_import(corpus, repository):
    folder.folder_splits(corpus)
    code = (
        "import json, sys; from captioner.corpus.folder import folder_splits\n"
        "settings = json.loads(sys.argv[1]); print(len(folder_splits(settings)['development']))\n"
        "print(sorted({'numpy', 'scipy', 'pyarrow'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(corpus)],
        env={**os.environ, "PYTHONPATH": str(repository / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[:2] == ["5", "[]"]
    assert done.stderr == ""


def test_a_split_column_is_obeyed(corpus, tmp_path):
    rows = [[n, "development", "One", "Two"] for n in NAMES[:4]]
    rows += [[n, "evaluation", "One", "Two"] for n in NAMES[4:6]] + [[NAMES[6], "test", "", ""]]
    corpus["captions"] = write_csv(
        tmp_path / "s.csv", rows, header="file_name,split,caption_1,caption_2"
    )
    splits = folder.folder_splits(corpus)
    assert list(splits) == ["development", "evaluation", "test"]
    assert splits["test"] == NAMES[6:]
    (annotation,) = folder_reader.read_annotations(corpus, "test", {})
    assert annotation.captions == ()
    assert [a.file_name for a in folder_reader.read_annotations(corpus, "evaluation", {})] == (
        NAMES[4:6]
    )


def test_csv_and_folder_per_split(corpus, tmp_path):
    corpus["captions"] = {
        "development": write_csv(tmp_path / "d.csv", [[NAMES[0], "One", "Two"]]),
        "test": None,
    }
    corpus["audio"] = {"development": corpus["audio"], "test": corpus["audio"]}
    splits = folder.folder_splits(corpus)
    assert splits == {"development": NAMES[:1], "test": sorted(NAMES)}
    assert folder.caption_files(corpus, "test") == []
    assert len(list(folder_reader.tabulate_clips(corpus, "test", {}))) == 7
    assert len(list(folder_reader.tabulate_clips(corpus, "development", {}))) == 1
    corpus["captions"]["test"] = write_csv(
        tmp_path / "t.csv", [[name] for name in NAMES[2:]], header="file_name"
    )
    assert folder.folder_splits(corpus)["test"] == sorted(NAMES[2:])


def test_clips_do_not_depend_on_captions(corpus):
    rows = [[name, "development", "One", "Two"] for name in NAMES]
    write_csv(Path(corpus["captions"]), rows, header="file_name,split,caption_1,caption_2")
    split = folder.folder_splits(corpus)
    before = list(folder_reader.tabulate_clips(corpus, "development", {}))
    digest = folder.audio_digest(corpus, "development")
    text = Path(corpus["captions"]).read_text(encoding="utf-8")
    Path(corpus["captions"]).write_text(text.replace("One", "Another one"), encoding="utf-8")
    assert folder_reader.read_annotations(corpus, "development", {})[0].captions[0] == "Another one"
    assert folder.folder_splits(corpus) == split
    assert list(folder_reader.tabulate_clips(corpus, "development", {})) == before
    assert folder.audio_digest(corpus, "development") == digest


def test_a_wav_overwritten_in_place_changes_the_digest(corpus):
    name = folder.folder_splits(corpus)["development"][0]
    before = {split: folder.audio_digest(corpus, split) for split in ("development", "evaluation")}
    wav = Path(corpus["audio"]) / name
    status = wav.stat()
    with wav.open("r+b") as file:  # same size, same folder entry
        file.seek(-4, os.SEEK_END)
        file.write(b"\1\2\3\4")
    os.utime(wav, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert folder.audio_digest(corpus, "development") != before["development"]
    assert folder.audio_digest(corpus, "evaluation") == before["evaluation"]


def test_shards_are_stable_and_even():
    assert shard_of("a.b.wav", 1000) == 633  # results on disk depend on it
    counts = np.bincount([shard_of(f"{n}.wav", 8) for n in range(4000)], minlength=8)
    assert counts.min() > 400
    assert (folder.n_shards(1), folder.n_shards(512), folder.n_shards(513)) == (1, 1, 2)


def test_paths_are_relative_to_the_yaml(tmp_path):
    settings = {"audio": "w", "captions": {"development": "c/d.csv", "test": None}, "title": "x"}
    assert folder.resolve_paths(settings, "some/where") == {
        "audio": "some/where/w",
        "captions": {"development": "some/where/c/d.csv", "test": None},
        "title": "x",
    }
    absolute = {"audio": f"{tmp_path}/w", "captions": "c.csv"}
    assert folder.resolve_paths(absolute, "here")["audio"] == f"{tmp_path}/w"


def test_same_file_in_two_splits_of_one_folder_is_refused(corpus, tmp_path):
    rows = [[NAMES[0], "development", "One", "Two"], [NAMES[0], "evaluation", "One", "Two"]]
    corpus["captions"] = write_csv(
        tmp_path / "s.csv", rows, header="file_name,split,caption_1,caption_2"
    )
    with pytest.raises(InputError, match=r"'a\.b\.wav' in two splits"):
        folder.folder_splits(corpus)


def test_graph_needs_no_heavy_import(repository):
    code = (
        "import sys, captioner.corpus.folder, captioner.corpus.readers.kinds\n"
        "import captioner.corpus.download.registry\n"
        "print(sorted({'numpy', 'pyarrow', 'soundfile', 'requests'} & sys.modules.keys()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(repository / "src")}
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
