"""How near a split of captioned clips comes to sharing out every word in proportion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from captioner.corpus.splitting.stratify import label_matrix
from captioner.errors import InputError
from captioner.job import atomic_path

PICTURES = (".png", ".svg", ".pdf")
FREQUENT = 20  # clips: a rarer word cannot come near its share, for clips are whole


@dataclass(frozen=True)
class SplitReport:
    """The words of a split, and how they are shared out."""

    sizes: dict[str, int]  # clips of each split
    n_words: dict[str, int]  # distinct words of each split
    missing: int  # words that are not in development
    alone: int  # words of several clips, all of them in development
    single: int  # words of one clip, which is in development
    mean_deviation: float  # |share of a word's clips in a split - share of all clips|
    worst_deviation: float  # of the words in `FREQUENT` clips or more; 0 without any
    shares: np.ndarray  # (n_words, n_splits): of each word's clips
    totals: np.ndarray  # (n_words,): clips of each word


def report_split(
    captions: Mapping[str, Sequence[str]], parted: Mapping[str, Sequence[str]]
) -> SplitReport:
    """Measure a split: `parted` gives the names of each split's clips, `development` among them.

    The mean deviation is over all splits and all words of two clips or more.
    """
    labels = label_matrix([captions[name] for names in parted.values() for name in names])
    sizes = np.array([len(names) for names in parted.values()])
    split_of = np.repeat(np.arange(len(sizes)), sizes)
    found = np.stack([labels[split_of == s].sum(axis=0) for s in range(len(sizes))], axis=1)
    totals = found.sum(axis=1)
    here = found[:, list(parted).index("development")]
    deviations = np.abs(found / totals[:, None] - sizes / sizes.sum())
    several, frequent = deviations[totals > 1], deviations[totals >= FREQUENT]
    return SplitReport(
        sizes=dict(zip(parted, sizes.tolist(), strict=True)),
        n_words=dict(zip(parted, (found > 0).sum(axis=0).tolist(), strict=True)),
        missing=int((here == 0).sum()),
        alone=int(((here == totals) & (totals > 1)).sum()),
        single=int(((here == 1) & (totals == 1)).sum()),
        mean_deviation=float(several.mean()) if several.size else 0.0,
        worst_deviation=float(frequent.max()) if frequent.size else 0.0,
        shares=found / totals[:, None],
        totals=totals,
    )


def describe_split(report: SplitReport, at_random: SplitReport) -> str:
    """Tell in plain words how near a split came, beside a random split of the same sizes."""
    n_clips = sum(report.sizes.values())
    lines = [f"{n_clips} clips, {len(report.totals)} words", ""]
    lines.append(f"{'split':<12}{'clips':>8}{'share':>9}{'words':>8}")
    for split, size in report.sizes.items():
        n_words = report.n_words[split]
        lines.append(f"{split:<12}{size:>8}{100 * size / n_clips:>7.1f} %{n_words:>8}")
    rows = [
        ("words that development lacks", report.missing, at_random.missing),
        ("words of several clips, all in development", report.alone, at_random.alone),
        ("words of one clip, in development", report.single, at_random.single),
    ]
    deviations = [
        (
            "a word's share of a split is off by, on average",
            report.mean_deviation,
            at_random.mean_deviation,
        ),
        (
            f"at most, words of {FREQUENT} clips or more",
            report.worst_deviation,
            at_random.worst_deviation,
        ),
    ]
    lines += ["", f"{'':<50}{'this split':>12}{'at random':>12}"]
    lines += [f"{told:<50}{ours:>12}{theirs:>12}" for told, ours, theirs in rows]
    lines += [
        f"{told:<50}{100 * ours:>10.1f} %{100 * theirs:>10.1f} %"
        for told, ours, theirs in deviations
    ]
    if report.missing:
        lines += [
            "",
            f"{report.missing} words of other splits do not occur in development: more clips have "
            "words of their own than development holds. Give it a larger share, or reword captions",
        ]
    return "\n".join(lines)


def draw_split(report: SplitReport, path: str | Path) -> None:
    """Draw, as PNG, SVG or PDF by the suffix, the share of each word that each split has.

    A dot per word, over its number of clips; a line at the split's share of all clips. Raises
    `InputError` for another suffix.
    """
    from matplotlib.figure import Figure  # late: only this needs it

    if Path(path).suffix.lower() not in PICTURES:
        raise InputError(f"{path}: expected a picture's name that ends in {', '.join(PICTURES)}")
    n_clips = sum(report.sizes.values())
    figure = Figure(figsize=(4 * len(report.sizes), 3.5), layout="constrained")
    panels = figure.subplots(1, len(report.sizes), sharex=True, sharey=True, squeeze=False)[0]
    for panel, (split, size), shares in zip(
        panels, report.sizes.items(), report.shares.T, strict=True
    ):
        panel.scatter(report.totals, 100 * shares, s=6, alpha=0.3, linewidths=0, rasterized=True)
        panel.axhline(100 * size / n_clips, color="black", linewidth=1)
        panel.set(
            title=f"{split}: {size} clips, {100 * size / n_clips:.0f} %",
            xscale="log",
            xlabel="clips with the word",
            ylim=(-3, 103),
        )
    panels[0].set_ylabel("of them in this split (%)")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
