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
    assert layout.splits == ["development", "validation", "evaluation", "test"]
    assert layout.audio("test") == {"audio": "resources/clotho-v2.1/audio/test"}
    assert layout.text("development") == {
        "captions": "resources/downloads/d4090b39ce9f2491908eebf4d5b09bae/"
        "clotho_captions_development.csv",
        "metadata": "resources/downloads/170d20935ecfdf161ce1bb154118cda5/"
        "clotho_metadata_development.csv",
    }
    assert list(layout.text("test")) == ["metadata"]
    assert layout.audio_digest("test") is None
    assert layout.text_digest("test") is None


def test_generated_depends_on_what_generates_it(repository):
    settings = shipped(repository, "synthetic")
    layout = corpus_layout(settings)
    assert layout.generated is not None
    assert layout.text("test")["metadata"].endswith("/synthetic_metadata_test.csv")
    other = {**settings, "generator": {**settings["generator"], "seed": 12345}}
    assert corpus_layout(other).generated != layout.generated
    assert set(layout.keys.values()) == {f"synthetic-{layout.generated}"}


def test_folder(tmp_path):
    for name in ("a.b.wav", "a.c.wav", "d.wav"):
        soundfile.write(tmp_path / name, [0.1, 0.2], 8000)
    with (tmp_path / "c.csv").open("w", newline="") as file:
        rows = [["a.b.wav", "development", "one"], ["a.c.wav", "evaluation", "two"]]
        csv.writer(file).writerows([["file_name", "split", "caption_1"], *rows])
    settings = {
        "name": "mine", "kind": "folder", "audio": str(tmp_path), "n_captions": None,
        "captions": str(tmp_path / "c.csv"),
        "split": {"seed": 0, "validation": 0.1, "evaluation": 0.1},
    }  # fmt: skip
    layout = corpus_layout(settings)
    assert layout.splits == ["development", "evaluation"]
    assert layout.n_shards == {"development": 1, "evaluation": 1}
    assert layout.audio("development") == {}
    assert layout.text("evaluation") == {"captions": str(tmp_path / "c.csv")}
    before = {split: layout.audio_digest(split) for split in layout.splits}
    texts = {split: layout.text_digest(split) for split in layout.splits}
    csv_path = tmp_path / "c.csv"
    csv_path.write_text(csv_path.read_text().replace("two", "three"))
    assert layout.text_digest("development") == texts["development"]
    assert layout.text_digest("evaluation") != texts["evaluation"]
    soundfile.write(tmp_path / "a.c.wav", [0.1, 0.2, 0.3], 8000)
    assert layout.audio_digest("development") == before["development"]
    assert layout.audio_digest("evaluation") != before["evaluation"]


def test_unknown_kind():
    with pytest.raises(InputError, match="unknown kind 'clotto'; expected one of clotho, folder"):
        corpus_layout({"name": "mine", "kind": "clotto"})


def test_the_graph_imports_nothing_heavy(repository):
    code = (
        "import sys, captioner.corpus.layout, captioner.models.registry, captioner.settings, "
        "captioner.corpus.synthetic.files, captioner.corpus.folder\n"
        "heavy = {'torch', 'pyarrow', 'scipy', 'sklearn', 'matplotlib', 'pycocoevalcap'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=repository / "src", capture_output=True, text=True
    )
    assert found.stdout.strip() == "[]", found.stdout + found.stderr
