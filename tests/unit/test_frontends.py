"""Front-ends by name."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
import yaml

from captioner.audio.frontends import build_frontend, frontend_features, hear_files
from captioner.errors import InputError


@pytest.fixture
def settings(repository):
    path = repository / "config" / "frontends" / "logmel-dcase.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_every_configured_logmel_builds(repository):
    paths = sorted((repository / "config" / "frontends").glob("logmel-*.yaml"))
    assert len(paths) == 3
    for path in paths:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        frontend = build_frontend(settings)
        assert frontend.settings == settings
        features = frontend(np.zeros(frontend.sample_rate_hz, np.float32))
        assert features.shape[1] == frontend.n_features
        assert features.dtype == np.float32


def test_an_unknown_kind_is_named(settings):
    with pytest.raises(InputError, match="kind: found 'wavelet', expected one of logmel"):
        build_frontend(settings | {"kind": "wavelet"})


@pytest.mark.parametrize("sample_rate_hz", [44100, 16000])
def test_files_are_read_and_resampled(tmp_path, settings, sample_rate_hz):
    time_s = np.arange(sample_rate_hz * 2) / sample_rate_hz
    tone = 0.5 * np.sin(2 * np.pi * 1000 * time_s)
    path = tmp_path / "a [b].c d.wav"
    soundfile.write(path, np.stack([tone, tone], axis=1), sample_rate_hz)
    features = frontend_features(build_frontend(settings), path)
    assert features.shape == (1 + 2 * 44100 // 1024, 64)
    assert (features[2:-2].argmax(axis=1) == features[10].argmax()).all()
    at_44100 = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(2 * 44100) / 44100)
    expected = build_frontend(settings)(at_44100.astype(np.float32))
    loudest = expected[10].argmax()
    assert features[10, loudest] == pytest.approx(expected[10, loudest], abs=1e-3)


def test_files_are_heard_in_their_order(tmp_path, settings):
    frontend = build_frontend(settings)
    paths = [tmp_path / f"{index}.wav" for index in range(3)]
    for index, path in enumerate(paths):
        soundfile.write(path, np.full(3000 * (3 - index), 0.1), 44100)
    heard = hear_files(frontend, paths)
    for of_file, path in zip(heard, paths, strict=True):
        assert (of_file.features == frontend_features(frontend, path)).all()
        assert of_file.tags is None
    assert [len(of_file.features) for of_file in heard] == [9, 6, 3]


def test_an_unusable_file_is_named(tmp_path, settings):
    (tmp_path / "x.y.wav").write_bytes(b"no audio")
    soundfile.write(tmp_path / "sound.wav", np.zeros(100), 44100)
    with pytest.raises(InputError, match=r"x\.y\.wav: found "):
        hear_files(build_frontend(settings), [tmp_path / "sound.wav", tmp_path / "x.y.wav"])


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_samples_far_beyond_full_scale_are_named(tmp_path, settings):
    noise = np.random.default_rng(0).normal(size=5000)
    soundfile.write(tmp_path / "x.wav", noise * 1e30, 44100, subtype="FLOAT")
    with pytest.raises(InputError, match=r"x\.wav: found samples up to \d\.\d+e\+30"):
        frontend_features(build_frontend(settings), tmp_path / "x.wav")
    soundfile.write(tmp_path / "x.wav", noise * 1e5, 44100, subtype="FLOAT")
    frontend_features(build_frontend(settings), tmp_path / "x.wav")


@pytest.mark.parametrize(
    ("imported", "absent"),
    [
        ("captioner.audio.frontends", ["numpy", "soundfile", "soxr"]),  # at every start
        ("captioner.audio.logmel, captioner.store.writing", ["torch", "librosa", "sklearn"]),
        ("captioner.store.shards, captioner.store.statistics", ["torch", "scipy", "soundfile"]),
    ],
)
def test_heavy_modules_are_imported_late(repository, imported, absent):
    code = f"import sys, {imported}; print([name for name in {absent} if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(repository / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"
