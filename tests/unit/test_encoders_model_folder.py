"""A model folder keeps the encoders that its model hears through: it captions with nothing else."""

import errno
import os
import shutil

import numpy as np
import pytest
import soundfile
import torch
from encoder_reference import noise, save_checkpoint, settings

from captioner.audio.frontends import build_frontend, frontend_features
from captioner.cli import main
from captioner.decoding.caption import load_captioner
from captioner.decoding.decode import decode_batches
from captioner.decoding.options import DecodingOptions
from captioner.errors import InputError
from captioner.models.checkpoint import encoder_weights, load_model, save_model
from captioner.models.registry import build_model
from captioner.text.vocabulary import build_vocabulary
from small_models import SETTINGS, VOCABULARY_SETTINGS, WORDS

LOGMEL = "logmel-panns"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("downloads") / "Cnn10_mAP=0.380.pth"
    save_checkpoint(path, "cnn10")
    return path


@pytest.fixture
def save(tmp_path, checkpoint, repository):
    """Save a model that hears through CNN10 and log-mels; give its folder."""
    from captioner.settings import read_yaml

    logmel = read_yaml(repository / "config" / "frontends" / f"{LOGMEL}.yaml")
    vocabulary = build_vocabulary([WORDS, WORDS], VOCABULARY_SETTINGS, ["toy"])
    torch.manual_seed(1)
    model = build_model(
        "conv_transformer",
        SETTINGS["conv_transformer"],
        {"cnn10": 512},
        len(vocabulary),
        vocabulary.sos,
        vocabulary.eos,
    )

    def save(encoders):
        description = {"frontends": {"cnn10": settings("cnn10")}}
        save_model(tmp_path / "model", model, vocabulary, description, encoders)
        return tmp_path / "model"

    assert encoder_weights(tmp_path, LOGMEL, logmel) is None
    return save


def test_the_copy_is_a_hard_link(save, checkpoint, tmp_path):
    link = tmp_path / "fetched.pth"  # downloads are links to verified files
    link.symlink_to(checkpoint)
    folder = save({"cnn10": link})
    kept = folder / "encoders" / "cnn10.pth"
    assert kept.samefile(checkpoint)
    assert not kept.is_symlink()
    assert encoder_weights(folder, "cnn10", settings("cnn10")) == kept
    assert load_model(folder).description["frontends"]["cnn10"] == settings("cnn10")


def test_across_file_systems_it_is_a_copy(save, checkpoint, monkeypatch):
    def no_link(*_arguments, **_options):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_link)
    kept = save({"cnn10": checkpoint}) / "encoders" / "cnn10.pth"
    assert kept.read_bytes() == checkpoint.read_bytes()
    assert not kept.samefile(checkpoint)


def test_captions_of_a_folder_moved_elsewhere(save, checkpoint, tmp_path, capsys):
    folder = shutil.copytree(save({"cnn10": checkpoint}), tmp_path / "else where" / "model")
    shutil.rmtree(tmp_path / "model")
    files = []
    for index, duration_s in enumerate((1.0, 0.2, 2.0)):
        files.append(str(tmp_path / f"{index}.wav"))
        soundfile.write(files[-1], noise(duration_s, index), 32000)
    options = DecodingOptions(beam_size=2, min_length=1, max_length=6)
    found = load_captioner(folder).caption(files, beam_size=2, min_length=1, max_length=6)
    captions = {each.sound: each.caption for each in found}
    # The oracle: the same features from the downloaded checkpoint, decoded by hand.
    encoder = build_frontend(settings("cnn10"), checkpoint)
    features = {"cnn10": {file: frontend_features(encoder, file) for file in files}}
    assert not np.allclose(*(features["cnn10"][file][0] for file in files[:2]))
    loaded = load_model(folder)
    for hypotheses in decode_batches(loaded, features, files, options):
        for file, (best, *_) in hypotheses.items():
            assert captions[file] == loaded.vocabulary.decode(best.tokens)
    assert main(["caption", "--model", str(folder), *files]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_a_folder_without_its_encoder(save, tmp_path, capsys):
    folder = save(None)
    soundfile.write(tmp_path / "a.wav", noise(1.0), 32000)
    with pytest.raises(InputError) as error:
        load_captioner(folder)
    assert (
        f"{folder}: found no encoders/cnn10.pth, expected the checkpoint Cnn10_mAP=0.380.pth"
        in (str(error.value))
    )
    assert main(["caption", "--model", str(folder), str(tmp_path / "a.wav")]) == 2
    assert "encoders/cnn10.pth" in capsys.readouterr().err
