"""Encoders against plain implementations: values, lengths, batches, long clips, precision."""

import dataclasses
import hashlib
from importlib import import_module

import numpy as np
import pytest
import torch
from encoder_reference import (
    HOPS,
    N_FEATURES,
    N_MELS,
    decibels,
    hear,
    noise,
    published_transform,
    save_checkpoint,
    settings,
)

from captioner.audio.encoders import frontend as encoder_frontend
from captioner.audio.encoders.labels import audioset_labels
from captioner.audio.encoders.network import mel_weights, stft_kernels
from captioner.audio.frontends import FRONTENDS, build_frontend
from captioner.audio.logmel import LogMel, LogMelSettings
from captioner.errors import InputError
from captioner.settings import complete, read_yaml
from captioner.store.schema import ShardMetadata

KINDS = ["cnn10", "cnn14", "convnext_tiny"]
TOLERANCE = 1e-5  # of the largest value


@dataclasses.dataclass(frozen=True)
class Case:
    kind: str
    path: object  # of the checkpoint
    state: dict
    encoder: encoder_frontend.Encoder


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Waiting threads cost more than they bring on clips of a second."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=KINDS)
def case(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param) / "weights [1] ü.pth"
    state = save_checkpoint(path, request.param)
    return Case(request.param, path, state, build_frontend(settings(request.param), path))


def assert_close(found, expected, tolerance=TOLERANCE):
    assert found.shape == expected.shape
    assert abs(found - expected).max() <= tolerance * max(1, abs(expected).max())


def n_embeddings(kind, n_samples):
    """From the layers: frames, patches, halvings."""
    n = 1 + n_samples // 320
    if kind == "convnext_tiny":
        n = (n + 8 - 4) // 4 + 1
        return n // 2 // 2 // 2
    for _ in range({"cnn10": 4, "cnn14": 5}[kind]):
        n //= 2
    return n


def test_ten_seconds(case):
    waveform = noise(10.0)
    heard = case.encoder.hear([waveform])[0]
    embeddings, probabilities = hear(case.kind, case.state, waveform)
    expected = {"cnn10": (62, 512), "cnn14": (31, 2048), "convnext_tiny": (31, 768)}
    assert heard.features.shape == expected[case.kind]
    assert heard.features.dtype == heard.tags.dtype == np.float32
    assert_close(heard.features, embeddings)
    assert_close(heard.tags, probabilities)
    # The comparison means something: units are alive and probabilities off their ends.
    assert (embeddings != 0).mean() > 0.5
    assert embeddings.std(axis=0).mean() > 0.1
    assert ((probabilities > 0.01) & (probabilities < 0.99)).mean() > 0.5
    assert np.array_equal(case.encoder(waveform), heard.features)


@pytest.mark.parametrize("n_frames", [34, 63, 64, 80, 95])
def test_lengths_around_the_pools(case, n_frames):
    waveform = noise(2.0)[: 320 * (n_frames - 1) + n_frames]
    heard = case.encoder.hear([waveform])[0]
    embeddings, probabilities = hear(case.kind, case.state, waveform)
    assert_close(heard.features, embeddings)
    assert_close(heard.tags, probabilities)
    assert len(heard.features) == n_embeddings(case.kind, len(waveform))


@pytest.mark.parametrize("n_samples", [1, 4800, 7361, 9919])
def test_short_clips_end_in_silence(case, n_samples):
    waveform = noise(1.0)[:n_samples]
    shortest = 320 * ({"cnn10": 16, "cnn14": 32, "convnext_tiny": 24}[case.kind] - 1)
    padded = np.pad(waveform, (0, max(0, shortest - n_samples)))
    heard = case.encoder.hear([waveform])[0]
    embeddings, probabilities = hear(case.kind, case.state, padded)
    assert len(embeddings) == max(1, n_embeddings(case.kind, n_samples))
    assert_close(heard.features, embeddings)
    assert_close(heard.tags, probabilities)


