"""A small picture of how long a run takes by the number of nodes, drawn without a library."""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

WIDTH, HEIGHT = 680, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 180, 20, 48
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # Wong's, for all eyes
INK, RULE, PAGE = "#1b1f24", "#d4d8de", "#ffffff"

Curves = Mapping[str, Sequence[tuple[int, float]]]  # name -> (nodes, hours)


def draw(path: Path, curves: Curves, marked: Sequence[int]) -> None:
    """Draw hours by nodes, both on logarithmic scales, with dots at the `marked` nodes."""
    path.write_text("\n".join([*_lines(curves, marked), ""]), encoding="utf-8")


def _lines(curves: Curves, marked: Sequence[int]) -> Iterator[str]:
    points = [point for curve in curves.values() for point in curve]
    nodes = max(n for n, _ in points)
    low = math.floor(math.log10(min(h for _, h in points)))
    high = math.ceil(math.log10(max(h for _, h in points)))

    def x(n: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log2(n) / max(1, math.log2(nodes))

    def y(hours: float) -> float:
        share = (math.log10(hours) - low) / max(1, high - low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="13" fill="{INK}">'
    )
    yield f"<title>{escape(_described(curves, marked))}</title>"
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAGE}"/>'
    for power in range(low, high + 1):
        at, text = y(10.0**power), f"{10.0**power:g} h"
        yield f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="{RULE}"/>'
        yield f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{text}</text>'
    for n in marked:
        yield f'<path d="M{x(n):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{RULE}"/>'
        yield f'<text x="{x(n):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{n}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text x="{middle:.0f}" y="{HEIGHT - 10}" text-anchor="middle">nodes</text>'
    for (name, curve), colour in zip(curves.items(), COLOURS, strict=False):
        trace = "L".join(f"{x(n):.1f} {y(h):.1f}" for n, h in curve)
        yield f'<path d="M{trace}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
        for n, hours in curve:
            if n in marked:
                yield f'<circle cx="{x(n):.1f}" cy="{y(hours):.1f}" r="4" fill="{colour}"/>'
        last_n, last_h = curve[-1]
        for row, word in enumerate(name.split(", ")):
            yield (
                f'<text x="{x(last_n) + 10:.1f}" y="{y(last_h) + 4 + 15 * row:.1f}" '
                f'fill="{colour}">{escape(word)}</text>'
            )
    yield "</svg>"


def _described(curves: Curves, marked: Sequence[int]) -> str:
    of_curves = (
        f"{name}: " + ", ".join(f"{hours:.1f} h on {n}" for n, hours in curve if n in marked)
        for name, curve in curves.items()
    )
    return "Hours of a run by the number of nodes. " + "; ".join(of_curves)
