"""A published corpus through the rules: fetched, verified, unpacked, tabulated, checked."""

import csv
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from captioner.corpus.synthetic.generate import generate_corpus
from tiny import CONFIG, Project, empty_project

OTHER_MD5 = "900150983cd24fb0d6963f7d28e17f72"  # of "abc", RFC 1321
CLIPS = {"development": 3, "validation": 1, "evaluation": 1, "test": 1}


@pytest.fixture(scope="module")
def published(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus in Clotho's published form, with a registry, and a YAML that names it."""
    folder = tmp_path_factory.mktemp("a server") / "files"
    generate_corpus(folder, seed=3, clips=CLIPS, duration_s=(3, 3.5), processes=1)
    settings = {
        "title": "Published",
        "kind": "clotho",
        "registry": "synthetic.tsv",
        "n_captions": 5,
        "shards": dict.fromkeys(CLIPS, 1),
        "expected": {"n_clips": CLIPS},
    }
    (folder / "small.yaml").write_text(yaml.safe_dump(settings))
    return folder


@pytest.fixture
def project(repository: Path, published: Path, tmp_path: Path) -> Project:
    project = empty_project(repository, tmp_path)
    configure(project, published)
    return project


def configure(project: Project, published: Path, **changes: object) -> None:
    corpus = str(published / "small.yaml")
    project.configure({**CONFIG, "corpus": corpus, "systems": ["nearest_clip"], **changes})


def edit_registry(published: Path, folder: Path, file: str, column: str, value: str) -> Path:
    """Copy YAML and registry to `folder`, with one cell changed."""
    folder.mkdir()
    (folder / "small.yaml").write_bytes((published / "small.yaml").read_bytes())
    with (published / "synthetic.tsv").open(newline="") as source:
        rows = list(csv.DictReader(source, delimiter="\t"))
    for row in rows:
        if row["file"] == file:
            row[column] = value
    with (folder / "synthetic.tsv").open("w", newline="") as target:
        writer = csv.DictWriter(target, rows[0].keys(), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return folder


def checks(split: str) -> str:
    return f"results/small/checks/{split}.json"


def failed(project: Project, *arguments: str) -> str:
    """Run what must fail; give all that is shown."""
    done: subprocess.CompletedProcess[str] = project.snakemake(*arguments, check=False)
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_from_archives_to_features(project: Project, published: Path) -> None:
    targets = [checks(split) for split in CLIPS]
    project.snakemake("features", *targets)
    for split, n_clips in CLIPS.items():
        clips = pq.read_table(project.folder / f"results/small/clips/{split}.parquet")
        assert clips.num_rows == n_clips
        wavs = sorted(project.folder.glob(f"resources/audio/*/synthetic_audio_{split}/*.wav"))
        assert [wav.name for wav in wavs] == clips["file_name"].to_pylist()
    assert project.would_run("features", *targets) == {}
    # The same files under another corpus name, from a mirror: nothing is fetched again.
    mirrored = edit_registry(published, project.folder / "again", "", "", "")
    (mirrored / "small.yaml").rename(mirrored / "other.yaml")
    configure(project, published, corpus="again/other.yaml")
    assert "fetch_file" not in project.would_run("features")


def test_wrong_md5(project: Project, published: Path) -> None:
    wrong = edit_registry(
        published, project.folder / "wrong", "synthetic_audio_test.7z", "md5", OTHER_MD5
    )
    configure(project, wrong)
    shown = failed(project, checks("test"))
    assert "synthetic_audio_test.7z" in shown and OTHER_MD5 in shown and "md5" in shown
    assert not list(project.folder.glob(f"resources/downloads/{OTHER_MD5}/*.7z"))


def test_absent_file_and_mirror(project: Project, published: Path) -> None:
    nowhere = (published / "gone" / "synthetic_audio_test.7z").as_uri()
    lost = edit_registry(
        published, project.folder / "lost", "synthetic_audio_test.7z", "url", nowhere
    )
    configure(project, lost)
    assert "synthetic_audio_test.7z" in failed(project, checks("test"))
    configure(project, lost, mirrors=[str(published)])
    project.snakemake(checks("test"))


def test_offline_names_what_is_missing(project: Project, published: Path) -> None:
    url = "https://example.org/synthetic_audio_test.7z"
    remote = edit_registry(
        published, project.folder / "remote", "synthetic_audio_test.7z", "url", url
    )
    configure(project, remote, offline=True)
    shown = failed(project, checks("test"))
    assert url in shown and "resources/downloads/" in shown


def test_a_wav_missing_from_the_archive(project: Project, published: Path) -> None:
    """Fewer clips than the corpus declares stop the run, with both numbers."""
    changed = edit_registry(published, project.folder / "changed", "", "", "")
    settings = yaml.safe_load((changed / "small.yaml").read_text())
    settings["expected"]["n_clips"]["test"] = 2
    (changed / "small.yaml").write_text(yaml.safe_dump(settings))
    configure(project, changed)
    shown = failed(project, checks("test"))
    assert "2 clips" in shown and "1 wavs" in shown
    assert not (project.folder / checks("test")).exists()


def test_archives_and_audio_are_removed_once_used(project: Project, published: Path) -> None:
    """Both are gone when the features and checks are made, and that reruns nothing."""
    corpus = {"name": str(published / "small.yaml"), "remove": ["archives", "audio"]}
    configure(project, published, corpus=corpus)
    targets = ["features", *(checks(split) for split in CLIPS)]
    project.snakemake(*targets)
    assert not list(project.folder.glob("resources/downloads/*/*.7z"))
    assert not list(project.folder.glob("resources/audio/*/*/*.wav"))
    assert len(list(project.folder.glob("resources/downloads/*/*.csv"))) == 7
    assert project.would_run(*targets) == {}


def test_a_split_held_out_of_development(project: Project, published: Path) -> None:
    """A corpus published without a validation split, as Clotho v1: the same clips every time."""
    changed = edit_registry(published, project.folder / "changed", "", "", "")
    settings = yaml.safe_load((changed / "small.yaml").read_text())
    settings["hold_out"] = {"shares": {"validation": 0.3}, "seed": 1}
    del settings["expected"]
    (changed / "small.yaml").write_text(yaml.safe_dump(settings))
    configure(project, changed)
    targets = [checks(split) for split in CLIPS]
    project.snakemake("features", *targets)
    names = {
        split: pq.read_table(project.folder / f"results/small/clips/{split}.parquet")["file_name"]
        for split in CLIPS
    }
    assert [len(names[split]) for split in ("development", "validation")] == [2, 1]
    [folder] = project.folder.glob("resources/audio/*/synthetic_audio_development")
    wavs = {wav.name for wav in folder.glob("*.wav")}
    assert wavs == {str(name) for split in ("development", "validation") for name in names[split]}
    assert not list(project.folder.glob("resources/audio/*/synthetic_audio_validation"))
    assert project.would_run("features", *targets) == {}
