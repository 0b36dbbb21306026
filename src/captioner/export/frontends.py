"""Front-ends as modules that can be exported: from the samples of one clip to its features."""

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from captioner.audio.encoders.frontend import Encoder
from captioner.audio.encoders.network import HOP, N_FFT, AudioSetNetwork
from captioner.audio.frontends import FrontEnd, build_frontend
from captioner.audio.logmel import DECIBEL, PEAK_OFFSET, WINDOWS, LogMel, LogMelSettings
from captioner.audio.mel import mel_filter_bank
from captioner.errors import InputError


def frontend_module(
    name: str, settings: Mapping[str, Any], weights: Path | None
) -> tuple[FrontEnd, nn.Module]:
    """Build a front-end and the module that gives its features.

    The module maps (n_samples,) float32 at the front-end's sample rate to (n_frames, n_features)
    float32. Raises `InputError` for a kind of front-end that has no such module.
    """
    exact = {"precision": "float32"} if "precision" in settings else {}  # of networks, on a GPU
    frontend = build_frontend({**settings, **exact}, weights)
    if isinstance(frontend, LogMel):
        return frontend, ExportedLogMel(LogMelSettings.from_dict(frontend.settings))
    if isinstance(frontend, Encoder):
        return frontend, ExportedNetwork(copy.deepcopy(frontend.network).cpu())
    raise InputError(
        f"front-end {name}: found the kind {settings.get('kind')!r}, whose features cannot be "
        "exported; expected log-mels or a network of `captioner.audio.encoders`."
    )


class ExportedLogMel(nn.Module):
    """`captioner.audio.logmel.LogMel` in float64: what its float32 transform is checked against."""

    window: Tensor  # (n_fft,)
    filters: Tensor  # (n_bins, n_mels)

    def __init__(self, settings: LogMelSettings):
        super().__init__()
        self.settings = settings
        n_fft = settings.n_fft
        filters = mel_filter_bank(
            settings.sample_rate_hz, n_fft, settings.n_mels, settings.f_min_hz, settings.f_max_hz
        )
        self.register_buffer("window", torch.from_numpy(WINDOWS[settings.window](n_fft + 1)[:-1]))
        self.register_buffer("filters", torch.from_numpy(filters.T.copy()))

    def forward(self, waveform: Tensor) -> Tensor:
        """Map (n_samples,) to (1 + n_samples // hop, n_mels)."""
        settings = self.settings
        samples = waveform.double()
        # Offsets are made 1: the exporter's optimiser leaves out what it adds of 1e-8 and less.
        if settings.peak_normalise:
            samples = (samples / PEAK_OFFSET) / (samples.abs().max() / PEAK_OFFSET + 1)
        padded = reflected(samples, settings.n_fft // 2)
        spectrum = torch.stft(
            padded[None],
            settings.n_fft,
            settings.hop,
            window=self.window,
            center=False,
            return_complex=True,
        )
        values = torch.view_as_real(spectrum)[0].square().sum(-1).t()  # (n_frames, n_bins)
        mel = (values.sqrt() if settings.power == 1 else values) @ self.filters
        offset = settings.log_offset
        if settings.log_floor == "maximum":
            log_mel = mel.clamp(min=offset).log()
        else:
            log_mel = (mel / offset + 1).log() + math.log(offset)
        return (log_mel * DECIBEL if settings.scale == "decibel" else log_mel).float()


class ExportedNetwork(nn.Module):
    """An encoder front-end, one clip at a time and whole, as `Encoder` takes pieces of it."""

    def __init__(self, network: AudioSetNetwork):
        super().__init__()
        self.network = network

    def forward(self, waveform: Tensor) -> Tensor:
        """Map (n_samples,) to frame embeddings (n_embeddings, n_features)."""
        # Silence behind a clip too short for the first embedding.
        n_missing = torch.sym_max((self.network.n_frames_min - 1) * HOP - waveform.shape[0], 0)
        samples = torch.cat([waveform, waveform.new_zeros(n_missing)])
        log_mels = self.network.log_mels(reflected(samples, N_FFT // 2)[None])
        embeddings: Tensor = self.network(log_mels, [log_mels.shape[1]])
        return embeddings[0]


def reflected(samples: Tensor, n: int) -> Tensor:
    """Reflect `n` more samples at both ends, as often as a clip shorter than that needs."""
    n_samples = samples.shape[0]
    period = torch.full((1,), 2 * (n_samples - 1)).clamp(min=1)
    places = torch.arange(-n, n_samples + n) % period
    return samples[torch.minimum(places, period - places)]
