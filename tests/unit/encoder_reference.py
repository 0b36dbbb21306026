"""Checkpoints in the published form with random weights, and plain implementations to compare with.

Names, shapes and arithmetic are written down here again, from the papers and the published
checkpoints, and share no code with the encoders.
"""

import librosa
import numpy as np
import torch
from torch.nn import functional as F

SAMPLE_RATE_HZ = 32000
CHANNELS = {"cnn10": (64, 128, 256, 512), "cnn14": (64, 128, 256, 512, 1024, 2048)}
DEPTHS, DIMS = (3, 3, 9, 3), (96, 192, 384, 768)
N_MELS = {"cnn10": 64, "cnn14": 64, "convnext_tiny": 224}
N_FEATURES = {"cnn10": 512, "cnn14": 2048, "convnext_tiny": 768}
HOPS = {"cnn10": 16, "cnn14": 32, "convnext_tiny": 32}  # per embedding
CHECKPOINTS = {
    "cnn10": "Cnn10_mAP=0.380.pth",
    "cnn14": "Cnn14_mAP=0.431.pth",
    "convnext_tiny": "convnext_tiny_471mAP.pth",
}


def settings(kind, **changes):
    """Give the settings of config/frontends/{kind}.yaml."""
    return {
        "kind": kind,
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "checkpoint": CHECKPOINTS[kind],
        "precision": "float32",
        "storage": "float16",
        **changes,
    }


def save_checkpoint(path, kind, seed=0):
    """Write a checkpoint as published, {"iteration", "model"}; give its state dict."""
    state = published_state(kind, seed)
    torch.save({"iteration": 600000, "model": state}, path)
    return state


def published_state(kind, seed=0):
    """Give a state dict whose batch norms hold the statistics of noise, so that units are alive."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape, scale=1.0):
        return scale * torch.randn(*shape, generator=generator)

    state = published_transform(N_MELS[kind])

    def batch_norm(name, n):
        state[f"{name}.weight"] = 1 + normal(n, scale=0.2)
        state[f"{name}.bias"] = normal(n, scale=0.2)
        state[f"{name}.running_mean"] = torch.zeros(n)
        state[f"{name}.running_var"] = torch.ones(n)
        state[f"{name}.num_batches_tracked"] = torch.tensor(600000)

    def affine(name, *shape, bias=True, scale=1.0):
        fan_in = int(np.prod(shape[1:]))
        state[f"{name}.weight"] = normal(*shape, scale=scale * (2 / fan_in) ** 0.5)
        if bias:
            state[f"{name}.bias"] = normal(shape[0], scale=0.1)

    def layer_norm(name, n):
        state[f"{name}.weight"] = 1 + normal(n, scale=0.2)
        state[f"{name}.bias"] = normal(n, scale=0.2)

    batch_norm("bn0", N_MELS[kind])
    if kind in CHANNELS:
        n_in = 1
        for number, n_out in enumerate(CHANNELS[kind], start=1):
            for layer, n in ((1, n_in), (2, n_out)):
                affine(f"conv_block{number}.conv{layer}", n_out, n, 3, 3, bias=False)
                batch_norm(f"conv_block{number}.bn{layer}", n_out)
            n_in = n_out
        affine("fc1", n_in, n_in)
        affine("fc_audioset", 527, n_in, scale=0.05)  # probabilities off 0 and 1
    else:
        affine("downsample_layers.0.0", 96, 1, 4, 4)
        layer_norm("downsample_layers.0.1", 96)
        for stage in range(1, 4):
            layer_norm(f"downsample_layers.{stage}.0", DIMS[stage - 1])
            affine(f"downsample_layers.{stage}.1", DIMS[stage], DIMS[stage - 1], 2, 2)
        for stage, (depth, dim) in enumerate(zip(DEPTHS, DIMS, strict=True)):
            for block in range(depth):
                name = f"stages.{stage}.{block}"
                state[f"{name}.gamma"] = 0.3 + normal(dim, scale=0.1)
                affine(f"{name}.dwconv", dim, 1, 7, 7)
                layer_norm(f"{name}.norm", dim)
                affine(f"{name}.pwconv1", 4 * dim, dim)
                affine(f"{name}.pwconv2", dim, 4 * dim)
        layer_norm("norm", 768)
        affine("head_audioset", 527, 768, scale=0.05)
    hear(kind, state, noise(1.0, seed=99), calibrate=True)
    return state


def published_transform(n_mels):
    """Give the fixed weights of the log-mels."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    kernels = np.exp(-2j * np.pi * np.outer(np.arange(513), np.arange(1024)) / 1024) * window
    filters = librosa.filters.mel(sr=32000, n_fft=1024, n_mels=n_mels, fmin=50, fmax=14000)
    return {
        "spectrogram_extractor.stft.conv_real.weight": torch.tensor(kernels.real[:, None]).float(),
        "spectrogram_extractor.stft.conv_imag.weight": torch.tensor(kernels.imag[:, None]).float(),
        "logmel_extractor.melW": torch.tensor(filters.T.copy()),
    }


