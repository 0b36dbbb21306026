"""Draw with matplotlib; give SVG text that lives inside a page and follows its colours."""

import io
import re
from collections.abc import Callable
from html import escape
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Stand-ins that `_themed` turns into the page's colours, so one drawing serves light and dark.
INK, RULE, PAGE = "#1b1f24", "#d4d8de", "#fbfbfa"
# Wong's colour-blind-safe palette (Nature Methods 8:441, 2011), the strong colours first.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")

LARGEST_PX_PER_INCH = 105  # beyond it, the letters are larger than those of the page

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched and read aloud
    "svg.hashsalt": "captioner",  # the same drawing gives the same bytes
    "text.parse_math": False,  # a dollar sign in a title is a dollar sign
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
}


def draw(
    plot: Callable[[Axes], None], identifier: str, alt: str, size: tuple[float, float] = (4.4, 2.75)
) -> str:
    """Draw one pair of axes.

    Args:
        plot: draws on the axes it is given.
        identifier: unique in the page; every id inside the drawing starts with it.
        alt: what a person who cannot see the drawing should know.
        size: width and height in inches; a page scales the drawing to its own width.

    Returns:
        An `<svg>` element without fixed size, its text escaped.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        plot(figure.add_subplot())
        stream = io.StringIO()
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(stream, format="svg", transparent=True, metadata=metadata)
    return _inline(stream.getvalue(), identifier, alt, round(size[0] * LARGEST_PX_PER_INCH))


def standalone(drawing: str) -> str:
    """Make a file of a page's drawing: light, on white, with the size it was drawn at."""
    for i, colour in enumerate(SERIES):
        drawing = drawing.replace(f"var(--series-{i})", colour)
    drawing = drawing.replace("currentColor", INK).replace("var(--rule)", RULE)
    drawing = drawing.replace("var(--page)", "#ffffff")
    found = re.match(
        r'<svg viewBox="0 0 ([\d.]+) ([\d.]+)" (role="img" aria-label="[^"]*")', drawing
    )
    assert found, "`draw` begins so"
    size = f'width="{found[1]}pt" height="{found[2]}pt" viewBox="0 0 {found[1]} {found[2]}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {found[3]} style="background: #ffffff">'
    return head + drawing[drawing.index(">") + 1 :]


def _inline(drawing: str, identifier: str, alt: str, max_width_px: int) -> str:
    """Cut the drawing down to an `<svg>` with a name, its own ids and the page's colours."""
    body = drawing[drawing.index("<svg") :].strip()
    head, inside = body.split(">", 1)
    found = re.search(r'viewBox="[^"]+"', head)
    assert found, "matplotlib writes a viewBox"
    inside = re.sub(r"<metadata>.*?</metadata>", "", inside, flags=re.DOTALL)
    inside = re.sub(r'\bid="', f'id="{identifier}-', inside)
    inside = re.sub(r'href="#', f'href="#{identifier}-', inside)
    inside = inside.replace("url(#", f"url(#{identifier}-").replace("xlink:href", "href")
    head = f'{found[0]} role="img" aria-label="{escape(alt)}" style="max-width: {max_width_px}px"'
    return f"<svg {head}>{_themed(inside)}"


def _themed(drawing: str) -> str:
    drawing = drawing.replace(INK, "currentColor").replace(RULE, "var(--rule)")
    drawing = drawing.replace(PAGE, "var(--page)")
    for i, colour in enumerate(SERIES):
        drawing = drawing.replace(colour, f"var(--series-{i})")
    return drawing
