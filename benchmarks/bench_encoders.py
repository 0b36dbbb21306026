"""Encoders: seconds of audio heard per second, against a plain loop over clips as published.

    PYTHONPATH=src python benchmarks/bench_encoders.py --clips 4 --threads 2

Weights are random and clips noise of about 22.5 s, the mean of Clotho. The plain loop takes one
clip at a time through the layers as the papers draw them: the Fourier transform as convolutions,
batch norms on their own, channels first. Each stage runs `--repeats` times after a warm-up; the
fastest counts. Where there is a GPU, float32 and bfloat16 on it too. The error is the largest
difference from the plain loop, relative to its largest value.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from captioner.audio.encoders.checkpoint import load_weights
from captioner.audio.encoders.convnext import ConvNextTiny
from captioner.audio.encoders.frontend import Encoder, EncoderSettings
from captioner.audio.encoders.network import (
    N_FFT,
    SAMPLE_RATE_HZ,
    AudioSetNetwork,
    mel_weights,
    stft_kernels,
)
from captioner.audio.encoders.panns import Cnn10, Cnn14, Panns
from captioner.memory import keep_freed_memory

NETWORKS: dict[str, type[AudioSetNetwork]] = {
    "cnn10": Cnn10,
    "cnn14": Cnn14,
    "convnext_tiny": ConvNextTiny,
}
CLIP_S = 22.5


def main() -> None:
    """Measure every encoder and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clips", type=int, default=4, help="clips to hear (default 4)")
    parser.add_argument("--threads", type=int, default=2, help="of a CPU (default 2)")
    parser.add_argument("--repeats", type=int, default=2, help="turns of each stage (default 2)")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4], help="clips a batch")
    parser.add_argument("--encoders", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clips = make_clips(arguments.clips)
    audio_s = sum(map(len, clips)) / SAMPLE_RATE_HZ
    print(f"{len(clips)} clips, {audio_s:.0f} s, {arguments.threads} threads")
    print(f"{'':42}{'audio s per s':>14}{'per CPU s':>11}{'plain / this, CPU':>19}{'error':>9}")
    with tempfile.TemporaryDirectory() as folder:
        weights = {kind: Path(folder) / f"{kind}.pth" for kind in arguments.encoders}
        # First, as ours change how the process keeps memory.
        plain = {kind: run_plain(kind, weights[kind], clips, arguments) for kind in weights}
        keep_freed_memory()
        for kind, expected in plain.items():
            report(f"{kind}, plain loop", expected, expected, audio_s)
            for device, precision in devices():
                encoder = build(kind, weights[kind], device, precision)
                for n in arguments.batches:
                    name = f"{kind}, {device} {precision}, batches of {n}"
                    found = run(partial(ours, encoder, clips, n), arguments.repeats)
                    report(name, found, expected, audio_s)


def make_clips(n_clips: int) -> list[np.ndarray]:
    """Give noise that swells, each clip a little shorter than the one before."""
    random = np.random.default_rng(1)
    lengths = [round((CLIP_S - 0.25 * index % 4) * SAMPLE_RATE_HZ) for index in range(n_clips)]
    return [
        (0.1 * random.normal(size=n) * np.linspace(0.01, 1, n)).astype(np.float32) for n in lengths
    ]


@dataclass(frozen=True)
class Run:
    """What a stage gave, and the fastest of its turns."""

    embeddings: list[np.ndarray]
    wall_s: float
    cpu_s: float


def run(stage: Callable[[], list[np.ndarray]], repeats: int) -> Run:
    """Run a stage once, then `repeats` times by the clock; embeddings come back to the CPU."""
    embeddings = stage()
    seconds = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        stage()
        seconds.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall_s, cpu_s = (min(column) for column in zip(*seconds, strict=True))
    return Run(embeddings, wall_s, cpu_s)


def report(name: str, found: Run, plain: Run, audio_s: float) -> None:
    """Print a row; the error is relative to the largest value of the plain loop."""
    largest = max(abs(values).max() for values in plain.embeddings)
    pairs = zip(found.embeddings, plain.embeddings, strict=True)
    error = max(abs(a - b).max() for a, b in pairs) / largest
    print(
        f"{name:42}{audio_s / found.wall_s:14.1f}{audio_s / found.cpu_s:11.1f}"
        f"{plain.cpu_s / found.cpu_s:19.2f}{error:9.1e}",
        flush=True,
    )


def devices() -> list[tuple[torch.device, str]]:
    """Give the devices and precisions to measure."""
    gpu = torch.device("cuda")
    on_gpu = [(gpu, "float32"), (gpu, "bfloat16")] if torch.cuda.is_available() else []
    return [(torch.device("cpu"), "float32"), *on_gpu]


def build(kind: str, weights: Path, device: torch.device, precision: str) -> Encoder:
    """Build ours on a device of choice."""
    with torch.device("meta"):
        network = NETWORKS[kind]()
    load_weights(network, weights)
    network.prepare(weights)
    settings = EncoderSettings(kind, SAMPLE_RATE_HZ, weights.name, precision, "float16")
    return Encoder(network, settings, "", device)


def run_plain(
    kind: str, weights: Path, clips: Sequence[np.ndarray], arguments: argparse.Namespace
) -> Run:
    """Save random weights and run the plain loop with them."""
    network = random_network(kind)
    torch.save({"model": network.state_dict()}, weights)
    return run(partial(plain_loop, network, clips), arguments.repeats)


def random_network(kind: str) -> AudioSetNetwork:
    """Give a network whose units are alive on decibels of noise."""
    torch.manual_seed(0)
    network = NETWORKS[kind]().eval().requires_grad_(False)
    stft = network.spectrogram_extractor.stft
    for layer, kernels in zip((stft.conv_real, stft.conv_imag), stft_kernels(), strict=True):
        layer.weight.copy_(torch.from_numpy(kernels)[:, None])
    network.logmel_extractor.melW.copy_(torch.from_numpy(mel_weights(network.n_mels).copy()))
    nn.init.constant_(network.bn0.running_mean, -50)  # type: ignore[arg-type]
    nn.init.constant_(network.bn0.running_var, 400)  # type: ignore[arg-type]
    for name, parameter in network.named_parameters():
        if ".conv_block" in f".{name}" and parameter.ndim == 4:
            nn.init.kaiming_normal_(parameter, nonlinearity="relu")
        if name.endswith("gamma"):
            nn.init.constant_(parameter, 0.3)
    return network


def ours(encoder: Encoder, clips: Sequence[np.ndarray], n: int) -> list[np.ndarray]:
    """Hear the clips in batches of `n`."""
    encoder.batch_s = n * (CLIP_S + 1)
    return [heard.features for heard in encoder.hear(clips)]


@torch.inference_mode()
def plain_loop(network: AudioSetNetwork, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Give each clip's embeddings, one clip after the other."""
    return [plain(network, torch.from_numpy(clip)).numpy() for clip in clips]


def plain(network: AudioSetNetwork, waveform: torch.Tensor) -> torch.Tensor:
    """Give embeddings (n, n_features) of a waveform (n_samples,), layer by layer."""
    stft = network.spectrogram_extractor.stft
    padded = F.pad(waveform[None, None], (N_FFT // 2, N_FFT // 2), mode="reflect")
    power = stft.conv_real(padded) ** 2 + stft.conv_imag(padded) ** 2  # (1, N_BINS, T)
    mels = power.transpose(1, 2) @ network.logmel_extractor.melW
    x = 10 * torch.log10(mels.clamp(min=1e-10))
    x = network.bn0(x.transpose(1, 2)[..., None]).permute(0, 3, 2, 1)  # (1, 1, T, F)
    block: Any  # its layers have no type
    if isinstance(network, Panns):
        for number in range(1, len(network.channels) + 1):
            block = getattr(network, f"conv_block{number}")
            x = F.relu(block.bn1(block.conv1(x)))
            x = F.relu(block.bn2(block.conv2(x)))
            x = F.avg_pool2d(x, 2) if number <= network.n_pools else x
    elif isinstance(network, ConvNextTiny):
        for number in range(4):
            first, second = network.downsample_layers[number].children()
            x = channel_norm(second, first(x)) if number == 0 else second(channel_norm(first, x))
            for block in network.stages[number].children():
                y = block.norm(block.dwconv(x).permute(0, 2, 3, 1))
                y = block.pwconv2(F.gelu(block.pwconv1(y)))
                x = x + (block.gamma * y).permute(0, 3, 1, 2)
    return x.mean(3)[0].T


def channel_norm(norm: Any, x: torch.Tensor) -> torch.Tensor:
    """LayerNorm of (B, C, T, F) over C, written out as published."""
    centred = x - x.mean(1, keepdim=True)
    x = centred / torch.sqrt((centred**2).mean(1, keepdim=True) + 1e-6)
    return norm.weight[:, None, None] * x + norm.bias[:, None, None]


if __name__ == "__main__":
    main()
