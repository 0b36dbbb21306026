"""A picture of all sources, so that a person can check that rain looks like rain."""

from pathlib import Path

import numpy as np
from scipy.signal import spectrogram

from captioner.corpus.synthetic.dsp import SAMPLE_RATE_HZ, to_samples
from captioner.corpus.synthetic.soundscape import Part, Scene, render_scene
from captioner.corpus.synthetic.sources import SOURCES
from captioner.job import atomic_path

N_COLUMNS = 5
LOWEST_HZ = 40.0
RANGE_DB = 75.0


def draw_sources(path: str | Path, duration_s: float = 5.0, seed: int = 0) -> None:
    """Write a PNG with the spectrogram of one clip per source, log frequency, 75 dB of range."""
    from matplotlib.figure import Figure  # late: only pictures need it

    n_rows = -(-len(SOURCES) // N_COLUMNS)
    figure = Figure(figsize=(4 * N_COLUMNS, 2.4 * n_rows), layout="constrained")
    figure.suptitle("Corpus synthetic: one clip per source (s, kHz)")
    axes = figure.subplots(n_rows, N_COLUMNS, sharex=True, sharey=True).ravel()
    for axis, (number, source) in zip(axes, enumerate(SOURCES.values()), strict=False):
        rng = np.random.default_rng([seed, number])
        waveform = render_scene(Scene((Part(source),)), rng, to_samples(duration_s))
        frequency, time, power = spectrogram(waveform, SAMPLE_RATE_HZ, "hann", 2048, 1536)
        level = 10 * np.log10(power[1:] + 1e-14)
        axis.pcolormesh(
            time, frequency[1:] / 1000, level, vmin=level.max() - RANGE_DB, cmap="magma"
        )
        axis.set(yscale="log", ylim=(LOWEST_HZ / 1000, SAMPLE_RATE_HZ / 2000), title=source.name)
    for axis in axes[len(SOURCES) :]:
        axis.set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=70, format="png")
