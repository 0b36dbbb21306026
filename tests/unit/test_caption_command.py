"""`captioner caption`: any audio file with a model folder and nothing else."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from captioner.audio.frontends import build_frontend, frontend_features
from captioner.cli import main
from captioner.decoding.beam import beam_search
from captioner.decoding.caption import load_captioner
from captioner.decoding.constraints import Constraints
from captioner.decoding.options import DecodingOptions
from captioner.models.checkpoint import load_model, save_model
from captioner.settings import read_yaml
from small_models import FRONTEND, SETTINGS, small_model


@pytest.fixture(scope="module")
def models(tmp_path_factory, repository):
    """Family -> model folder, as training leaves it."""
    settings = read_yaml(repository / "config" / "frontends" / f"{FRONTEND}.yaml")
    folders = {}
    for family in SETTINGS:
        loaded = small_model(family, n_features=settings["n_mels"], frontend_settings=settings)
        folders[family] = tmp_path_factory.mktemp(family) / "model"
        save_model(folders[family], loaded.model, loaded.vocabulary, loaded.description)
    return folders


def noise(path, duration_s=0.5, rate=44100, n_channels=1, seed=0, **form):
    """Write noise that swells differently for each seed."""
    random = np.random.default_rng(seed)
    n_samples = int(duration_s * rate)
    samples = random.normal(scale=10.0 ** -random.uniform(1, 4), size=(n_samples, n_channels))
    samples *= np.linspace(*random.uniform(0, 1, 2), n_samples)[:, None]
    soundfile.write(path, samples.clip(-1, 1), rate, **form)
    return str(path)


def expected_caption(folder, file, options):
    """The oracle: this file alone, through the front-end, the encoder and the search by hand."""
    loaded = load_model(folder)
    values = frontend_features(build_frontend(loaded.description["frontends"][FRONTEND]), file)
    vocabulary = loaded.vocabulary
    with torch.inference_mode():
        memory = loaded.model.encode(
            {FRONTEND: torch.tensor(values)[None]}, {FRONTEND: torch.tensor([len(values)])}
        )
    ((best, *_),) = beam_search(
        loaded.model,
        memory,
        torch.tensor([[vocabulary.sos]]),
        options,
        Constraints.of(options, vocabulary),
    )
    return vocabulary.decode(best.tokens)


@pytest.mark.parametrize("family", list(SETTINGS))
def test_any_format_rate_width_and_channel_count(family, models, tmp_path, capsys):
    files = [
        noise(tmp_path / "z.first.wav"),
        noise(tmp_path / "a (8 bit) [32k].wav", rate=32000, subtype="PCM_U8", seed=1),
        noise(tmp_path / 'stéréo "24".flac', n_channels=2, subtype="PCM_24", seed=2),
        noise(tmp_path / "z.second.ogg", rate=22050, format="OGG", seed=3),
        noise(tmp_path / "mp3.mp3", rate=48000, format="MP3", seed=4),
        noise(tmp_path / "one sample.wav", duration_s=1 / 44100, seed=5),
        noise(tmp_path / "float.wav", rate=8000, subtype="DOUBLE", duration_s=1.5, seed=6),
    ]
    silence = tmp_path / "silent.wav"
    soundfile.write(silence, np.zeros(20000), 44100)
    files += [str(silence), files[0]]  # a file may be named twice
    arguments = ["--model", str(models[family]), "--beam-size", "2", "--max-length", "5"]
    arguments += ["--min-length", "1"]
    assert main(["caption", *arguments, *files]) == 0
    printed = capsys.readouterr()
    options = DecodingOptions(beam_size=2, min_length=1, max_length=5)
    assert printed.out.splitlines() == [
        f"{file}\t{expected_caption(models[family], file, options)}" for file in files
    ]
    assert printed.err == ""


def test_batches_keep_the_order(models, tmp_path):
    files = [noise(tmp_path / f"{n}.wav", 0.1 * (1 + n % 3), seed=n) for n in range(7)]
    system = load_captioner(models["dcase_baseline"])
    by_batch_size = [
        [(each.sound, each.caption) for each in system.caption(files, batch_size=batch_size)]
        for batch_size in (1, 3, 32)
    ]
    assert [file for file, _ in by_batch_size[0]] == files
    assert by_batch_size[0] == by_batch_size[1] == by_batch_size[2]
    assert len({text for _, text in by_batch_size[0]}) > 1


def test_unreadable_files_are_named_and_the_others_run(models, tmp_path, capsys):
    good = noise(tmp_path / "good.wav")
    text = tmp_path / "text.wav"
    text.write_text("no audio")
    empty = tmp_path / "empty.wav"
    soundfile.write(empty, np.zeros(0), 44100)
    nan = tmp_path / "nan.wav"
    soundfile.write(nan, np.full(1000, np.nan), 44100, subtype="FLOAT")
    bare = tmp_path / "no audio"
    bare.mkdir()
    bad = [str(text), str(tmp_path / "absent.wav"), str(empty), str(nan), str(bare)]
    command = ["caption", "--model", str(models["conv_transformer"])]
    assert main([*command, bad[0], good, *bad[1:], good]) == 1
    printed = capsys.readouterr()
    assert [line.split("\t")[0] for line in printed.out.splitlines()] == [good, good]
    errors = printed.err.splitlines()
    assert len(errors) == len(bad)
    for line, file in zip(errors, bad, strict=True):
        assert line.startswith(f"captioner: error: {file}: found ")
    assert main([*command, *bad]) == 1  # not one that can be read
    assert capsys.readouterr().out == ""


def test_odd_file_names_stay_on_their_line(models, tmp_path, capfdbinary):
    names = [
        "tab\there.wav",
        "two\nlines.wav",
        "clear\x9b2J.wav",  # the terminal, with an escape of one character
        "été 雨.wav",
        "back\\slash.wav",
    ]
    plain = Path(noise(tmp_path / "plain.wav"))
    for name in names:
        (tmp_path / name).write_bytes(plain.read_bytes())
    files = [str(tmp_path / name) for name in [*names, "absent\n.wav"]]
    assert main(["caption", "--model", str(models["dcase_baseline"]), *files]) == 1
    printed = capfdbinary.readouterr()
    shown = [line.split("\t")[0] for line in printed.out.decode("utf-8").splitlines()]
    assert [Path(name).name for name in shown] == [
        r"tab\there.wav",
        r"two\nlines.wav",
        r"clear\x9b2J.wav",
        "été 雨.wav",
        r"back\slash.wav",
    ]
    assert len(printed.err.splitlines()) == 1
    assert rb"absent\n.wav" in printed.err


def test_a_sound_is_not_overwritten(models, tmp_path, capsys):
    sound = Path(noise(tmp_path / "good.wav"))
    before = sound.read_bytes()
    command = ["caption", "--model", str(models["dcase_baseline"]), "--out", str(sound)]
    for given in (sound, tmp_path):  # by its name, and in its folder
        assert main([*command, str(given)]) == 2
        assert "good.wav: found it among what is read" in capsys.readouterr().err
    assert main([*command, "--format", "vtt", str(sound)]) == 2
    assert sound.read_bytes() == before


@pytest.mark.parametrize("damage", ["absent", "weights", "description", "not json"])
def test_a_bad_model_folder_is_exit_code_2(damage, models, tmp_path, capsys):
    folder = tmp_path / "model"
    if damage != "absent":
        folder.mkdir()
        for file in models["dcase_baseline"].iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
    if damage == "weights":
        (folder / "weights.safetensors").unlink()
    if damage == "description":
        (folder / "model.json").unlink()
    if damage == "not json":
        (folder / "model.json").write_text("{")
    assert main(["caption", "--model", str(folder), noise(tmp_path / "good.wav")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("captioner: error: ")
    assert str(folder) in printed.err


@pytest.mark.parametrize("options", [["--beam-size", "0"], ["--max-length", "-1"], []])
def test_bad_options_are_exit_code_2(options, models, tmp_path, capsys):
    model = ["--model", str(models["dcase_baseline"])] if options else []
    with pytest.raises(SystemExit) as stop:
        main(["caption", *model, *options, noise(tmp_path / "good.wav")])
    assert stop.value.code == 2
    assert (options or ["--model"])[0] in capsys.readouterr().err
