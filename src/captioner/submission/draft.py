"""A draft of the technical report, from the run: method, training, scores, learning curve.

The challenge wants a report written by its authors; this one is there so that a package is whole
while they write, and says so on each page.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from captioner.job import atomic_path
from captioner.reporting.loading import METRICS as METRIC_NAMES
from captioner.reporting.loading import History, read_history
from captioner.submission.check import DRAFT_MARK
from captioner.submission.check_rules import read_models

A4 = (8.27, 11.69)  # inches
LEFT, RIGHT, TOP, BOTTOM = 0.11, 0.89, 0.94, 0.06  # of the page
LINE = 0.0163  # of the page's height
WIDTH = 92  # characters of a line
WIDTHS = {"title": 50, "heading": 70}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # Wong's colour-blind-safe palette
MAX_CURVES = 4  # trainings that are drawn
FEW_EPOCHS = 3  # whose points are shown
PANELS = (  # title, unit, columns of the history with their lines
    ("Loss", "nats per word", (("training_loss", "--"), ("validation_loss", "-"))),
    ("Validation CIDEr of greedy captions", "CIDEr", (("validation_cider", "-"),)),
    ("Learning rate", "learning rate", (("learning_rate", "-"),)),
)

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9.5,
    "pdf.fonttype": 42,  # text stays text
    "text.parse_math": False,  # a dollar sign in a title is a dollar sign
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#d4d8de",
    "axes.titlelocation": "left",
    "legend.frameon": False,
}
Row = tuple[str, str]  # style (heading, text, row), text


def write_draft(
    path: str | Path,
    content: Mapping[str, Any],
    metadata: Mapping[str, Any],
    scores: Mapping[str, Any] | None,
) -> None:
    """Write the draft as PDF: the same bytes for the same run.

    Args:
        path: PDF to write, atomically.
        content: as `Submission.content` gives it.
        metadata: of the system, as `build_metadata` gives it.
        scores: of development-testing (JSON of the scores file), None if there are none.
    """
    rows = [*_head(metadata), *_method(content, metadata), *_training(content), *_results(scores)]
    histories = {
        t["title"]: read_history(Path(t["history"])) for t in content["trainings"] if t["history"]
    }
    with matplotlib.rc_context(STYLE), atomic_path(path) as temporary:
        pages = [_text_page(page) for page in _pages(rows)]
        if histories:
            pages.append(_curves(dict(list(histories.items())[:MAX_CURVES])))
        information = {
            "Title": f"Draft: {content['name']}",
            "Keywords": DRAFT_MARK.decode(),
            "Creator": None,
            "Producer": None,
            "CreationDate": None,
        }
        with PdfPages(temporary, metadata=information) as file:
            for number, page in enumerate(pages, 1):
                _mark(page, number, len(pages))
                file.savefig(page)


def _head(metadata: Mapping[str, Any]) -> Iterator[Row]:
    submission = metadata["submission"]
    yield "title", submission["name"]
    for author in submission["authors"]:
        name = " ".join(filter(None, [author["firstname"], author["lastname"]]))
        at = author["affiliation"]
        where = [at["department"], at["institute"] or at["abbreviation"], at["location"]]
        yield "text", ", ".join(filter(None, [name, *where, author["email"]]))
    yield "text", f"Submission {submission['label']} to DCASE 2021 Challenge, task 6"


def _method(content: Mapping[str, Any], metadata: Mapping[str, Any]) -> Iterator[Row]:
    system = metadata["system"]
    described = system["description"]
    yield "heading", "Method"
    kind = "An ensemble of systems" if content["ensemble"] else "A system"
    yield (
        "text",
        (
            f"{kind} of the kind {described['machine_learning_method']}. It hears "
            f"{described['acoustic_features']} of audio at {described['input_sampling_rate']}; the "
            f"audio is modelled by {described['audio_modelling']}, the words by "
            f"{described['word_modelling']} (word embeddings: {described['word_embeddings']}). "
            f"{system['complexity']['total_parameters']:,} parameters in all."
        ),
    )
    used = ", ".join(f"{key} {value}" for key, value in content["decoding"].items() if value)
    yield "text", f"Decoding: {used}."
    datasets = [item["name"] for item in system["external_datasets"] or []]
    yield "text", f"External data: {', '.join(datasets) or 'none'}."
    yield "text", f"Use of Clotho's metadata: {described.get('clotho_metadata') or 'none'}."


def _training(content: Mapping[str, Any]) -> Iterator[Row]:
    yield "heading", "Training"
    models = read_models([training["model"] for training in content["trainings"]])
    for training, model in zip(content["trainings"], models, strict=True):
        settings = training["published"] or model["settings"].get("training")
        learned = "; ".join(
            f"{source['n_clips']:,} clips of {source['corpus']}, {source['split']}"
            for source in model["trained_on"]
        )
        yield "text", f"{training['title']}: {learned or 'published weights, not trained here'}."
        if settings:
            shown = ("loss", "optimizer", "learning_rate", "batch_size", "epochs", "monitor")
            told = ", ".join(f"{k.replace('_', ' ')} {settings[k]}" for k in shown if k in settings)
            best = model.get("best") or {}
            kept = f"; weights of epoch {best['epoch']}" if "epoch" in best else ""
            yield "text", f"{told}{kept}."


def _results(scores: Mapping[str, Any] | None) -> Iterator[Row]:
    yield "heading", "Results"
    if scores is None:
        yield (
            "text",
            (
                "None on development-testing: the corpus has no such split, or the system has "
                "learned from it."
            ),
        )
        return
    yield "text", f"Development-testing, {scores['n_clips']:,} clips, 95 % intervals (bootstrap):"
    for metric, name in METRIC_NAMES.items():
        low, high = scores.get("intervals", {}).get(metric, (None, None))
        interval = f"{low:.3f} to {high:.3f}" if low is not None else ""
        yield "row", f"{name}\t{scores['metrics'][metric]:.3f}\t{interval}"


def _pages(rows: Sequence[Row]) -> Iterator[list[tuple[float, Row]]]:
    """Break rows into lines and lines into pages: (height on the page, row)."""
    page: list[tuple[float, Row]] = []
    y = TOP
    for style, text in rows:
        y -= {"title": 0, "heading": LINE, "row": 0}.get(style, LINE / 3)
        lines = [text] if style == "row" else textwrap.wrap(text, WIDTHS.get(style, WIDTH))
        for line in lines or [""]:
            if y < BOTTOM + 2 * LINE:
                yield page
                page, y = [], TOP
            page.append((y, (style, line)))
            y -= LINE * (1.6 if style == "title" else 1.15)
    if page:
        yield page


def _text_page(lines: Sequence[tuple[float, Row]]) -> Figure:
    figure = Figure(figsize=A4)
    for y, (style, text) in lines:
        if style == "row":
            for x, cell in zip((LEFT, LEFT + 0.16, LEFT + 0.25), text.split("\t"), strict=True):
                figure.text(x, y, cell, va="top")
        else:
            size = {"title": 15, "heading": 12}.get(style, 9.5)
            weight = "normal" if style == "text" else "bold"
            figure.text(LEFT, y, text, va="top", size=size, weight=weight)
    return figure


def _curves(histories: Mapping[str, History]) -> Figure:
    figure = Figure(figsize=A4)
    axes = figure.subplots(len(PANELS), 1, gridspec_kw={"hspace": 0.45})
    figure.subplots_adjust(left=LEFT + 0.03, right=RIGHT, top=TOP - 0.02, bottom=BOTTOM + 0.05)
    for panel, (title, unit, columns) in zip(axes, PANELS, strict=True):
        for (name, history), colour in zip(histories.items(), COLOURS, strict=False):
            for column, line in columns:
                values = getattr(history, column)
                if not np.isnan(values).all():
                    what = f"{name}, {column.split('_')[0]}" if len(columns) > 1 else name
                    marker = "." if len(history.epoch) < FEW_EPOCHS else None
                    panel.plot(history.epoch, values, line, color=colour, label=what, marker=marker)
        panel.set_title(title)
        panel.set_xlabel("epoch")
        panel.set_ylabel(unit)
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.set_visible(bool(panel.lines))
    axes[0].legend()
    return figure


def _mark(page: Figure, number: int, n_pages: int) -> None:
    page.text(
        0.5, 0.5, "DRAFT", size=110, color="#b00020", alpha=0.10, rotation=50, ha="center",
        va="center", weight="bold",
    )  # fmt: skip
    told = "Draft, made from the run by aac-workflow: to be replaced by the authors' own report"
    page.text(0.5, 0.975, told, ha="center", va="top", size=8.5, color="#b00020")
    page.text(
        0.5, 0.03, f"Draft, page {number} of {n_pages}", ha="center", size=8.5, color="#b00020"
    )
