"""`captioner features`: numbers, picture and matrix of one file, by a front-end's name."""

import csv
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import yaml

from captioner import cli
from captioner.audio import frontends
from captioner.audio.frontends import build_frontend, frontend_features
from captioner.commands import features
from captioner.corpus.download.registry import read_registry
from reporting_tree import LOGMEL, TAGS, Tagger

RATE = 44100


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run in an empty folder, with the command declared once."""
    monkeypatch.setattr(cli, "COMMANDS", tuple(dict.fromkeys((*cli.COMMANDS, features))))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "rain (1) 50%.wav"
    noise = np.random.default_rng(0).normal(0, 0.1, (RATE, 2))
    soundfile.write(path, noise, RATE)
    return path


@pytest.fixture
def tagger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path | None]:
    """Register a kind with tags, described by tagger.yaml; gives the weights it is built with."""
    built: list[Path | None] = []

    def build(_settings: dict, weights: Path | None = None) -> Tagger:
        built.append(weights)
        return Tagger()

    module = ModuleType("fake_tagger")
    module.build = build  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fake_tagger", module)
    monkeypatch.setitem(frontends.FRONTENDS, "tagger", "fake_tagger")
    settings = {
        "kind": "tagger",
        "sample_rate_hz": 32000,
        "checkpoint": "Cnn10_mAP=0.380.pth",
        "precision": "float32",
        "storage": "float32",
    }
    Path("tagger.yaml").write_text(yaml.safe_dump(settings))
    return built


def run(*arguments: object) -> int:
    return cli.main(["features", *map(str, arguments)])


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Give the message of a run that must end with exit code 2 and print nothing else."""
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("captioner: error: ")
    return printed.err


def test_numbers_are_those_of_the_front_end(clip: Path, capsys, repository: Path) -> None:
    assert run(clip, "--frontend", "logmel-dcase") == 0
    settings = yaml.safe_load((repository / "config/frontends/logmel-dcase.yaml").read_text())
    expected = frontend_features(build_frontend(settings), clip)
    assert capsys.readouterr().out.splitlines() == [
        f"{clip}: 1.00 s, 44.1 kHz, 2 channels",
        "logmel-dcase: 44 frames of 64 mel bands, ln mel energy",
        "frame rate  43.07 per second, one every 23.22 ms",
        f"range       {expected.min():.4g} to {expected.max():.4g}",
        f"mean        {expected.mean(dtype='f8'):.4g}",
    ]


def test_matrix_files_hold_the_features(clip: Path, repository: Path) -> None:
    for name in ("new/folder/x.npy", "x.CSV"):
        assert run(clip, "--frontend", "logmel-released", "--out", name) == 0
    settings = yaml.safe_load((repository / "config/frontends/logmel-released.yaml").read_text())
    expected = frontend_features(build_frontend(settings), clip)
    found = np.load("new/folder/x.npy")
    assert found.dtype == np.float32
    assert (found == expected).all()
    header, *rows = csv.reader(Path("x.CSV").read_text(encoding="utf-8").splitlines())
    assert header[:3] == ["time_s", "feature_0", "feature_1"]
    values = np.array(rows, dtype=float)
    assert (values[:, 1:].astype("f4") == expected).all()
    assert values[:, 0] == pytest.approx(np.arange(len(expected)) * 512 / RATE, abs=1e-6)


def test_picture_shows_file_sound_and_axes(clip: Path) -> None:
    assert run(clip, "--frontend", "logmel-dcase", "--plot", "new/x.svg") == 0
    drawn = Path("new/x.svg").read_text(encoding="utf-8")
    for text in (
        clip.name, "1.00 s, 44.1 kHz, 2 channels, logmel-dcase", "frequency (Hz)", "time (s)",
        "mean of 2", "ln mel energy",
    ):  # fmt: skip
        assert f">{text}<" in drawn
    assert run(clip, "--frontend", "logmel-dcase", "--plot", "x.png") == 0
    assert Path("x.png").read_bytes().startswith(b"\x89PNG")


def test_tags_are_printed_and_drawn(clip: Path, capsys, tagger: list) -> None:
    Path("weights.pth").touch()
    options = ("--frontend", "tagger.yaml", "--weights", "weights.pth", "--plot", "x.svg")
    assert run(clip, *options) == 0
    assert tagger == [Path("weights.pth")]
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "tagger: 6 frames of 512 dimensions, activation"
    assert lines[lines.index("top tags") + 1 :] == [
        "  0.920  Wind", "  0.744  Water", "  0.568  Dog", "  0.392  Rain on surface",
        "  0.216  Rain", "  0.040  Speech",
    ]  # fmt: skip
    drawn = Path("x.svg").read_text(encoding="utf-8")
    assert all(f">{tag}<" in drawn for tag in TAGS)


def test_weights_are_found_where_the_workflow_puts_them(clip: Path, tagger: list) -> None:
    path = Path("resources/downloads/0123/Cnn10_mAP=0.380.pth")
    path.parent.mkdir(parents=True)
    path.touch()
    assert run(clip, "--frontend", "tagger.yaml") == 0
    assert tagger == [path]


def test_missing_weights_are_named_with_their_source(
    clip: Path, capsys, tagger: list, repository: Path, monkeypatch
) -> None:
    monkeypatch.setattr(features, "CHECKOUT", Path.cwd())
    said = fails(capsys, clip, "--frontend", "tagger.yaml")
    assert "Cnn10_mAP=0.380.pth under resources/downloads" in said
    assert "does not say where it is published" in said
    registry = repository / "config/frontends/weights.tsv"
    Path("config/frontends").mkdir(parents=True)
    Path("config/frontends/weights.tsv").write_text(registry.read_text())
    (entry,) = [e for e in read_registry(registry) if e.file == "Cnn10_mAP=0.380.pth"]
    said = fails(capsys, clip, "--frontend", "tagger.yaml")
    assert entry.url in said
    assert f"md5 {entry.md5}" in said
    assert "--weights" in said
    assert tagger == []


