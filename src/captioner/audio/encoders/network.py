"""What the networks trained on AudioSet share: their log-mels, and how a front-end runs them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from captioner.audio.mel import mel_filter_bank
from captioner.errors import InputError

SAMPLE_RATE_HZ = 32000
N_FFT = 1024  # 32 ms, hann
HOP = 320  # 10 ms
N_BINS = N_FFT // 2 + 1
F_MIN_HZ, F_MAX_HZ = 50, 14000
POWER_FLOOR = 1e-10
KERNEL_TOLERANCE = 1e-4  # of the largest value: rounding of the code that made the checkpoints
N_CLASSES = 527


class AudioSetNetwork(nn.Module, ABC):
    """A network from log-mels to frame embeddings and tag probabilities.

    Its state dict has the published names. `nn.Module` weights are loaded first; `prepare` then
    rearranges them for inference, so a state dict taken later has other names.
    """

    n_mels: ClassVar[int]
    n_features: ClassVar[int]
    stride: ClassVar[int]  # log-mel frames from one embedding to the next
    n_frames_min: ClassVar[int]  # log-mel frames that give one embedding
    # Embeddings on either side that share log-mel frames with one: what a piece of a long clip
    # must overlap its neighbours by to be exact. None: an embedding sees the whole clip.
    context: ClassVar[int | None]

    # After `prepare`:
    window: torch.Tensor  # (N_FFT,)
    mel_scale: torch.Tensor  # (n_mels,), with mel_shift the batch norm over the bands
    mel_shift: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.spectrogram_extractor = _Spectrogram()
        self.logmel_extractor = _MelFilters(self.n_mels)
        self.bn0 = nn.BatchNorm2d(self.n_mels)

    @abstractmethod
    def n_embeddings(self, n_frames: int) -> int:
        """Give the number of embeddings of a clip of `n_frames` log-mel frames."""

    @abstractmethod
    def forward(self, log_mels: torch.Tensor, n_frames: Sequence[int]) -> torch.Tensor:
        """Give frame embeddings (B, n_embeddings, n_features) of log-mels (B, T, n_mels).

        Clip i has `n_frames[i]` of the T frames, and what it gives does not depend on the others
        nor on T: `log_mels` are zero behind it, and a network keeps that so before each operation
        that looks across time. Embeddings behind a clip's last are meaningless.
        """

    @abstractmethod
    def probabilities(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Give the probability (N_CLASSES,) of each class in a clip (n_embeddings, n_features)."""

    @abstractmethod
    def rearrange(self) -> None:
        """Fold and lay out the loaded weights for inference."""

    def prepare(self, source: object) -> None:
        """Make the loaded network ready for inference.

        Raises `InputError` naming `source` if its log-mels are not those of this module.
        """
        self.eval().requires_grad_(False)
        _compare(self, source)
        window = torch.hann_window(N_FFT, periodic=True, dtype=torch.float64)
        self.register_buffer("window", window.float())
        del self.spectrogram_extractor  # `torch.stft` with this window is the same
        bn0 = self.bn0
        mean, variance = bn0.running_mean, bn0.running_var
        assert mean is not None and variance is not None  # of a batch norm with statistics
        scale = bn0.weight / (variance + bn0.eps).sqrt()
        self.register_buffer("mel_scale", scale)
        self.register_buffer("mel_shift", bn0.bias - mean * scale)
        del self.bn0
        self.rearrange()

    def log_mels(self, padded: torch.Tensor) -> torch.Tensor:
        """Give the normalised log-mels (B, T, n_mels) of waveforms (B, (T - 1) * HOP + N_FFT).

        10 log10 of energies, at least 1e-10 (ref 1, no limit below the loudest), then batch norm
        over the bands. `padded` holds N_FFT / 2 samples before the first frame's centre.
        """
        spectrum = torch.stft(
            padded, N_FFT, HOP, window=self.window, center=False, return_complex=True
        )  # (B, N_BINS, T)
        power = torch.view_as_real(spectrum).square().sum(-1)
        mels = power.transpose(1, 2) @ self.logmel_extractor.melW
        return 10 * mels.clamp_(min=POWER_FLOOR).log10_() * self.mel_scale + self.mel_shift


class _Stft(nn.Module):
    """The published transform: windowed cosines and sines as convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_real = nn.Conv1d(1, N_BINS, N_FFT, stride=HOP, bias=False)
        self.conv_imag = nn.Conv1d(1, N_BINS, N_FFT, stride=HOP, bias=False)


class _Spectrogram(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stft = _Stft()


class _MelFilters(nn.Module):
    def __init__(self, n_mels: int):
        super().__init__()
        self.melW = nn.Parameter(torch.empty(N_BINS, n_mels))


def stft_kernels() -> tuple[np.ndarray, np.ndarray]:
    """Give the real and imaginary kernels (N_BINS, N_FFT) of the windowed Fourier transform."""
    samples = np.arange(N_FFT)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * samples / N_FFT)  # periodic hann
    phase = 2 * np.pi / N_FFT * (np.outer(np.arange(N_BINS), samples) % N_FFT)
    return window * np.cos(phase), -window * np.sin(phase)


def mel_weights(n_mels: int) -> np.ndarray:
    """Give the published mel filters (N_BINS, n_mels): Slaney's scale and area norm."""
    return mel_filter_bank(SAMPLE_RATE_HZ, N_FFT, n_mels, F_MIN_HZ, F_MAX_HZ).T


def blank(values: torch.Tensor, n_frames: Sequence[int], time_axis: int) -> torch.Tensor:
    """Zero in place what stands behind each clip of a batch, axis 0; give `values`."""
    longest = values.shape[time_axis]
    for index, n in enumerate(n_frames):
        if n < longest:
            values[index].narrow(time_axis - 1, n, longest - n).zero_()
    return values


def pooled(embeddings: torch.Tensor) -> torch.Tensor:
    """Give maximum plus mean over time (n_features,) of a clip (n_embeddings, n_features)."""
    return embeddings.amax(0) + embeddings.mean(0)


def _compare(network: AudioSetNetwork, source: object) -> None:
    stft = network.spectrogram_extractor.stft
    real, imaginary = stft_kernels()
    pairs = {
        "spectrogram_extractor.stft.conv_real.weight": (stft.conv_real.weight[:, 0], real),
        "spectrogram_extractor.stft.conv_imag.weight": (stft.conv_imag.weight[:, 0], imaginary),
        "logmel_extractor.melW": (network.logmel_extractor.melW, mel_weights(network.n_mels)),
    }
    for name, (found, expected) in pairs.items():
        difference = float(np.abs(found.numpy() - expected).max() / np.abs(expected).max())
        if not difference <= KERNEL_TOLERANCE:
            raise InputError(
                f"{source}: found {name} {difference:.2g} (of its largest value) off the "
                f"transform of {SAMPLE_RATE_HZ} Hz, {N_FFT} samples hann, {network.n_mels} Slaney "
                f"mels of {F_MIN_HZ} to {F_MAX_HZ} Hz, expected at most {KERNEL_TOLERANCE}. The "
                "network was trained on other log-mels: use the published file."
            )
