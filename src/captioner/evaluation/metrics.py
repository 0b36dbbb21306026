"""The metric sets by name, and the metrics that need no Java.

Each function takes tokenised captions, one candidate and a list of references per clip, and
returns the corpus value and one value per clip, exactly as `pycocoevalcap` computes them.
"""

from collections.abc import Sequence

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.bleu.bleu_scorer import cook_refs, cook_test
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

METRIC_SETS = {
    "dcase2021": (
        "bleu_1",
        "bleu_2",
        "bleu_3",
        "bleu_4",
        "rouge_l",
        "meteor",
        "cider",
        "spice",
        "spider",
    ),
    "dcase2023": ("meteor", "cider", "spice", "spider", "spider_fl"),
    "dcase2024": ("meteor", "cider", "spice", "spider", "spider_fl", "fense"),
    "diversity": (
        "vocabulary_size",
        "vocabulary_coverage",
        "distinct_1",
        "distinct_2",
        "mean_length",
        "repeated_content_words",
        "repeated_words",
        "unfinished",
    ),
}


def bleu(
    candidates: Sequence[str], references: Sequence[Sequence[str]]
) -> list[tuple[float, list[float]]]:
    """BLEU-1 to 4, closest reference length; a corpus value is no mean of clips."""
    corpus, per_clip = Bleu(4).compute_score(*_keyed(candidates, references), verbose=0)
    return list(zip(corpus, per_clip, strict=True))


def bleu_statistics(
    candidates: Sequence[str], references: Sequence[Sequence[str]]
) -> list[list[int]]:
    """What BLEU adds up over clips: 10 numbers each.

    Matches of 1- to 4-grams, n-grams guessed (4), the candidate's length, the closest reference's.
    """
    rows = []
    for candidate, of_clip in zip(candidates, references, strict=True):
        counts = cook_test(candidate, cook_refs(of_clip), eff="closest")
        rows.append([*counts["correct"], *counts["guess"], counts["testlen"], counts["reflen"]])
    return rows


def rouge_l(
    candidates: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[float, list[float]]:
    """ROUGE-L, beta 1.2."""
    corpus, per_clip = Rouge().compute_score(*_keyed(candidates, references))
    return float(corpus), per_clip.tolist()


def cider(
    candidates: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[float, list[float]]:
    """CIDEr-D, n-grams to 4, sigma 6; document frequencies are those of the references given."""
    corpus, per_clip = Cider().compute_score(*_keyed(candidates, references))
    return float(corpus), per_clip.tolist()


def spider(
    cider: tuple[float, Sequence[float]], spice: tuple[float, Sequence[float]]
) -> tuple[float, list[float]]:
    """SPIDEr = (CIDEr + SPICE) / 2 (Liu et al., 2017), of the corpus and of each clip."""
    of_clips = [(a + b) / 2 for a, b in zip(cider[1], spice[1], strict=True)]
    return (cider[0] + spice[0]) / 2, of_clips


def _keyed(
    candidates: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """References and candidates in the form of `pycocoevalcap`."""
    return (
        {number: list(of_clip) for number, of_clip in enumerate(references)},
        {number: [candidate] for number, candidate in enumerate(candidates)},
    )
