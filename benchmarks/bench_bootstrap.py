"""Intervals and comparison of nine metrics: CPU time, against the plain ways to have them.

    PYTHONPATH=src python benchmarks/bench_bootstrap.py [--clips 1045] [--resamples 1000]

Ours is `intervals` (all nine metrics) and `compare` (paired bootstrap and randomisation of all
nine), from a per-clip table. The peers, in the same run: `pycocoevalcap`'s BLEU called on each
resample's captions (measured on a few resamples and scaled up), and `scipy.stats.bootstrap` of one
metric that is a mean. The captions are random words, the statistics of METEOR random counts.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import scipy.stats
from pycocoevalcap.bleu.bleu import Bleu

from captioner.evaluation.bootstrap import draw_weights, intervals
from captioner.evaluation.clip_scores import SUMMED, clip_scores_of
from captioner.evaluation.comparison import compare
from captioner.evaluation.metrics import METRIC_SETS, bleu_statistics

N_REFERENCES, N_WORDS = 5, 11
OFFICIAL_RESAMPLES = 5  # of the slow peer

Captions = tuple[list[str], list[list[str]]]


def main() -> None:
    """Make a table, measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clips", type=int, default=1045)
    parser.add_argument("--resamples", type=int, default=1000)
    arguments = parser.parse_args()
    n, resamples = arguments.clips, arguments.resamples
    captions, other = make_captions(n, 0), make_captions(n, 1)
    a, b = make_table(captions, 0), make_table(other, 1)
    spider = a.column("spider").to_numpy()
    print(f"{n} clips, {resamples} resamples: CPU seconds")
    ours = cpu_s(lambda: intervals(a, resamples=resamples))
    report("intervals of nine metrics", ours, ours)
    compared = cpu_s(lambda: compare(clip_scores_of(a), clip_scores_of(b), resamples=resamples))
    report("two systems compared, nine metrics", compared, ours)
    few = cpu_s(lambda: official_bleu(captions, n)) * resamples / OFFICIAL_RESAMPLES
    report("BLEU alone, pycocoevalcap a resample", few, ours)
    peer = cpu_s(
        lambda: scipy.stats.bootstrap(
            (spider,), np.mean, n_resamples=resamples, method="percentile", rng=0
        )
    )
    report("SPIDEr alone, scipy.stats.bootstrap", peer, ours)


def cpu_s(run: Callable[[], object]) -> float:
    """Return the CPU seconds of the second of two runs."""
    run()
    start = time.process_time()
    run()
    return time.process_time() - start


def report(what: str, seconds: float, ours: float) -> None:
    """Print one row, with the ratio to our intervals."""
    print(f"{what:38}{seconds:9.3f}{seconds / ours:9.2f} x")


def official_bleu(captions: Captions, n_clips: int) -> None:
    """Score a few resamples of the captions themselves."""
    (weights,) = draw_weights(n_clips, OFFICIAL_RESAMPLES, 0)
    for row in weights.astype(int):
        drawn = np.repeat(np.arange(n_clips), row)
        references = {i: captions[1][clip] for i, clip in enumerate(drawn)}
        candidates = {i: [captions[0][clip]] for i, clip in enumerate(drawn)}
        Bleu(4).compute_score(references, candidates, verbose=0)


def make_captions(n_clips: int, seed: int) -> Captions:
    """Give candidates and references of words drawn by Zipf's law."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, 4001)
    words = np.array([f"w{number}" for number in range(len(weights))])
    drawn = rng.choice(
        words, (n_clips, N_REFERENCES + 1, N_WORDS), p=weights / weights.sum()
    ).tolist()
    texts = [[" ".join(caption) for caption in of_clip] for of_clip in drawn]
    return [of_clip[0] for of_clip in texts], [of_clip[1:] for of_clip in texts]


def make_table(captions: Captions, seed: int) -> pa.Table:
    """Give a per-clip table as scoring writes it."""
    rng = np.random.default_rng(seed)
    n = len(captions[0])
    columns = {"file_name": pa.array([f"{i}.wav" for i in range(n)])}
    for metric in (*SUMMED, *METRIC_SETS["dcase2021"]):
        columns[metric] = pa.array(rng.uniform(size=n))
    meteor = rng.integers(1, 5, (n, 23)).astype(float)
    columns["bleu_statistics"] = pa.array(bleu_statistics(*captions), pa.list_(pa.int64()))
    columns["meteor_statistics"] = pa.array(meteor.tolist(), pa.list_(pa.float64()))
    return pa.table(columns)


if __name__ == "__main__":
    main()