def noise(duration_s, seed=0):
    """Give noise that swells and changes colour, (n_samples,) float32 within [-1, 1]."""
    random = np.random.default_rng(seed)
    n_samples = round(duration_s * SAMPLE_RATE_HZ)
    white = random.normal(size=n_samples)
    brown = np.cumsum(white) / 50
    time = np.linspace(0, 1, n_samples)
    swell = 10 ** (-2 + 1.8 * np.sin(2 * np.pi * (3 * time + random.uniform())) ** 2)
    return (0.2 * swell * (time * white + (1 - time) * np.tanh(brown))).astype(np.float32)


def decibels(waveform, n_mels):
    """Give log-mels (n_frames, n_mels) by a plain librosa call."""
    energies = librosa.feature.melspectrogram(
        y=waveform,
        sr=SAMPLE_RATE_HZ,
        n_fft=1024,
        hop_length=320,
        window="hann",
        center=True,
        pad_mode="reflect",
        power=2.0,
        n_mels=n_mels,
        fmin=50,
        fmax=14000,
        norm="slaney",
    )
    return 10 * np.log10(np.maximum(energies, 1e-10)).T


@torch.no_grad()
def hear(kind, state, waveform, calibrate=False):
    """Give (embeddings (n, n_features), probabilities (527,)) of one clip, straight on.

    With `calibrate`, write the statistics of this clip into the batch norms.
    """

    def normalise(x, name):  # (1, C, ...)
        if calibrate:
            axes = [axis for axis in range(x.ndim) if axis != 1]
            state[f"{name}.running_mean"] = x.mean(axes)
            variance = x.var(axes)  # of few values in the last layers: drawn to their mean
            state[f"{name}.running_var"] = (variance + variance.mean()) / 2
        keys = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"{name}.{key}"] for key in keys))

    def affine(name):
        return state[f"{name}.weight"], state.get(f"{name}.bias")

    log_mels = torch.tensor(decibels(waveform, N_MELS[kind]), dtype=torch.float32)
    x = normalise(log_mels.T[None], "bn0").transpose(1, 2)[None]  # (1, 1, T, F)
    if kind in CHANNELS:
        for number in range(1, len(CHANNELS[kind]) + 1):
            for layer in (1, 2):
                name = f"conv_block{number}"
                x = F.conv2d(x, state[f"{name}.conv{layer}.weight"], padding=1)
                x = normalise(x, f"{name}.bn{layer}").relu()
            x = x if number == 6 else F.avg_pool2d(x, 2)
        x = x.mean(3)[0]  # (C, n)
        hidden = F.linear(x.amax(1) + x.mean(1), *affine("fc1")).relu()
        logits = F.linear(hidden, *affine("fc_audioset"))
    else:
        for stage in range(4):
            name = f"downsample_layers.{stage}"
            if stage == 0:
                x = F.conv2d(x, *affine(f"{name}.0"), stride=4, padding=(4, 0))
                x = channel_norm(x, *affine(f"{name}.1"))
            else:
                x = F.conv2d(channel_norm(x, *affine(f"{name}.0")), *affine(f"{name}.1"), stride=2)
            for block in range(DEPTHS[stage]):
                name = f"stages.{stage}.{block}"
                y = F.conv2d(x, *affine(f"{name}.dwconv"), padding=3, groups=DIMS[stage])
                y = channel_norm(y, *affine(f"{name}.norm"))[0].permute(1, 2, 0)
                y = F.gelu(F.linear(y, *affine(f"{name}.pwconv1")))
                y = F.linear(y, *affine(f"{name}.pwconv2"))
                x = x + (state[f"{name}.gamma"] * y).permute(2, 0, 1)[None]
        x = x.mean(3)[0]
        clip = F.layer_norm(x.amax(1) + x.mean(1), (768,), *affine("norm"), eps=1e-6)
        logits = F.linear(clip, *affine("head_audioset"))
    return x.T.numpy(), logits.sigmoid().numpy()


def channel_norm(x, weight, bias):
    """Normalise (B, C, T, F) over its channels."""
    centred = x - x.mean(1, keepdim=True)
    scaled = centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
    return weight[:, None, None] * scaled + bias[:, None, None]
