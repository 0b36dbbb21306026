"""SPIDEr-max: the best of several captions of each clip.

Labbé et al., "Is my automatic audio captioning system so bad? SPIDEr-max: a metric to consider
several caption candidates", DCASE Workshop 2022.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from captioner.errors import InputError
from captioner.evaluation.metrics import cider, spider
from captioner.evaluation.parses import ParseCache
from captioner.evaluation.process import twice_if_it_hangs
from captioner.evaluation.score import check_clips, tokenize_clips
from captioner.evaluation.spice import spice_scores

N_BEST_COLUMNS = ("file_name", "rank", "caption")


@dataclass(frozen=True)
class SpiderMax:
    """SPIDEr-max of the corpus (mean of clips) and of each clip, and the rank that reached it."""

    corpus: float
    per_clip: dict[str, float]
    best_rank: dict[str, int]


def read_n_best(path: str | Path) -> dict[str, list[str]]:
    """Read file name -> captions, best first, from the Parquet that decoding writes.

    Raises:
        InputError: no such file, no Parquet, or without the columns file_name, rank and caption.
    """
    try:
        table = pq.read_table(path, columns=list(N_BEST_COLUMNS))
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: expected the Parquet of n-best captions that decoding writes, with the "
            f"columns {', '.join(N_BEST_COLUMNS)}; found: {error}"
        ) from error
    found: dict[str, list[str]] = {}
    for row in sorted(table.to_pylist(), key=lambda row: row["rank"]):
        found.setdefault(row["file_name"], []).append(row["caption"])
    return found


def spider_max(
    hypotheses: Mapping[str, Sequence[str]],
    references: Mapping[str, Sequence[str]],
    *,
    java_folder: str | Path,
    cache_folder: str | Path | None = None,
    threads: int | None = None,
    memory_mb: int = 8192,
    timeout_s: float = 3600,
) -> SpiderMax:
    """Compute SPIDEr for every caption of every clip and take each clip's best.

    Args:
        hypotheses: file name -> captions, best first; where a clip has fewer than another, its
            last one counts again. Empty captions are scored as they are.
        references: file name -> captions; the same files.
        java_folder: as for `score_captions`, like the other arguments.
        cache_folder: as for `score_captions`.
        threads: as for `score_captions`.
        memory_mb: as for `score_captions`.
        timeout_s: as for `score_captions`.

    Raises:
        InputError: the clips differ, one has no caption, or a Java tool failed.
    """
    if bare := [name for name, of_clip in hypotheses.items() if not of_clip]:
        raise InputError(f"Expected at least one caption for each clip, found none: {bare[:10]}")
    ranks = []
    for rank in range(max(map(len, hypotheses.values()), default=1)):
        of_rank = {name: found[min(rank, len(found) - 1)] for name, found in hypotheses.items()}
        check_clips(of_rank, references, allow_empty=True)
        ranks.append(of_rank)
    with tempfile.TemporaryDirectory(prefix="captioner-scores-") as folder:
        scratch = Path(folder).resolve()
        tokenised = [tokenize_clips(of_rank, references, scratch, timeout_s) for of_rank in ranks]
        # A clip's SPICE depends on that clip alone: all ranks are scored at once.
        run = partial(
            spice_scores,
            [text for candidates, _ in tokenised for text in candidates],
            [of_clip for _, tokens in tokenised for of_clip in tokens],
            java_folder=Path(java_folder),
            cache=None if cache_folder is None else ParseCache(cache_folder),
            threads=threads or os.cpu_count() or 1,
            memory_mb=memory_mb,
            timeout_s=timeout_s,
        )
        spice = np.reshape(twice_if_it_hangs(run, scratch), (len(ranks), len(references)))
    values = np.array(
        [
            spider(cider(candidates, tokens), (float(of_rank.mean()), of_rank.tolist()))[1]
            for (candidates, tokens), of_rank in zip(tokenised, spice, strict=True)
        ]
    )  # (ranks, clips)
    best = values.max(axis=0)
    return SpiderMax(
        corpus=float(best.mean()),
        per_clip=dict(zip(references, best.tolist(), strict=True)),
        best_rank=dict(zip(references, values.argmax(axis=0).tolist(), strict=True)),
    )