def test_a_clip_does_not_depend_on_its_batch(case):
    durations = (1.6, 0.7, 2.137, 0.1, 1.6, 2.3)
    waveforms = [noise(duration, seed) for seed, duration in enumerate(durations)]
    waveforms[-1] *= 30  # what pads the others would be heard
    before = [waveform.copy() for waveform in waveforms]
    together = case.encoder.hear(waveforms)
    assert all(np.array_equal(*pair) for pair in zip(waveforms, before, strict=True))
    for waveform, heard in zip(waveforms, together, strict=True):
        alone = case.encoder.hear([waveform])[0]
        assert_close(heard.features, alone.features)
        assert_close(heard.tags, alone.tags)
    assert case.encoder.hear([]) == []


def test_a_long_clip_in_pieces(case, monkeypatch):
    """Pieces give what the whole gives. ConvNeXt sees 8.3 s around an embedding."""
    long_s, piece_s = {"cnn10": (4.17, 1), "cnn14": (6.17, 1.3), "convnext_tiny": (19.17, 9.5)}[
        case.kind
    ]
    waveform = noise(long_s)
    whole = case.encoder.hear([waveform])[0]
    monkeypatch.setattr(encoder_frontend, "LONGEST_PIECE_S", piece_s)
    in_pieces, other = case.encoder.hear([waveform, noise(0.5)])
    assert_close(in_pieces.features, whole.features)
    assert_close(in_pieces.tags, whole.tags)
    assert len(other.features) == n_embeddings(case.kind, 16000)


def test_pieces_need_their_context(case, monkeypatch):
    """Without overlap they differ: the test above can fail."""
    waveform = noise(4.0)
    whole = case.encoder(waveform)
    monkeypatch.setattr(encoder_frontend, "LONGEST_PIECE_S", 1.3)
    monkeypatch.setattr(type(case.encoder.network), "context", 0)
    assert abs(case.encoder(waveform) - whole).max() > 1e-3 * abs(whole).max()


@pytest.mark.parametrize("signal", ["silence", "clipped", "constant"])
def test_extreme_signals(case, signal):
    waveform = {
        "silence": np.zeros(32000, np.float32),
        "clipped": np.sign(noise(1.0)),
        "constant": np.ones(32000, np.float32),
    }[signal]
    heard = case.encoder.hear([waveform])[0]
    embeddings, probabilities = hear(case.kind, case.state, waveform)
    assert_close(heard.features, embeddings, 1e-4)
    assert_close(heard.tags, probabilities, 1e-4)


def test_bfloat16(case, monkeypatch):
    """The path of a GPU, on the CPU: three digits are left."""
    waveforms = [noise(1.0), noise(0.7, 1)]
    exact = case.encoder.hear(waveforms)
    monkeypatch.setattr(case.encoder, "_half", True)
    for half, whole in zip(case.encoder.hear(waveforms), exact, strict=True):
        assert half.features.dtype == np.float32
        error = abs(half.features - whole.features).max() / abs(whole.features).max()
        assert 1e-5 < error < 0.05
        assert abs(half.tags - whole.tags).max() < 0.05


def test_what_the_front_end_says_of_itself(case, repository):
    encoder = case.encoder
    assert encoder.sample_rate_hz == 32000
    assert encoder.n_features == N_FEATURES[case.kind]
    assert encoder.tags == audioset_labels()
    assert encoder.batch_s > 0
    assert encoder.weights_md5 == hashlib.md5(case.path.read_bytes()).hexdigest()
    metadata = ShardMetadata.from_frontend(encoder)
    assert metadata.dtype == "float16"
    assert metadata.weights_md5 == encoder.weights_md5
    named = read_yaml(repository / "config" / "frontends" / f"{case.kind}.yaml")
    schema = read_yaml(repository / "workflow" / "schemas" / "frontend.schema.yaml")
    assert complete(named, schema, "test") == encoder.settings == settings(case.kind)
    registry = (repository / "config" / "frontends" / "weights.tsv").read_text()
    assert f"\t{named['checkpoint']}\t" in registry


@pytest.mark.parametrize(
    ("kind", "published"),  # in the papers; the transform's fixed kernels do not count
    [("cnn10", 5_219_279), ("cnn14", 80_753_615), ("convnext_tiny", 28_222_767)],
)
def test_parameters(kind, published):
    module = import_module(FRONTENDS[kind])
    with torch.device("meta"):
        network = module.ConvNextTiny() if kind == "convnext_tiny" else module.NETWORKS[kind]()
    trained = [
        parameter.numel()
        for name, parameter in network.named_parameters()
        if not name.startswith(("spectrogram_extractor", "logmel_extractor"))
    ]
    assert sum(trained) == published
    assert network.stride == HOPS[kind]
    assert network.n_embeddings(network.n_frames_min) == 1
    assert network.n_embeddings(network.n_frames_min - 1) == 0


