"""Draw one clip as a front-end hears it: waveform, features, tags, on one axis of time."""

import base64
import io
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.figure import SubFigure
from matplotlib.image import imread, imsave

from captioner.job import atomic_path
from captioner.reporting.figures import Figure
from captioner.reporting.heard import (
    MATRIX_COLUMNS,
    MATRIX_ROWS,
    FrameTimes,
    HeardClip,
    Sound,
    band_centres_hz,
    describe_sound,
    envelope,
    frame_times,
    in_decibel,
    is_log_mel,
    mean_of_columns,
    shape_text,
    strongest_of_rows,
    unit_of,
)
from captioner.reporting.svg import INK, SERIES, STYLE, draw

PNG_DPI, REPORT_DPI = 150, 100
WEBP_QUALITY = 75
WIDTH_IN = 9.0
WAVE_IN, MATRIX_IN, TITLE_IN, TAGS_IN, TAG_IN = 1.5, 2.9, 0.55, 0.75, 0.24
LONGEST_TITLE, LONGEST_TAG = 84, 44

SHOWN_DB = 80  # of a log-mel, below its loudest: what lies lower is drawn as dark as that
SHOWN_SHARE = 99.5  # percentile of an embedding's size where the colours end
NICE_HZ = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000)
TICK_GAP = 0.055  # of the axis: the least distance of two labels


def write_picture(clip: HeardClip, title: str, about: str, path: Path) -> None:
    """Write the picture as PNG, SVG or PDF, as `path` ends (see `PICTURE_FORMATS`).

    Args:
        clip: what to show.
        title: the line on top, shortened if need be: the file's name.
        about: the line below.
        path: written atomically; its folder is made.
    """
    with matplotlib.rc_context(STYLE), atomic_path(path) as temporary:
        canvas = Canvas(figsize=_size(clip, titled=True), layout="constrained", dpi=PNG_DPI)
        _draw(canvas, clip, title, about)
        with warnings.catch_warnings():  # a name in a script that the font lacks is drawn as boxes
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            canvas.savefig(temporary, format=path.suffix.lower()[1:], facecolor="white")


def heard_figure(clip: HeardClip, title: str, identifier: str) -> Figure:
    """Draw the picture for the page, in its colours.

    Args:
        clip: what to show.
        title: what it shows, for people who cannot see it.
        identifier: unique in the page.
    """

    def plot(axes: Axes) -> None:
        canvas = axes.get_figure()
        assert isinstance(canvas, Canvas)
        axes.remove()  # this picture has several
        canvas.set_dpi(REPORT_DPI)
        _draw(canvas, clip, "", "")

    told = describe(clip)
    svg = draw(plot, identifier, f"{title}. {told}", _size(clip, titled=False))
    return Figure(re.sub(r"data:image/png;base64,([^\"]+)", _as_webp, svg), told)


def _as_webp(png: re.Match[str]) -> str:
    """Compress a picture inside an SVG to a tenth of its size."""
    compressed = io.BytesIO()
    pixels = imread(io.BytesIO(base64.b64decode(png[1])))  # (n_rows, n_columns, 4)
    imsave(compressed, pixels, format="webp", pil_kwargs={"quality": WEBP_QUALITY})
    return f"data:image/webp;base64,{base64.b64encode(compressed.getvalue()).decode()}"


def describe(clip: HeardClip) -> str:
    """Say in words what the picture shows, and what it leaves out."""
    times = frame_times(clip.settings, len(clip.features), clip.duration_s)
    said = [
        f"{shape_text(clip)}, one every {1000 * times.step_s:.3g} ms, "
        f"values {clip.features.min():.3g} to {clip.features.max():.3g} ({unit_of(clip.settings)})."
    ]
    _, k_frames, k_dimensions = _shown(clip)
    if k_frames > 1:
        said.append(f"A column is the mean of {k_frames} frames.")
    if k_dimensions > 1:
        said.append(f"A row is the strongest of {k_dimensions} dimensions.")
    if clip.sound is None:
        said.append("The audio could not be read: no waveform.")
    elif told := describe_sound(clip.sound):
        said.append(told)
    return " ".join(said)


