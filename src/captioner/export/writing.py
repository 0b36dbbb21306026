"""From a module to an ONNX file: one file with its weights, checked, and quiet."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

OPSET = 20  # the exporter's own in torch 2.15; onnxruntime reads it from 1.17 on
Axes = dict[int, str]  # the axes of a tensor whose size differs from run to run, and their names


def write_graph(
    path: Path,
    module: nn.Module,
    inputs: Mapping[str, Any],
    axes: Mapping[str, Any],
    input_names: Sequence[str],
    output_names: Sequence[str],
) -> None:
    """Write a module's graph and weights.

    Args:
        path: the file.
        module: it gives tensors, or tuples and dicts of tensors.
        inputs: what it is traced with, by its arguments' names: tensors or dicts of tensors. No
            size that is to stay open may be 0 or 1, nor equal another one that it need not equal.
        axes: in the same form, the axes of each tensor that stay open.
        input_names: the tensors' names in the graph, in order.
        output_names: those of what the module gives.
    """
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            kwargs=dict(inputs),
            dynamic_shapes=dict(axes),
            input_names=list(input_names),
            output_names=list(output_names),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # of this exporter it never is
    model = program.model_proto
    _strip(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def tensors(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Describe the inputs and the outputs of a graph: name, dtype and shape of each.

    An open axis is given by its name, or by what it is computed from.
    """
    graph = onnx.load(path, load_external_data=False).graph
    return [_described(each) for each in graph.input], [_described(each) for each in graph.output]


def _described(value: onnx.ValueInfoProto) -> dict[str, Any]:
    kind = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    shape = [axis.dim_param or axis.dim_value for axis in kind.shape.dim]
    return {"name": value.name, "dtype": dtype.name, "shape": shape}


def _strip(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes of its own work: stacks, scopes, and the paths of sources."""
    graph = model.graph
    noted = [model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output]
    for each in (*noted, *graph.initializer):
        del each.metadata_props[:]
        each.doc_string = ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporter tells of its own work: hundreds of lines."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
