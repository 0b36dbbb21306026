"""Where words looked, in seconds: batches, one axis of time, files, errors."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import small_models
from captioner.audio.timing import FrameTimes
from captioner.decoding import attending
from captioner.decoding.attended import Attended, read_attention, write_attention
from captioner.decoding.attending import attend
from captioner.errors import InputError
from captioner.models.checkpoint import LoadedModel
from captioner.models.interface import Axis
from captioner.models.registry import ATTENTIVE
from small_models import FRONTEND, random_features, small_model

LENGTHS = {"clip.0.wav": 40, "clip.1.wav": 3, "clip.2.wav": 64, "clip.3.wav": 17, "é.wav": 1}
LOGMEL = {"kind": "logmel", "sample_rate_hz": 44100, "hop": 441}  # 10 ms


OTHERS = {  # of families that `small_models` leaves out: they decode like another
    "embedding_transformer": {"n_hidden": 16, "n_heads": 2, "n_layers": 2, "n_feedforward": 24},
    "cnn_transformer": {"n_channels": [4, 8], "n_hidden": 16, "n_heads": 2, "n_layers": 1},
}


@pytest.fixture(params=ATTENTIVE)
def loaded(request, monkeypatch):
    monkeypatch.setattr(small_models, "SETTINGS", small_models.SETTINGS | OTHERS)
    made = small_model(request.param)
    made.description["frontends"] = {FRONTEND: LOGMEL}
    return made


def some_captions(vocabulary, names):
    words = [w for i, w in enumerate(vocabulary.tokens) if i not in vocabulary.unspoken]
    words.remove("<eos>")
    draw = np.random.default_rng(3)
    captions = {name: " ".join(draw.choice(words, draw.integers(1, 7))) for name in names}
    return captions | {"clip.3.wav": ""}


def test_rows_are_what_the_model_weighs_clip_by_clip(loaded, monkeypatch):
    """The oracle decodes the caption word by word, and takes the weights of each step."""
    monkeypatch.setattr(attending, "BATCH_SIZE", 2)
    features = random_features(LENGTHS)
    captions = some_captions(loaded.vocabulary, LENGTHS)
    found = attend(loaded, {FRONTEND: features}, captions)
    assert list(found) == list(captions)
    model, vocabulary = loaded.model, loaded.vocabulary
    for name, values in features.items():
        words = captions[name].split()
        tokens = [vocabulary.sos, *(vocabulary.tokens.index(word) for word in words)]
        assert found[name].words == tuple(words)
        with torch.inference_mode():
            clip = {FRONTEND: torch.tensor(values)[None]}, {FRONTEND: torch.tensor([len(values)])}
            memory = model.encode(*clip)
            for k, row in enumerate(found[name].weights):
                fed = torch.tensor([tokens[: k + 1]])
                expected = model.attended(memory, model.embed(fed))[0, -1]
                np.testing.assert_allclose(row, expected[memory.mask[0]], atol=1e-5)
        np.testing.assert_allclose(found[name].weights.sum(axis=1), 1, atol=1e-5)


def test_seconds_of_the_bins(loaded):
    captions = some_captions(loaded.vocabulary, ["clip.2.wav"])
    found = attend(loaded, {FRONTEND: random_features(LENGTHS)}, captions | {"clip.2.wav": "dog"})
    (axis,) = loaded.model.axes({FRONTEND: 64})
    of_clip = found["clip.2.wav"]
    assert of_clip.weights.shape == (1, axis.n_positions)
    assert of_clip.bin_s == pytest.approx(axis.step * 0.01)
    assert of_clip.start_s + of_clip.bin_s / 2 == pytest.approx(axis.first * 0.01)


def test_a_task_token_is_fed_first():
    loaded = small_model("conv_transformer")
    loaded.description["frontends"] = {FRONTEND: LOGMEL}
    features = {FRONTEND: random_features({"a.wav": 40})}
    plain = attend(loaded, features, {"a.wav": "dog rain"})["a.wav"].weights
    vocabulary = replace(
        loaded.vocabulary,
        tokens=[*loaded.vocabulary.tokens[:-1], "<task:t>"],
        settings=loaded.vocabulary.settings | {"task_tokens": ["t"]},
    )
    tasked = LoadedModel(loaded.model, vocabulary, loaded.description | {"task_token": "t"})
    found = attend(tasked, features, {"a.wav": "dog rain"})["a.wav"].weights
    assert found.shape == plain.shape and not np.allclose(found, plain)


def test_front_ends_share_one_axis():
    """Positions of 0.4 s are added to bins of 0.1 s by their overlap; nothing gets lost."""
    axes = [Axis("coarse", 2, 0.0, 1), Axis("fine", 6, 0.0, 1)]
    times = {"coarse": FrameTimes(0.15, 0.4), "fine": FrameTimes(0.05, 0.1)}
    weights = np.array([[0.4, 0.2, 0.1, 0.0, 0.1, 0.1, 0.1, 0.0]], np.float32)
    start_s, bin_s, binned = attending._on_one_axis(weights, axes, times)
    assert (start_s, bin_s) == (pytest.approx(0.0), pytest.approx(0.1))
    # Coarse: -0.05 to 0.35 s and 0.35 to 0.75 s. 0.4 is 0.1 per 0.1 s, and 0.05 before the clip.
    coarse = [0.15, 0.1, 0.1, 0.05 + 0.025, 0.05, 0.05 + 0.075]
    np.testing.assert_allclose(binned[0], np.add(coarse, [0.1, 0.0, 0.1, 0.1, 0.1, 0.0]), atol=1e-6)


def test_files_hold_what_was_written(tmp_path):
    rows = {
        "a, b.wav": Attended(("a", "dog"), -0.1, 0.2, np.array([[0.25, 0.75], [1, 0]], np.float32)),
        "é.wav": Attended((), 0.0, 0.2, np.zeros((0, 0), np.float32)),
    }
    write_attention(tmp_path / "x.parquet", rows)
    found = read_attention(tmp_path / "x.parquet")
    assert list(found) == list(rows)
    for name, row in rows.items():
        assert (found[name].words, found[name].start_s) == (row.words, row.start_s)
        assert found[name].bin_s == row.bin_s
        assert found[name].weights.tolist() == row.weights.tolist()
    (tmp_path / "y.parquet").write_text("no")
    with pytest.raises(InputError, match=r"y.parquet: found no attention .* file_name, words"):
        read_attention(tmp_path / "y.parquet")


def test_refusals():
    features = {FRONTEND: random_features({"a.wav": 20})}
    with pytest.raises(InputError, match="family dcase_baseline, which has none"):
        attend(small_model("dcase_baseline"), features, {"a.wav": "dog"})
    loaded = small_model("conv_transformer")
    loaded.description["frontends"] = {FRONTEND: LOGMEL}
    with pytest.raises(InputError, match=r"found the word 'unicorn' in the caption of 'a\.wav'"):
        attend(loaded, features, {"a.wav": "dog unicorn"})
    with pytest.raises(InputError, match=r"found none for 'b\.wav'"):
        attend(loaded, features, {"b.wav": "dog"})