def _size(clip: HeardClip, *, titled: bool) -> tuple[float, float]:
    height = MATRIX_IN + TITLE_IN * titled + WAVE_IN * (clip.sound is not None)
    return WIDTH_IN, height + _tags_height(clip)


def _tags_height(clip: HeardClip) -> float:
    return TAGS_IN + TAG_IN * len(clip.tags) if clip.tags else 0.0


def _draw(canvas: Canvas, clip: HeardClip, title: str, about: str) -> None:
    """Draw into an empty canvas of the size that `_size` gives."""
    top: Canvas | SubFigure = canvas
    if clip.tags:  # apart, so that long names do not push the axis of time aside
        tags_height = _tags_height(clip)
        total = canvas.get_figheight()
        (top,), (bottom,) = canvas.subfigures(
            2, 1, squeeze=False, height_ratios=[total - tags_height, tags_height]
        )
        for part in (top, bottom):
            part.set_facecolor("none")
        _draw_tags(bottom.subplots(), clip)
    if title:
        top.suptitle(
            _shortened(title, LONGEST_TITLE), x=0.01, ha="left", fontsize=12, fontweight="bold"
        )
    heights = [MATRIX_IN] if clip.sound is None else [WAVE_IN, MATRIX_IN]
    grid = top.add_gridspec(len(heights), 2, height_ratios=heights, width_ratios=[60, 1])
    matrix = top.add_subplot(grid[-1, 0])
    times = _draw_matrix(matrix, top.add_subplot(grid[-1, 1]), clip)
    upper = matrix
    if clip.sound is not None:
        upper = top.add_subplot(grid[0, 0], sharex=matrix)
        _draw_waveform(upper, clip.sound)
    end_s = max(clip.duration_s, times.first_s + (len(clip.features) - 0.5) * times.step_s)
    matrix.set_xlim(0, end_s)
    upper.set_title(about, fontsize=9.5)


def _draw_waveform(axes: Axes, sound: Sound) -> None:
    shape = envelope(sound)
    if len(shape.low) == len(sound.waveform):
        marker = "o" if len(shape.low) < 3 else ""
        axes.plot(shape.times_s, shape.low, marker=marker, markersize=4, color=SERIES[0], lw=1)
    else:
        axes.fill_between(
            shape.times_s,
            shape.low,
            shape.high,
            color=SERIES[0],
            linewidth=0.5,
            edgecolor=SERIES[0],
        )
    peak = max(-shape.low.min(), shape.high.max())
    limit = 1.0 if sound.silent else 1.12 * peak
    axes.set_ylim(-limit, limit)
    several = "" if sound.n_channels == 1 else f",\nmean of {sound.n_channels}"
    axes.set_ylabel(f"amplitude{several}")
    axes.tick_params(labelbottom=False)
    if sound.silent:
        axes.text(0.5, 0.72, "silent", transform=axes.transAxes, ha="center")
    if shape.clipped.any():
        where = shape.times_s[shape.clipped]
        axes.plot(
            where,
            np.full(len(where), 0.97),
            "v",
            transform=axes.get_xaxis_transform(),
            color=SERIES[1],
            markersize=4.5,
            markeredgewidth=0,
        )
        n_clipped = np.count_nonzero(sound.clipped)
        axes.set_title(f"▼ {n_clipped} samples clipped", loc="right", color=SERIES[1], fontsize=9.5)


