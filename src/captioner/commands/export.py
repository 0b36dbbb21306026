"""`captioner export`: a trained system as ONNX graphs, to caption without PyTorch."""

import argparse
from pathlib import Path

from captioner.commands.arguments import Commands, add_models, need_extra
from captioner.errors import InputError


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "export",
        help="write a trained system as ONNX graphs",
        description="Writes a folder that is enough to caption without PyTorch: a graph from "
        "waveform to features for each front-end, encoder.onnx, decoder_step.onnx, and "
        "export.json with the words and all settings. Each graph is run in onnxruntime and must "
        "give what PyTorch gives. docs/export.md shows how captions are made of them.",
        epilog="Example: captioner export --model results/synthetic/systems/transformer_small/"
        "seed1/model --out exported",
    )
    add_models(parser, "the folder of a trained system")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="the folder to write; an earlier export there is replaced",
    )
    parser.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    if len(arguments.model) > 1:
        raise InputError(
            f"--model: found {len(arguments.model)} systems, expected one. Export the members of "
            "an ensemble each into a folder of its own; the mean of their probabilities is the "
            "ensemble's."
        )
    need_extra("export", "onnx", "onnxscript", "onnxruntime")
    from captioner.export.export import DESCRIPTION, export_system

    (model,) = arguments.model
    graphs = export_system(model, arguments.out)
    width = max(len(graph.file) for graph in graphs)
    for graph in graphs:
        differs = f"differs from PyTorch by {graph.difference:.1g} at most"
        print(f"{graph.file:<{width}}  {graph.size / 1e6:8.2f} MB  {differs}")
    print(DESCRIPTION)
    return 0
