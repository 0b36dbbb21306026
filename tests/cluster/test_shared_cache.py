"""Features that one checkout has made are there for another, of another user, in another folder."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from captioner.store.shards import FeatureStore
from tiny import Project


def features(project: Project) -> dict[str, bytes]:
    folder = project.result("features")
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}


@pytest.mark.slow
def test_a_second_checkout_computes_no_features(
    new_project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEMAKE_OUTPUT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    target = ["features", "results/tiny/features/logmel-dcase/statistics/development.json"]
    first, second = new_project("first"), new_project("second")
    # The corpus is one, at the same place for both.
    for project in (first, second):
        corpus = project.folder / "corpus/tiny.yaml"
        settings = corpus.read_text(encoding="utf-8")
        settings = settings.replace("audio: wavs", f"audio: {first.folder}/corpus/wavs")
        settings = settings.replace(
            "captions: captions.csv", f"captions: {first.folder}/corpus/captions.csv"
        )
        corpus.write_text(settings, encoding="utf-8")
    first.snakemake(*target, "--cache")
    shards = sorted(path for path in (tmp_path / "cache").iterdir())
    assert len(shards) == 5  # one per split, and the statistics
    times = {path: path.stat().st_mtime_ns for path in shards}
    log = second.snakemake(*target, "--cache").stdout
    assert features(second) == features(first)
    assert {path: path.stat().st_mtime_ns for path in shards} == times
    logs = list(second.result("logs/extract_features").glob("*"))
    assert logs and not any(path.stat().st_size for path in logs), log  # no script has run
    # Each split got its own.
    for path in second.result("features/logmel-dcase").glob("*/0.parquet"):
        assert path.is_symlink()
    names = {
        split: set(FeatureStore([second.result(f"features/logmel-dcase/{split}/0.parquet")]))
        for split in ("development", "validation", "evaluation", "test")
    }
    assert len(set().union(*names.values())) == sum(map(len, names.values()))
    assert second.would_run(*target) == {}

    # Other audio under the same name is another matter.
    wav = first.folder / "corpus/wavs/rain.heavy.wav"
    rate = soundfile.info(wav).samplerate
    soundfile.write(wav, np.zeros(3 * rate), rate)
    second.snakemake(*target, "--cache")
    assert len(list((tmp_path / "cache").iterdir())) > len(shards)