def test_weights_that_nobody_asked_for_are_refused(clip: Path, capsys) -> None:
    said = fails(capsys, clip, "--frontend", "logmel-dcase", "--weights", "x.pth")
    assert "found weights (x.pth), expected none" in said


def test_front_ends_of_the_working_directory_come_first(clip: Path, capsys) -> None:
    Path("config/frontends").mkdir(parents=True)
    for name in ("logmel-dcase", "mine"):
        settings = yaml.safe_dump({**LOGMEL, "n_mels": 16})
        Path(f"config/frontends/{name}.yaml").write_text(settings)
        assert run(clip, "--frontend", name) == 0
        assert "16 mel bands" in capsys.readouterr().out
    assert run(clip, "--frontend", "logmel-panns") == 0
    capsys.readouterr()
    said = fails(capsys, clip, "--frontend", "min")
    assert "did you mean 'mine'?" in said
    assert "logmel-released" in said


def test_unknown_front_end_lists_the_known_ones(clip: Path, capsys) -> None:
    said = fails(capsys, clip, "--frontend", "logmel-dcas")
    assert "unknown front-end 'logmel-dcas' (did you mean 'logmel-dcase'?); known: " in said
    assert "logmel-panns, logmel-released" in said
    assert "absent.yaml: no such file" in fails(capsys, clip, "--frontend", "absent.yaml")
    Path("typo.yaml").write_text(yaml.safe_dump({**LOGMEL, "n_mel": 3}))
    assert "unknown key 'n_mel'" in fails(capsys, clip, "--frontend", "typo.yaml")


@pytest.mark.parametrize("name, fault", [
    ("absent.wav", "no such file"), ("text.wav", "cannot be read as audio"),
    ("empty.wav", "without samples"), ("nothing.wav", "cannot be read as audio"),
])  # fmt: skip
def test_files_that_cannot_be_heard_are_named(name: str, fault: str, capsys) -> None:
    Path("text.wav").write_text("no audio")
    Path("nothing.wav").touch()
    soundfile.write("empty.wav", np.zeros(0), RATE)
    said = fails(capsys, name, "--frontend", "logmel-dcase", "--plot", "x.png")
    assert name in said and fault in said
    assert not Path("x.png").exists()


@pytest.mark.filterwarnings("error")
def test_samples_too_large_for_the_features_are_named(capsys) -> None:
    soundfile.write("loud.wav", np.full(RATE, 1e30), RATE, subtype="FLOAT")
    said = fails(capsys, "loud.wav", "--frontend", "logmel-dcase")
    assert "loud.wav: found samples up to 1e+30" in said


def test_suffixes_that_say_no_format_are_refused_first(clip: Path, capsys) -> None:
    options = ("absent.wav", "--frontend", "logmel-dcase")
    for path in ("x.gif", "x", "x.npy"):
        said = fails(capsys, *options, "--plot", path)
        assert said.endswith("expected one of .png, .svg, .pdf: it says what to write.\n")
    said = fails(capsys, *options, "--out", "x.txt")
    assert "found the suffix '.txt', expected one of .npy, .csv" in said


def test_silent_and_clipped_clips_are_heard_and_said_to_be(capsys) -> None:
    soundfile.write("silent.wav", np.zeros(RATE), RATE)
    assert run("silent.wav", "--frontend", "logmel-dcase", "--plot", "x.png") == 0
    printed = capsys.readouterr()
    assert "The clip is silent." in printed.out
    assert "range       -23.03 to -23.03" in printed.out
    assert printed.err == ""
    soundfile.write("loud.wav", np.sign(np.sin(np.arange(RATE) / 50)), RATE)
    assert run("loud.wav", "--frontend", "logmel-dcase") == 0
    assert "samples (100 %) are clipped" in capsys.readouterr().out


def test_long_files_are_heard_from_their_start(capsys, caplog) -> None:
    with soundfile.SoundFile("long.flac", "w", 8000, 1) as file:
        for minute in range(10):
            file.write(np.full(60 * 8000, minute / 10))
    assert run("long.flac", "--frontend", "logmel-dcase", "--seconds", "7") == 0
    assert "long.flac: first 7 s of 600.00 s, 8 kHz, 1 channel" in capsys.readouterr().out
    assert "600.0 s long, of which the first 7 s are heard (--seconds N hears more)" in caplog.text
    caplog.clear()
    assert run("long.flac", "--frontend", "logmel-dcase", "--out", "x.npy") == 0
    assert len(np.load("x.npy")) == 1 + features.LONGEST_S * RATE // 1024
    assert "first 300 s" in caplog.text
    caplog.clear()
    assert run("long.flac", "--frontend", "logmel-dcase", "--seconds", "600") == 0
    assert caplog.text == ""


def test_name_that_is_no_utf_8_is_printed_and_drawn(capsys) -> None:
    name = b"caf\xe9.wav".decode("utf-8", "surrogateescape")
    soundfile.write("x.wav", np.zeros(1000), RATE)
    Path("x.wav").rename(name)
    assert run(name, "--frontend", "logmel-dcase", "--plot", "x.png") == 0
    assert capsys.readouterr().out.startswith("caf\\xe9.wav: 0.02268 s")


def test_help_has_an_example(capsys) -> None:
    with pytest.raises(SystemExit, match="0"):
        run("--help")
    said = " ".join(capsys.readouterr().out.split())
    assert "Example: captioner features rain.wav --frontend logmel-dcase --plot rain.png" in said
