"""A network trained on AudioSet as a front-end: clips in, frame embeddings and tags out."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from captioner.audio.encoders.checkpoint import file_md5, load_weights
from captioner.audio.encoders.labels import audioset_labels
from captioner.audio.encoders.network import HOP, N_FFT, SAMPLE_RATE_HZ, AudioSetNetwork, blank
from captioner.audio.frontends import Heard
from captioner.errors import InputError
from captioner.memory import keep_freed_memory

# Seconds of audio at a time. On a CPU four clips of 22.5 s need 0.7 to 0.8 times the CPU of single
# ones (the weights are laid out anew for each batch), more gain nothing; a GPU has room.
CPU_BATCH_S = 90.0
GPU_BATCH_S = 480.0
# A longer clip is taken in pieces of as many seconds, and gives the same: activations need 5 MB
# (CNN10) to 9 MB (ConvNeXt) a second.
LONGEST_PIECE_S = 60.0
CHOICES = {"precision": ("float32", "bfloat16"), "storage": ("float32", "float16")}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EncoderSettings:
    """Settings of an encoder front-end, as in config/frontends/*.yaml."""

    kind: str
    sample_rate_hz: int  # the network's: clips at another rate are resampled
    checkpoint: str  # file in config/frontends/weights.tsv
    precision: str  # float32 | bfloat16, of the convolutions on a GPU; a CPU computes in float32
    storage: str  # float32 | float16, of the shard; readers give float32

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> "EncoderSettings":
        """Check names and values; raises `InputError` naming the setting."""
        names = [field.name for field in fields(cls)]
        if set(settings) != set(names):
            raise InputError(
                f"encoder settings: found unknown {sorted(set(settings) - set(names))} and missing "
                f"{sorted(set(names) - set(settings))}, expected {', '.join(names)}."
            )
        for name, choices in CHOICES.items():
            if settings[name] not in choices:
                _refuse(name, settings[name], f"one of {', '.join(choices)}")
        if settings["sample_rate_hz"] != SAMPLE_RATE_HZ:
            _refuse(
                "sample_rate_hz",
                settings["sample_rate_hz"],
                f"{SAMPLE_RATE_HZ}, which the network was trained on (clips are resampled to it)",
            )
        return cls(**settings)


@dataclass(frozen=True)
class _Piece:
    """A clip, or as much of a long one as is taken at once."""

    clip: int
    padded: np.ndarray  # ((n_frames - 1) * HOP + N_FFT,) samples
    n_frames: int
    kept: slice  # embeddings; the others are the neighbours' and lack their context here


class Encoder:
    """Front-end of frame embeddings (n_embeddings, n_features) and tag probabilities (527,).

    A clip shorter than the network's first embedding is padded with silence at its end, as the
    published inference code pads to 10 s. What a clip gives does not depend on the clips beside
    it (to 1e-5 of the largest value: the order of sums differs).
    """

    sample_rate_hz = SAMPLE_RATE_HZ

    def __init__(
        self,
        network: AudioSetNetwork,
        settings: EncoderSettings,
        weights_md5: str,
        device: torch.device,
    ):
        """Run a network after `prepare` on `device`, in inference mode."""
        self.network = network.to(device)
        self._device = device
        self._half = settings.precision == "bfloat16" and device.type == "cuda"
        self.settings: dict[str, Any] = asdict(settings)
        self.weights_md5 = weights_md5
        self.n_features = network.n_features
        self.tags = audioset_labels()
        self.batch_s = GPU_BATCH_S if device.type == "cuda" else CPU_BATCH_S

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """Give frame embeddings (n_embeddings, n_features) float32 of (n_samples,) float32."""
        return self.hear([waveform])[0].features

    def hear(self, waveforms: Sequence[np.ndarray]) -> list[Heard]:
        """Give embeddings and tags of each waveform, in batches of similar length."""
        pieces = [
            piece
            for index, waveform in enumerate(waveforms)
            for piece in self._pieces(index, waveform)
        ]
        parts: dict[int, torch.Tensor] = {}  # by place in `pieces`
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for batch in _batches(pieces, self.batch_s):
                for place, embeddings in zip(
                    batch, self._embed([pieces[place] for place in batch]), strict=True
                ):
                    parts[place] = embeddings[pieces[place].kept]
            of_clip: list[list[torch.Tensor]] = [[] for _ in waveforms]
            for place, piece in enumerate(pieces):
                of_clip[piece.clip].append(parts[place])
            return [self._heard(torch.cat(embeddings)) for embeddings in of_clip]

    def _pieces(self, clip: int, waveform: np.ndarray) -> Iterator[_Piece]:
        network = self.network
        n_samples = max(len(waveform), (network.n_frames_min - 1) * HOP)
        if n_samples > len(waveform):
            waveform = np.pad(waveform, (0, n_samples - len(waveform)))
        padded = np.pad(waveform, N_FFT // 2, mode="reflect")  # frames are centred
        n_frames = 1 + n_samples // HOP
        n_embeddings = network.n_embeddings(n_frames)
        step = int(LONGEST_PIECE_S * SAMPLE_RATE_HZ) // (HOP * network.stride)
        if network.context is None or n_embeddings <= step:
            yield _Piece(clip, padded, n_frames, slice(0, n_embeddings))
            return
        for first in range(0, n_embeddings, step):
            last = min(first + step, n_embeddings)
            begin = max(0, first - network.context)
            end = last + network.context
            begin_frame = begin * network.stride
            end_frame = n_frames if end >= n_embeddings else end * network.stride
            samples = padded[begin_frame * HOP : (end_frame - 1) * HOP + N_FFT]
            yield _Piece(clip, samples, end_frame - begin_frame, slice(first - begin, last - begin))

    def _embed(self, pieces: Sequence[_Piece]) -> torch.Tensor:
        """Give embeddings (B, n_embeddings, n_features) float32 of a batch."""
        n_frames = [piece.n_frames for piece in pieces]
        samples = np.zeros((len(pieces), (max(n_frames) - 1) * HOP + N_FFT), np.float32)
        for row, piece in zip(samples, pieces, strict=True):
            used = piece.padded[: len(row)]
            row[: len(used)] = used
        log_mels = self.network.log_mels(torch.from_numpy(samples).to(self._device))
        log_mels = blank(log_mels, n_frames, time_axis=1)
        half = torch.autocast(self._device.type, torch.bfloat16) if self._half else nullcontext()
        with half:
            embeddings: torch.Tensor = self.network(log_mels, n_frames)
        return embeddings.float()

    def _heard(self, embeddings: torch.Tensor) -> Heard:
        tags = self.network.probabilities(embeddings)
        return Heard(embeddings.cpu().numpy(), tags.cpu().numpy())


def build_encoder(
    kind: type[AudioSetNetwork], settings: dict[str, Any], weights: Path | None
) -> Encoder:
    """Build the front-end of a network and its published checkpoint, on a GPU if there is one.

    Raises `InputError` for settings that do not fit, and for weights that are missing, unreadable
    or another network's.
    """
    checked = EncoderSettings.from_dict(settings)
    if weights is None:
        raise InputError(
            f"front-end {checked.kind}: found no weights, expected the file of the checkpoint "
            f"{checked.checkpoint}: a network gives nothing without."
        )
    with torch.device("meta"):
        network = kind()
    load_weights(network, Path(weights))
    network.prepare(weights)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        keep_freed_memory()  # up to a quarter of the time
        if checked.precision == "bfloat16":
            log.warning("front-end %s: found no GPU, computing in float32", checked.kind)
    return Encoder(network, checked, file_md5(Path(weights)), device)


def _batches(pieces: Sequence[_Piece], batch_s: float) -> Iterator[list[int]]:
    """Give the places of pieces of similar length, at most `batch_s` seconds padding included."""
    batch: list[int] = []
    for place in sorted(range(len(pieces)), key=lambda place: pieces[place].n_frames):
        seconds = (len(batch) + 1) * pieces[place].n_frames * HOP / SAMPLE_RATE_HZ
        if batch and seconds > batch_s:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def _refuse(name: str, found: object, expected: str) -> None:
    raise InputError(f"encoder setting {name}: found {found!r}, expected {expected}.")
