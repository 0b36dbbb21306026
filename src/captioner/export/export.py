"""Write a model folder as ONNX graphs, each compared with PyTorch before it is handed out."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from captioner.audio.frontends import FrontEnd
from captioner.decoding.caption import DEFAULTS
from captioner.decoding.options import DecodingOptions
from captioner.errors import InputError
from captioner.export.comparison import (
    compare_encoder,
    compare_frontend,
    compare_step,
    hear_batches,
)
from captioner.export.frontends import frontend_module
from captioner.export.graphs import (
    MASK,
    MEMORY,
    NEXT,
    STATE,
    ExportedEncoder,
    Step,
    Tensors,
    build_step,
)
from captioner.export.writing import Axes, tensors, write_graph
from captioner.job import Progress, atomic_path, write_json
from captioner.models.checkpoint import LoadedModel, encoder_weights, load_model

DESCRIPTION, ENCODER, STEP = "export.json", "encoder.onnx", "decoder_step.onnx"
SUFFIX = ".onnx"
FORMAT = 1  # of `DESCRIPTION`
TRACED_CLIPS, TRACED_FRAMES, TRACED_WORDS = 3, 150, 4  # any sizes that differ from each other
TRACED_S = 1.3


@dataclass(frozen=True)
class Graph:
    """A graph that was written."""

    file: str
    size: int  # bytes
    difference: float  # from PyTorch at most, see `comparison.difference`


def export_system(folder: str | Path, out: str | Path) -> list[Graph]:
    """Write the system of a model folder as the folder `out`, atomically.

    A graph from waveform to features for each front-end, `encoder.onnx` and `decoder_step.onnx`,
    and `export.json` with all else that captioning needs. An earlier export is replaced.

    Raises `InputError` for a folder that is no model, for a family or a front-end that cannot be
    exported, where `out` holds anything else, and where a graph does not give what PyTorch gives.
    """
    folder, out = Path(folder), Path(out)
    _check_out(out)
    loaded = load_model(folder)
    step = build_step(loaded.model)
    frontends = {
        name: frontend_module(name, settings, encoder_weights(folder, name, settings))
        for name, settings in loaded.description["frontends"].items()
    }
    heard = {name: frontend for name, (frontend, _) in frontends.items()}
    batches = hear_batches(loaded.model, heard)
    graphs = []
    total = len(frontends) + 2
    with atomic_path(out) as temporary, Progress(total, "Export", "graph") as progress:
        temporary.mkdir()

        def done(path: Path, found: float) -> None:
            graphs.append(Graph(path.name, path.stat().st_size, found))
            progress.advance(written=path.name)

        for name, (frontend, module) in frontends.items():
            path = temporary / _file(name)
            _write_frontend(module, frontend.sample_rate_hz, path)
            done(path, compare_frontend(frontend, path))
        encoder, path = temporary / ENCODER, temporary / STEP
        _write_encoder(step, encoder)
        done(encoder, compare_encoder(loaded.model, batches, encoder))
        _write_step(step, path)
        done(path, compare_step(loaded.model, batches, encoder, path))
        write_json(temporary / DESCRIPTION, _describe(loaded, heard, temporary, graphs))
    return graphs


def _file(frontend: str) -> str:
    return f"frontend.{frontend}{SUFFIX}"


def _check_out(out: Path) -> None:
    """Refuse to replace anything but an earlier export."""
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"{out}: found a file, expected the name of a folder for the export.")
    found = sorted(path.name for path in out.iterdir())
    others = [name for name in found if name != DESCRIPTION and not name.endswith(SUFFIX)]
    if others or (found and DESCRIPTION not in found):
        raise InputError(
            f"{out}: found a folder with {', '.join((others or found)[:3])}, expected a new one, "
            "or an earlier export, which is replaced. Choose another name."
        )


def _write_frontend(module: nn.Module, sample_rate_hz: int, path: Path) -> None:
    waveform = torch.zeros(int(TRACED_S * sample_rate_hz))
    axes = {"waveform": {0: "samples"}}
    write_graph(path, module, {"waveform": waveform}, axes, ["waveform"], ["features"])


def _write_encoder(step: Step, path: Path) -> None:
    features, n_frames = traced_features(step)
    several = len(features) > 1
    axes: dict[str, dict[str, Axes]] = {"features": {}, "n_frames": {}}
    for number, name in enumerate(features, start=1):
        axes["features"][name] = {0: "batch", 1: f"frames_{number}" if several else "frames"}
        axes["n_frames"][name] = {0: "batch"}
    encoder = ExportedEncoder(step)
    names = [f"{kind}.{name}" for kind in axes for name in features]
    with torch.no_grad():
        outputs = list(encoder(features, n_frames))
    write_graph(path, encoder, {"features": features, "n_frames": n_frames}, axes, names, outputs)


def _write_step(step: Step, path: Path) -> None:
    with torch.no_grad():
        memory, state = step.begin(step.model.encode(*traced_features(step)))
        tokens = torch.zeros(TRACED_CLIPS, dtype=torch.int64)
        for _ in range(TRACED_WORDS):
            _, state = step(tokens, memory, state)
    # Dense, as they come from outside: a view's strides would be part of the graph.
    inputs: dict[str, Any] = {"tokens": tokens}
    inputs["memory"] = {name: value.contiguous() for name, value in memory.items()}
    inputs["state"] = {name: value.contiguous() for name, value in state.items()}
    axes: dict[str, Any] = {"tokens": {0: "rows"}}
    axes["memory"] = {name: _axes(name, value, "positions") for name, value in memory.items()}
    axes["state"] = {name: _axes(name, value, "past") for name, value in state.items()}
    outputs = ["logits", *(following(name) for name in state)]
    write_graph(path, step, inputs, axes, ["tokens", *memory, *state], outputs)


def traced_features(step: Step) -> tuple[Tensors, Tensors]:
    """Give random features to trace a system with, and their numbers of frames."""
    generator = torch.Generator().manual_seed(0)
    sizes = step.model.dims.n_features
    features = {
        name: torch.randn(TRACED_CLIPS, TRACED_FRAMES + 10 * place, n, generator=generator)
        for place, (name, n) in enumerate(sizes.items())
    }
    return features, {
        name: torch.full((TRACED_CLIPS,), values.shape[1]) for name, values in features.items()
    }


def following(name: str) -> str:
    """Name a state's tensor as a step gives it."""
    return name.replace(STATE, NEXT, 1)


