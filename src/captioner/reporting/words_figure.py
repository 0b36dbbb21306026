"""The picture of the words that the systems get right and find."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from captioner.reporting.figures import Figure, shortened
from captioner.reporting.svg import INK, PAGE, SERIES, draw
from captioner.reporting.words import Words

MARKS = {"noun": "o", "verb": "s"}  # what sounds, and how
SHARES = (("right", SERIES[0]), ("found", SERIES[1]))


def words_figure(words: Sequence[Words], identifier: str) -> Figure:
    """Draw for each system the shares of its nouns and verbs that are right, and found.

    Args:
        words: the first is on top.
        identifier: unique in the page.
    """

    def plot(axes: Axes) -> None:
        for part, marker in MARKS.items():
            for number, (name, colour) in enumerate(SHARES):
                shares = [found.shares.get(part, (None, None))[number] for found in words]
                known = [
                    (100 * share, row) for row, share in enumerate(shares) if share is not None
                ]
                axes.plot(
                    [share for share, _ in known],
                    [row for _, row in known],
                    marker,
                    color=colour,
                    markersize=7,
                    markeredgewidth=1.5,
                    markerfacecolor=colour if part == "noun" else PAGE,
                    label=f"{part}s {name}",
                    clip_on=False,
                )
        axes.set_yticks(range(len(words)), [shortened(found.label) for found in words])
        axes.set_ylim(len(words) - 0.5, -0.5)
        axes.set_xlim(0, 100)
        axes.tick_params(axis="y", length=0, colors=INK)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("share of the words (%)")
        axes.legend(
            loc="lower right", bbox_to_anchor=(1, 1), ncols=4, columnspacing=0.9, handlelength=1
        )

    listed = "; ".join(
        f"{found.label}: {', '.join(_told(found, part) for part in MARKS)}" for found in words
    )
    alt = f"Shares of nouns and verbs that are right and found. {listed}."
    svg = draw(plot, identifier, alt, (5.4, 0.9 + 0.32 * len(words)))
    return Figure(svg, "Right and found as in the table: further to the right is better.")


def _told(found: Words, part: str) -> str:
    shares = found.shares.get(part, (None, None))
    written = ["none" if share is None else f"{100 * share:.0f} %" for share in shares]
    return f"{part}s {written[0]} right, {written[1]} found"
