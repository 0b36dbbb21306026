"""`captioner info`: what a model is, what it learned from, how well it does."""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from captioner.commands.arguments import Commands

LICENCES_SHOWN = 5


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "info",
        help="tell what a model is and what it was trained on",
        description="Prints a model's family, size, front-ends, training data with their licences, "
        "best epoch, versions and files. Scores and licences are told where the model stands in "
        "the workflow's results.",
        epilog="Example: captioner info results/synthetic/systems/transformer_small/seed1/model",
    )
    parser.add_argument("model", type=Path, metavar="DIR", help="the folder of a trained system")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(run=_info)


def _info(arguments: argparse.Namespace) -> int:
    from captioner.reporting.model_info import describe_model

    about = describe_model(arguments.model)
    if arguments.json:
        print(json.dumps(about, indent=2, ensure_ascii=False))
        return 0
    rows = list(_rows(about))
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:<{width}}  {text}".rstrip())
    return 0


def _rows(about: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "title", about["title"] or "not stated"
    yield "family", about["family"]
    own, whole = about["parameters"], about["parameters_with_encoders"]
    yield "parameters", f"{own:,}" + (f", {whole:,} with its encoders" if whole != own else "")
    for name, settings in about["frontends"].items():
        yield "hears through", f"{name} ({_settings(settings)})"
    words = about["vocabulary"]
    counted = ", ".join(map(_corpus, words["counted_on"])) or "not stated"
    yield "words", f"{words['n_words']:,}, counted on {counted}"
    if about["task_token"] is not None:
        yield "task token", about["task_token"]
    for part in about["trained_on"]:
        yield "trained on", _part(part)
        yield from _licences(part["licences"])
    if not about["trained_on"]:
        yield "trained on", "not stated"
    for before in about["started_from"]:
        yield "started from", before["what"]
        for part in before["trained_on"] or ():
            yield "  trained on", _part(part)
            yield from _licences(part["licences"])
        if before["trained_on"] is None:
            yield "  trained on", "not known here"
    if about["seed"] is not None:
        yield "seed", str(about["seed"])
    if about["best"]:
        figures = {name: value for name, value in about["best"].items() if name != "epoch"}
        yield "best epoch", f"{about['best'].get('epoch')} ({_settings(figures)})"
    for decoding, splits in about["scores"].items():
        for split, metrics in splits.items():
            yield "scores", f"{decoding} on {split}: {_settings(metrics)}"
    yield "versions", _settings(about["versions"])
    for file, size in about["files"].items():
        yield "file", f"{file}  {size:,} bytes"


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{_name(name)} {_value(value)}" for name, value in settings.items())


def _name(key: str) -> str:
    return key.removesuffix("_hz").replace("_", " ")


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _corpus(counted: Any) -> str:
    """Name a corpus and its splits, as the vocabulary does."""
    if isinstance(counted, Mapping):
        return f"{counted.get('corpus')} ({', '.join(counted.get('splits', []))})"
    return str(counted)


def _part(part: Mapping[str, Any]) -> str:
    told = f"{part['corpus']}, {part['split']}"
    if (n_clips := part.get("n_clips")) is not None:
        told += f": {n_clips:,} clips"
    if part.get("weight", 1) != 1:
        told += f", weight {part['weight']}"
    if part.get("n_leaks"):
        told += f" ({part['n_leaks']} that leak from the scored corpus left out)"
    return told


def _licences(found: Mapping[str, int] | None) -> Iterator[tuple[str, str]]:
    if found is None:
        yield "  licences", "not known here: the corpus is not beside the model"
        return
    for licence, n_clips in list(found.items())[:LICENCES_SHOWN]:
        yield "  licence", f"{licence}: {n_clips:,} clips"
    if len(found) > LICENCES_SHOWN:
        yield "  licence", f"{len(found) - LICENCES_SHOWN} others (--json tells them all)"
