"""The corpora and registries that come with the project: facts in the right form."""

import csv
import re
from collections import Counter
from urllib.parse import unquote, urlsplit

import pytest

from captioner.corpus.download.registry import read_registry
from captioner.corpus.layout import corpus_layout
from captioner.corpus.readers.audiocaps import Excerpt, possible_stems
from captioner.corpus.splits import UNCAPTIONED
from captioner.settings import read_yaml, resolve

PUBLISHED = ["clotho-v1", "clotho-v2", "clotho-v2.1", "macs"]
PLACED = ["audiocaps", "wavcaps"]
CLOTHO_SPLITS = ["development", "validation", "evaluation", "test"]
SUBSETS = {  # of ../shared/data/archives.tsv
    "dev": "development",
    "val": "validation",
    "eval": "evaluation",
    "dcase_aac_test": "test",
    "dcase_aac_analysis": "analysis",
    "full": "development",
}


@pytest.fixture(scope="module")
def corpus(repository):
    schema = read_yaml(repository / "workflow/schemas/corpus.schema.yaml")

    def read(name):
        named = resolve(name, "corpus", repository / "config/corpora", schema)
        return {**named.settings, "name": name, "folder": str(repository / "config/corpora")}

    return read


def registry(repository, name):
    folder = "frontends" if name == "weights" else "corpora"
    return read_registry(repository / "config" / folder / f"{name}.tsv")


def test_all_corpora_are_covered_here(repository):
    names = {path.stem for path in (repository / "config/corpora").glob("*.yaml")}
    assert names == {*PUBLISHED, *PLACED, "synthetic"}
    tables = {path.stem for path in (repository / "config/corpora").glob("*.tsv")}
    assert tables == set(PUBLISHED)


@pytest.mark.parametrize(
    ("name", "splits"),
    [
        ("clotho-v1", CLOTHO_SPLITS),
        ("clotho-v2", CLOTHO_SPLITS),
        ("clotho-v2.1", [*CLOTHO_SPLITS, "analysis"]),
        ("macs", ["development"]),
        ("audiocaps", CLOTHO_SPLITS[:3]),
        ("wavcaps", ["development"]),
    ],
)
def test_splits(corpus, name, splits):
    assert corpus_layout(corpus(name)).splits == splits


@pytest.mark.parametrize("name", PUBLISHED)
def test_registered_files_of_a_split(corpus, repository, name):
    settings, entries = corpus(name), registry(repository, name)
    held_out = set((settings["hold_out"] or {"shares": ()})["shares"])
    assert {entry.split for entry in entries} == settings["shards"].keys() - held_out
    for split in settings["shards"].keys() - held_out:
        kinds = Counter(entry.kind for entry in entries if entry.split == split)
        assert kinds["audio_archive"] == (21 if name == "macs" else 1)
        assert kinds["captions"] == (split not in UNCAPTIONED)
        assert kinds["metadata"] == (name != "macs" and split != "analysis")
        assert kinds.keys() <= {"audio_archive", "captions", "metadata"}


@pytest.mark.parametrize("name", [*PUBLISHED, "weights"])
def test_registered_files_are_named_as_published(repository, name):
    for entry in registry(repository, name):
        assert entry.url.startswith("https://zenodo.org/record")
        assert entry.url.endswith("?download=1")
        assert unquote(urlsplit(entry.url).path.rsplit("/", 1)[1]) == entry.file
        assert len(entry.md5) == 32


def test_versions_of_clotho_share_files(repository):
    md5 = {
        name: {(e.split, e.kind): e.md5 for e in registry(repository, name)}
        for name in PUBLISHED[:3]
    }
    for split in ("evaluation", "test"):
        for kind in ("audio_archive", "captions", "metadata"):
            assert len({files.get((split, kind)) for files in md5.values()}) == 1
    audio = ("development", "audio_archive")
    assert len({files[audio] for files in md5.values()}) == 3


@pytest.mark.parametrize("name", [*PUBLISHED, "weights"])
def test_registries_agree_with_the_facts_at_hand(repository, shared_data, name):
    with (shared_data / "archives.tsv").open(encoding="utf-8", newline="") as file:
        facts = {
            (SUBSETS.get(row["subset"], row["subset"]), row["kind"], row["url"], row["md5"])
            for row in csv.DictReader(file, delimiter="\t")
            if row["dataset"] == name
        }
    found = {(e.split, e.kind, e.url, e.md5) for e in registry(repository, name)}
    assert found <= facts


def test_networks_of_the_weights(repository):
    networks = Counter(entry.split for entry in registry(repository, "weights"))
    assert networks == {"Cnn10": 1, "Cnn14": 1, "ConvNeXt": 3}
    assert {entry.kind for entry in registry(repository, "weights")} == {"checkpoint"}


@pytest.mark.parametrize(
    ("name", "n_clips"),
    [
        ("clotho-v1", {"development": 2893, "evaluation": 1045, "test": 1043}),
        *(
            (name, dict(zip(CLOTHO_SPLITS, (3839, 1045, 1045, 1043), strict=True)))
            for name in ("clotho-v2", "clotho-v2.1")
        ),
        ("macs", {"development": 3930}),
    ],
)
def test_published_counts(corpus, name, n_clips):
    assert corpus(name)["expected"]["n_clips"] == n_clips


@pytest.mark.parametrize("name", [*PUBLISHED, *PLACED])
def test_published_captions_per_clip(corpus, name):
    expected = {"macs": None, "audiocaps": None, "wavcaps": 1}.get(name, 5)
    assert corpus(name)["n_captions"] == expected


def test_held_out_clips_of_v1(corpus):
    assert corpus("clotho-v1")["hold_out"] == {"shares": {"validation": 0.15}, "seed": 0}
    assert round(0.15 * 2893) == 434  # as its comment says


@pytest.mark.parametrize("name", PLACED)
def test_placed_files_are_relative_to_the_working_folder(corpus, name):
    settings = corpus(name)
    audio, captions = settings["audio"], settings["captions"]
    paths = list(audio.values()) if isinstance(audio, dict) else [audio]
    for files in captions.values():
        paths += [files] if isinstance(files, str) else files
    paths += settings.get("blacklists", [])
    assert all(path.startswith(f"resources/placed/{name}/") for path in paths)
    assert len(set(paths)) == len(paths)
    assert captions.keys() == settings["shards"].keys()


def test_names_that_the_comment_of_audiocaps_gives_are_read(repository):
    text = (repository / "config/corpora/audiocaps.yaml").read_text(encoding="utf-8")
    names = re.findall(r"\b([\w]+)\.(?:wav|flac|ogg)\b", text)
    assert len(names) == 6
    stems = set(possible_stems(Excerpt("v", 30, ["97151"], ["x"])))
    assert set(names) <= stems