def _axes(name: str, value: Tensor, positions: str) -> Axes:
    """Give the open axes: keys and values have four, their positions in the third."""
    axes = {0: "rows"}
    if value.dim() == 4:
        axes[2] = positions
    elif name in (MEMORY, MASK) and value.shape[1] > 1:  # one position: a family that has no more
        axes[1] = positions
    return axes


def _describe(
    loaded: LoadedModel, frontends: Mapping[str, FrontEnd], folder: Path, graphs: list[Graph]
) -> dict[str, Any]:
    """Give what `export.json` holds: all that the loop over words needs beside the graphs."""
    model, vocabulary, description = loaded.model, loaded.vocabulary, loaded.description
    options = DecodingOptions.from_settings({**DEFAULTS, "n_best": 1})
    step = _graph(folder, STEP)
    state = [each["name"] for each in step["inputs"] if each["name"].startswith(STATE)]
    return {
        "format": FORMAT,
        "title": description.get("title"),
        "family": model.family,
        "frontends": {
            name: {
                "sample_rate_hz": frontend.sample_rate_hz,
                "n_features": frontend.n_features,
                "settings": frontend.settings,
                **_graph(folder, _file(name)),
            }
            for name, frontend in frontends.items()
        },
        "encoder": _graph(folder, ENCODER),
        "decoder_step": {**step, "state": {name: following(name) for name in state}},
        "padding": model.padding,
        "equal_lengths": model.equal_lengths,
        "tokens": vocabulary.tokens,
        "start": vocabulary.start(description.get("task_token")),
        "end": vocabulary.eos,
        "unspoken": vocabulary.unspoken,
        "decoding": {
            name: getattr(options, name)
            for name in ("beam_size", "min_length", "max_length", "length_penalty")
        },
        "difference": {graph.file: graph.difference for graph in graphs},
        "versions": {name: version(name) for name in ("torch", "onnx", "onnxruntime")},
        "model": description,
    }


def _graph(folder: Path, file: str) -> dict[str, Any]:
    inputs, outputs = tensors(folder / file)
    return {"file": file, "inputs": inputs, "outputs": outputs}