def _draw_matrix(axes: Axes, bar: Axes, clip: HeardClip) -> FrameTimes:
    """Draw the features with their colour bar; give the times of the frames."""
    settings = clip.settings
    n_frames, n_features = clip.features.shape
    times = frame_times(settings, n_frames, clip.duration_s)
    values, k_frames, k_dimensions = _shown(clip)
    low, high, colours = _colours(settings, values)
    image = axes.imshow(
        values,
        origin="lower",
        aspect="auto",
        cmap=colours,
        vmin=low,
        vmax=high,
        interpolation="auto",
        extent=(
            times.first_s - 0.5 * times.step_s,
            times.first_s + (k_frames * values.shape[1] - 0.5) * times.step_s,
            -0.5,
            k_dimensions * len(values) - 0.5,
        ),
    )
    axes.set_ylim(-0.5, n_features - 0.5)
    axes.grid(visible=False)
    axes.set_xlabel("time (s)" if k_frames == 1 else f"time (s), means of {k_frames} frames")
    if is_log_mel(settings):
        positions, labels = _frequency_ticks(settings)
        axes.set_yticks(positions, labels)
        axes.set_ylabel("frequency (Hz)")
    else:
        of_row = "" if k_dimensions == 1 else f"\n(the strongest of {k_dimensions})"
        axes.set_ylabel(f"embedding dimension{of_row}")
    below, above = values.min() < low, values.max() > high
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}
    figure = axes.get_figure()
    assert figure is not None
    legend = figure.colorbar(image, cax=bar, extend=extend.get((below, above), "neither"))
    legend.set_label(unit_of(settings))
    legend.outline.set_visible(False)
    bar.grid(visible=False)
    return times


def _shown(clip: HeardClip) -> tuple[np.ndarray, int, int]:
    """Give the matrix of the picture (n_rows, n_columns), and how many frames are in a column and
    how many dimensions in a row."""
    values, k_frames = mean_of_columns(clip.features.T, MATRIX_COLUMNS)
    if is_log_mel(clip.settings):
        return values, k_frames, 1
    values, k_dimensions = strongest_of_rows(values, MATRIX_ROWS)
    return values, k_frames, k_dimensions


def _colours(settings: Mapping[str, Any], values: np.ndarray) -> tuple[float, float, str]:
    """Give the ends of the colour scale and its name.

    Magma grows evenly in lightness; an embedding with both signs gets two colours that
    colour-blind people tell apart, with zero between them.
    """
    low, high = float(values.min()), float(values.max())
    if is_log_mel(settings):
        decade = 10 if in_decibel(settings) else np.log(10)  # 10 dB of energy, in this scale
        low = max(low, high - SHOWN_DB / 20 * settings["power"] * decade)
        return low, max(high, low + 1), "magma"
    end = float(np.percentile(np.abs(values), SHOWN_SHARE)) or max(-low, high, 1.0)
    return (-end, end, "PuOr_r") if low < 0 else (0.0, end, "magma")


def _frequency_ticks(settings: Mapping[str, Any]) -> tuple[list[float], list[str]]:
    """Give rows, and their labels in Hz, of round frequencies that lie in the picture."""
    centres = band_centres_hz(settings)
    rows = np.arange(len(centres))
    inside = [hz for hz in NICE_HZ if centres[0] <= hz <= centres[-1]]
    positions: list[float] = []
    labels: list[str] = []
    for hz in reversed(inside):  # the high ones, which lie apart, first
        position = float(np.interp(hz, centres, rows))
        if not positions or positions[-1] - position >= TICK_GAP * len(centres):
            positions.append(position)
            labels.append(str(hz))
    if not positions:  # a band or two
        return [float(row) for row in rows], [f"{hz:.0f}" for hz in centres]
    return positions, labels


def _draw_tags(axes: Axes, clip: HeardClip) -> None:
    names, values = zip(*clip.tags, strict=True)
    rows = np.arange(len(names))
    axes.barh(rows, values, height=0.66, color=SERIES[0])
    for row, value in zip(rows, values, strict=True):
        axes.annotate(
            f"{value:.2f}", (value, row), (4, 0), textcoords="offset points", va="center", color=INK
        )
    axes.set_yticks(rows, [_shortened(name, LONGEST_TAG) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, 1.06)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("probability")
    axes.set_title(f"The {len(names)} most probable tags")


def _shortened(text: str, longest: int) -> str:
    """Cut the middle out: the end of a file name tells as much as its start."""
    if len(text) <= longest:
        return text
    half = (longest - 1) // 2
    return f"{text[:half]}…{text[-half:]}"
