import csv
import subprocess
import sys

import pytest
import soundfile
import yaml

from captioner.corpus.layout import corpus_layout
from captioner.errors import InputError


def shipped(repository, name: str) -> dict:
    folder = repository / "config/corpora"
    settings = yaml.safe_load((folder / f"{name}.yaml").read_text())
    return {**settings, "name": name, "folder": str(folder)}


def test_published(repository):
    layout = corpus_layout(shipped(repository, "clotho-v2.1"))
    assert layout.splits == ["development", "validation", "evaluation", "test", "analysis"]
    assert layout.audio("test") == [
        "results/audio/9b3fe72560a621641ff4351ba1154349/clotho_audio_test"
    ]
    assert layout.text_sources("development") == {
        "captions": "results/downloads/d4090b39ce9f2491908eebf4d5b09bae/"
        "clotho_captions_development.csv",
        "metadata": "results/downloads/170d20935ecfdf161ce1bb154118cda5/"
        "clotho_metadata_development.csv",
    }
    assert list(layout.text_sources("test")) == ["metadata"]
    # Nothing is written about the analysis split: its names come from its audio.
    assert layout.text_sources("analysis") == {"audio": layout.audio("analysis")}
    assert layout.clip_sources("validation") == {"audio": layout.audio("validation")}
    assert layout.audio_digest("test") is None
    assert layout.text_digest("test") is None
    assert layout.most_captions("evaluation") == 5


def test_generated_depends_on_what_generates_it(repository):
    settings = shipped(repository, "synthetic")
    layout = corpus_layout(settings)
    assert layout.generated is not None
    assert layout.text_sources("test")["metadata"].endswith("/synthetic_metadata_test.csv")
    other = {**settings, "generator": {**settings["generator"], "seed": 12345}}
    assert corpus_layout(other).generated != layout.generated
    keys = {key for files in layout.files.values() for _, key, _ in files}
    assert keys == {f"synthetic-{layout.generated}"}


def test_folder(tmp_path):
    for name in ("a.b.wav", "a.c.wav", "d.wav"):
        soundfile.write(tmp_path / name, [0.1, 0.2], 8000)
    with (tmp_path / "c.csv").open("w", newline="") as file:
        rows = [["a.b.wav", "development", "one"], ["a.c.wav", "evaluation", "two"]]
        csv.writer(file).writerows([["file_name", "split", "caption_1"], *rows])
    settings = {
        "name": "mine", "kind": "folder", "folder": str(tmp_path), "audio": ".",
        "n_captions": None, "captions": "c.csv",
        "split": {"seed": 0, "validation": 0.1, "evaluation": 0.1},
    }  # fmt: skip
    layout = corpus_layout(settings)
    assert layout.splits == ["development", "evaluation"]
    assert layout.n_shards == {"development": 1, "evaluation": 1}
    assert layout.audio("development") == []
    assert [layout.most_captions(split) for split in layout.splits] == [1, 1]
    assert layout.text_sources("evaluation") == {"captions": str(tmp_path / "c.csv")}
    before = {split: layout.audio_digest(split) for split in layout.splits}
    texts = {split: layout.text_digest(split) for split in layout.splits}
    csv_path = tmp_path / "c.csv"
    csv_path.write_text(csv_path.read_text().replace("two", "three"))
    assert layout.text_digest("development") == texts["development"]
    assert layout.text_digest("evaluation") != texts["evaluation"]
    soundfile.write(tmp_path / "a.c.wav", [0.1, 0.2, 0.3], 8000)
    assert layout.audio_digest("development") == before["development"]
    assert layout.audio_digest("evaluation") != before["evaluation"]


def test_archives_are_shared_by_all_corpora_that_publish_them(repository):
    layouts = [corpus_layout(shipped(repository, f"clotho-{v}")) for v in ("v1", "v2", "v2.1")]
    assert len({tuple(layout.audio("evaluation")) for layout in layouts}) == 1
    assert len({tuple(layout.audio("development")) for layout in layouts}) == 3


def test_a_split_of_several_archives(repository):
    layout = corpus_layout(shipped(repository, "macs"))
    folders = layout.audio("development")
    assert len(folders) == 21 == len(set(folders))
    assert all("TAU-urban-acoustic-scenes-2019-development.audio." in path for path in folders)
    # Which of the clips are MACS's, its captions tell.
    assert set(layout.clip_sources("development")) == {"audio", "captions"}


def test_held_out_split(repository):
    layout = corpus_layout(shipped(repository, "clotho-v1"))
    assert layout.splits == ["development", "validation", "evaluation", "test"]
    assert layout.audio("validation") == layout.audio("development")
    assert layout.text_sources("validation") == layout.text_sources("development")
    csv_path = "results/clotho-v1/splits/development.csv"
    parted = [layout.clip_sources(split).get("split") for split in layout.splits]
    assert parted == [csv_path, csv_path, None, None]
    assert layout.text_sources("development")["split"] == csv_path


def test_a_split_without_an_archive(tmp_path):
    (tmp_path / "r.tsv").write_text("split\tkind\tfile\turl\tmd5\tsize_bytes\n")
    settings = {
        "name": "mine", "kind": "clotho", "folder": str(tmp_path), "registry": "r.tsv",
        "shards": {"development": 1},
    }  # fmt: skip
    with pytest.raises(InputError, match="no audio archive of development"):
        corpus_layout(settings)


def test_placed(tmp_path):
    for folder in ("audio", "audio/BBC"):
        (tmp_path / folder).mkdir()
    settings = {
        "name": "mine", "kind": "wavcaps", "audio": str(tmp_path / "audio"),
        "captions": {"development": ["a.json", "b.json"]}, "shards": {"development": 3},
        "blacklists": ["x.json"],
    }  # fmt: skip
    layout = corpus_layout(settings)
    assert layout.splits == ["development"] and layout.audio("development") == []
    texts = {"captions": ["a.json", "b.json"], "blacklists": ["x.json"]}
    assert layout.text_sources("development") == texts
    before = layout.audio_digest("development"), layout.text_digest("development")
    assert before == (layout.audio_digest("development"), layout.text_digest("development"))
    (tmp_path / "audio/BBC/new.flac").write_bytes(b"")
    assert layout.audio_digest("development") != before[0]
    assert layout.text_digest("development") != before[1]


def test_unknown_kind():
    with pytest.raises(
        InputError,
        match="unknown kind 'clotto'; expected one of clotho, macs, audiocaps, wavcaps, folder",
    ):
        corpus_layout({"name": "mine", "kind": "clotto"})


def test_the_graph_imports_nothing_heavy(repository):
    code = (
        "import sys, captioner.corpus.layout, captioner.models.registry, captioner.settings, "
        "captioner.corpus.synthetic.files, captioner.corpus.folder, captioner.plan\n"
        "heavy = {'torch', 'pyarrow', 'scipy', 'sklearn', 'matplotlib', 'pycocoevalcap'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=repository / "src", capture_output=True, text=True
    )
    assert found.stdout.strip() == "[]", found.stdout + found.stderr