@pytest.mark.parametrize("n_mels", [64, 224])
def test_the_transform_is_the_published_one(n_mels):
    state = published_transform(n_mels)
    real, imaginary = stft_kernels()
    for name, kernels in (("real", real), ("imag", imaginary)):
        published = state[f"spectrogram_extractor.stft.conv_{name}.weight"][:, 0].numpy()
        assert_close(kernels, published, 1e-6)
    published = state["logmel_extractor.melW"].numpy()
    assert abs(mel_weights(n_mels) - published).max() < 1e-6 * published.max()


def test_log_mels(case):
    """In decibels, as librosa's and as those of the project's own front-end."""
    n_mels = N_MELS[case.kind]
    time_s = np.arange(64000) / 32000
    signals = [
        noise(2.0),
        np.sin(2 * np.pi * 1000 * time_s).astype(np.float32),
        np.zeros(64000, np.float32),
        np.sign(np.sin(2 * np.pi * 440 * time_s)).astype(np.float32),
    ]
    own = LogMel(
        LogMelSettings(
            kind="logmel",
            sample_rate_hz=32000,
            window="hann",
            n_fft=1024,
            hop=320,
            n_mels=n_mels,
            f_min_hz=50,
            f_max_hz=14000,
            power=2,
            log_offset=1e-10,
            log_floor="maximum",
            scale="decibel",
            peak_normalise=False,
            storage="float32",
        )
    )
    padded = np.stack([np.pad(signal, 512, mode="reflect") for signal in signals])
    normalised = case.encoder.network.log_mels(torch.from_numpy(padded))
    statistics = [case.state[f"bn0.{key}"] for key in ("running_mean", "running_var")]
    mean, deviation = statistics[0], (statistics[1] + 1e-5).sqrt()
    scaled = (normalised - case.state["bn0.bias"]) / case.state["bn0.weight"]
    for signal, found in zip(signals, (scaled * deviation + mean).numpy(), strict=True):
        expected = decibels(signal.astype(np.float64), n_mels)
        near = expected > expected.max(axis=1, keepdims=True) - 80  # dB
        assert abs(found - expected)[near].max() < 5e-3
        assert abs(found - own(signal))[near].max() < 5e-3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample_rate_hz": 44100}, r"sample_rate_hz: found 44100, expected 32000"),
        ({"precision": "half"}, r"precision: found 'half', expected one of float32, bfloat16"),
        ({"storage": "int8"}, r"storage: found 'int8', expected one of float32, float16"),
        ({"hop": 320}, r"found unknown \['hop'\] and missing \[\]"),
        ({"checkpoint": None}, r"found unknown \[\] and missing \['checkpoint'\]"),
    ],
)
def test_settings_that_are_refused(tmp_path, changes, message):
    changed = {k: v for k, v in settings("cnn10", **changes).items() if v is not None}
    with pytest.raises(InputError, match=message):
        build_frontend(changed, tmp_path / "never read.pth")


def test_weights_are_needed():
    with pytest.raises(InputError, match=r"front-end cnn14: found no weights, .*Cnn14_mAP=0\.431"):
        build_frontend(settings("cnn14"))


@pytest.mark.parametrize("kind", ["logmel-dcase", "cnn14"])
def test_keys_of_the_other_kind_are_errors(repository, kind):
    schema = read_yaml(repository / "workflow" / "schemas" / "frontend.schema.yaml")
    named = read_yaml(repository / "config" / "frontends" / f"{kind}.yaml")
    other = {"checkpoint": "a.pth"} if kind == "logmel-dcase" else {"n_mels": 64}
    with pytest.raises(InputError, match=rf"{next(iter(other))}: this key is not used together"):
        complete({**named, **other}, schema, "test")
    needed = "n_mels" if kind == "logmel-dcase" else "checkpoint"
    with pytest.raises(InputError, match=f"'{needed}' is a required property"):
        complete({k: v for k, v in named.items() if k != needed}, schema, "test")
