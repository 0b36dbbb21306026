"""What a graph gives in onnxruntime, compared with what PyTorch gives, on sounds of other sizes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from captioner.audio.frontends import FrontEnd
from captioner.errors import InputError
from captioner.export.graphs import MASK, MEMORY, NEXT, STATE
from captioner.models.interface import Captioner, Memory
from captioner.models.padding import pad

TOLERANCE = 1e-4  # of the largest value, or of 1 where all are smaller
DURATIONS_S = (1.7, 0.4, 2.3)
N_WORDS = 5

Arrays = dict[str, np.ndarray]
Batch = Mapping[str, tuple[torch.Tensor, torch.Tensor]]  # by front-end: features and n_frames


class Session:
    """A graph in onnxruntime, on the CPU."""

    def __init__(self, path: Path):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(path, options, providers=providers)
        self.inputs = [each.name for each in self._session.get_inputs()]
        self.outputs = [each.name for each in self._session.get_outputs()]

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> Arrays:
        """Run it on what it reads of the arrays: give its outputs by name."""
        found = self._session.run(None, {name: arrays[name] for name in self.inputs})
        return dict(zip(self.outputs, found, strict=True))


def hear_batches(model: Captioner, frontends: Mapping[str, FrontEnd]) -> list[Batch]:
    """Hear noise: three clips in a batch, and one alone.

    Their lengths differ where padding changes nothing that a model gives.
    """
    durations_s = DURATIONS_S[:1] * 3 if model.equal_lengths else DURATIONS_S
    heard = {
        name: [frontend(waveform) for waveform in _sounds(durations_s, frontend.sample_rate_hz)]
        for name, frontend in frontends.items()
    }
    return [
        {name: pad(of_name[some], model.padding) for name, of_name in heard.items()}
        for some in (slice(0, 3), slice(1, 2))
    ]


def compare_frontend(frontend: FrontEnd, path: Path) -> float:
    """Compare the features of noise and of silence; see `difference`."""
    session = Session(path)
    silence = np.zeros(frontend.sample_rate_hz, np.float32)
    return max(
        difference(path.name, session({"waveform": waveform})["features"], frontend(waveform))
        for waveform in (*_sounds(DURATIONS_S, frontend.sample_rate_hz), silence)
    )


def compare_encoder(model: Captioner, batches: Sequence[Batch], path: Path) -> float:
    """Compare memory and mask; see `difference`."""
    session = Session(path)
    worst = 0.0
    for batch in batches:
        found, memory = session(encoder_inputs(batch)), _encode(model, batch)
        mask = memory.mask.numpy()
        if not np.array_equal(found[MASK], mask):
            raise _different(path.name, "another mask than the system's own")
        expected = memory.values.numpy()[mask]
        worst = max(worst, difference(path.name, found[MEMORY][mask], expected))
    return worst


@torch.inference_mode()
def compare_step(model: Captioner, batches: Sequence[Batch], encoder: Path, path: Path) -> float:
    """Compare the logits of some words, fed one after the other; see `difference`."""
    encode, session = Session(encoder), Session(path)
    random = np.random.default_rng(0)
    worst = 0.0
    for batch in batches:
        arrays, memory = encode(encoder_inputs(batch)), _encode(model, batch)
        n_rows = len(memory.values)
        state = model.start(memory, torch.zeros((n_rows, 1), dtype=torch.int64), 1)
        for _ in range(N_WORDS):
            tokens = random.integers(0, model.dims.n_tokens, n_rows)
            found = session({"tokens": tokens, **arrays})
            logits, state = model.step(state, torch.from_numpy(tokens))
            step = difference(path.name, found["logits"], logits.numpy())
            worst = max(worst, step)
            arrays |= {name.replace(NEXT, STATE, 1): value for name, value in found.items()}
    return worst


def encoder_inputs(batch: Batch) -> Arrays:
    """Name what an encoder reads, by front-end: features and numbers of frames."""
    arrays = {f"features.{name}": features.numpy() for name, (features, _) in batch.items()}
    return arrays | {f"n_frames.{name}": n_frames.numpy() for name, (_, n_frames) in batch.items()}


def difference(file: str, found: np.ndarray, expected: np.ndarray) -> float:
    """Give the largest difference, relative to the largest value where that is above 1.

    Raises `InputError` where it is more than `TOLERANCE`.
    """
    if found.shape != expected.shape:
        raise _different(file, f"shapes {found.shape} for {expected.shape}")
    differing = found[found != expected], expected[found != expected]  # infinities may be equal
    if not differing[0].size:
        return 0.0
    finite = np.abs(expected[np.isfinite(expected)])
    worst = float(np.abs(np.subtract(*differing)).max() / finite.max(initial=1.0))
    if not worst <= TOLERANCE:
        raise _different(file, f"differences of {worst:.2g}, expected {TOLERANCE:g} at most")
    return worst


def _different(file: str, found: str) -> InputError:
    return InputError(
        f"{file}: found {found}, where onnxruntime runs what PyTorch does. Nothing was written. "
        "Install the versions of torch, onnx, onnxscript and onnxruntime that requirements.lock "
        "names."
    )


@torch.inference_mode()
def _encode(model: Captioner, batch: Batch) -> Memory:
    return model.encode(
        {name: features for name, (features, _) in batch.items()},
        {name: n_frames for name, (_, n_frames) in batch.items()},
    )


def _sounds(durations_s: Sequence[float], sample_rate_hz: int) -> list[np.ndarray]:
    """Give noise of these durations, each half as loud as the one before."""
    random = np.random.default_rng(0)
    return [
        (0.1 * 0.5**place * random.standard_normal(int(duration_s * sample_rate_hz))).astype(
            np.float32
        )
        for place, duration_s in enumerate(durations_s)
    ]
