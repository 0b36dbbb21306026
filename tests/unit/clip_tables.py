"""Per-clip tables of scores, written by hand for tests: consistent, without Java."""

import random

import numpy as np
import pyarrow as pa
from pycocoevalcap.bleu.bleu import Bleu

from captioner.evaluation.metrics import bleu_statistics, cider, rouge_l

WORDS = ["a", "the", "dog", "dogs", "bird", "rain", "car", "barks", "sings", "passes", "by", "and"]
MEANS = ("rouge_l", "cider", "spice", "spider")


def sentences(n, seed, longest=14):
    """Random captions, the first of them empty, the second one word."""
    rng = random.Random(seed)
    lengths = [0, 1, *(rng.randint(3, longest) for _ in range(n - 2))]
    return [" ".join(rng.choices(WORDS, k=length)) for length in lengths]


def meteor_statistics(candidates, references, seed):
    """Statistics of segments as METEOR's, made up but possible: matches <= lengths."""
    rng = np.random.default_rng(seed)
    rows = []
    for candidate, of_clip in zip(candidates, references, strict=True):
        lengths = len(candidate.split()), len(of_clip[0].split())
        matched = int(rng.integers(min(lengths) + 1))
        content = int(rng.integers(matched + 1))
        function = matched - content
        words_of_function = [function + int(rng.integers(n - matched + 1)) for n in lengths]
        stages = [[0, 0, 0, 0] for _ in range(4)]
        stages[int(rng.integers(4))] = [content, content, function, function]
        chunks = int(rng.integers(1, matched + 1)) if matched else 0
        flat = [number for stage in stages for number in stage]
        rows.append([*lengths, *words_of_function, *flat, chunks, matched, matched])
    return np.array(rows, float)


def official_bleu(candidates, references):
    keyed = dict(enumerate(references)), {i: [c] for i, c in enumerate(candidates)}
    return Bleu(4).compute_score(*keyed, verbose=0)


def scored_table(candidates, references, seed=0, names=None, shift=0.0):
    """A table as `write_scores` has it; SPICE and METEOR are made up, `shift` is added to SPICE."""
    rng = np.random.default_rng(seed)
    statistics = meteor_statistics(candidates, references, seed)
    _, per_clip = official_bleu(candidates, references)
    cider_values = np.array(cider(candidates, references)[1])
    spice_values = rng.uniform(0, 0.3, len(candidates)) + shift
    columns = {f"bleu_{n}": per_clip[n - 1] for n in range(1, 5)}
    columns["rouge_l"] = rouge_l(candidates, references)[1]
    columns["meteor"] = rng.uniform(0, 0.4, len(candidates))
    columns["cider"], columns["spice"] = cider_values, spice_values
    columns["spider"] = (cider_values + spice_values) / 2
    arrays = {"file_name": pa.array(names or [f"clip {i}.wav" for i in range(len(candidates))])}
    arrays |= {metric: pa.array(values, pa.float64()) for metric, values in columns.items()}
    arrays["bleu_statistics"] = pa.array(
        bleu_statistics(candidates, references), pa.list_(pa.int64())
    )
    arrays["meteor_statistics"] = pa.array(statistics.tolist(), pa.list_(pa.float64()))
    return pa.table(arrays)
