"""Metrics of meaning and fluency: SPIDEr-FL and FENSE. They need packages and weights of their own.

FENSE: Zhou et al., "Can audio captions be evaluated with image caption metrics?", ICASSP 2022.
SPIDEr-FL: DCASE 2023 Task 6a.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captioner.errors import InputError
from captioner.evaluation.fluency import FluencyDetector, require

PENALTY = 0.9  # what a fluency error takes from a score, as published


@dataclass(frozen=True)
class SemanticModels:
    """The two models.

    Attributes:
        sentences: name on the hub, or folder, of a `sentence-transformers` model. The published one
            is `paraphrase-mpnet-base-v2`.
        fluency: checkpoint of the fluency error detector.
        fluency_sha256: of that file; empty: not checked.
        fluency_encoder: see `FluencyDetector`.
    """

    sentences: str
    fluency: str | Path
    fluency_sha256: str = ""
    fluency_encoder: str | None = None


class SemanticJudge:
    """Both models, loaded.

    Raises:
        InputError: a package, a model or a checkpoint is absent or not what it should be.
    """

    def __init__(self, models: SemanticModels):
        self.detector = FluencyDetector(
            models.fluency, models.fluency_sha256, models.fluency_encoder
        )
        self.sentences = models.sentences
        package = require("sentence_transformers")
        try:
            self._encoder: Any = package.SentenceTransformer(models.sentences)
        except (OSError, ValueError) as error:
            raise InputError(
                f"The sentence-transformers model {models.sentences!r} cannot be had ({error}). "
                "Give its folder, or try again with a network."
            ) from error

    def description(self) -> dict[str, str]:
        """Say which models these are, for the results' record."""
        return {
            "sentences": self.sentences,
            "fluency": self.detector.checkpoint.name,
            "fluency_sha256": self.detector.sha256,
        }

    def similarities(
        self, candidates: Sequence[str], references: Sequence[Sequence[str]]
    ) -> list[float]:
        """Return for each clip the mean cosine of the candidate and its references."""
        flat = [caption for of_clip in references for caption in of_clip]
        ends = list(accumulate(map(len, references)))
        of_candidates, of_references = self._embed(candidates), self._embed(flat)
        return [
            float((of_references[start:end] @ embedding).mean())
            for embedding, (start, end) in zip(of_candidates, pairwise([0, *ends]), strict=True)
        ]

    def _embed(self, captions: Sequence[str]) -> NDArray[np.float32]:
        """Give unit vectors: (n captions, dimensions)."""
        found = self._encoder.encode(
            list(captions),
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return np.asarray(found)


def penalised(scores: Sequence[float], has_error: Sequence[bool]) -> list[float]:
    """Take the penalty from the scores of captions with a fluency error.

    Of SPIDEr this gives SPIDEr-FL, of the mean cosine FENSE.
    """
    return [
        score * (1 - PENALTY) if is_wrong else score
        for score, is_wrong in zip(scores, has_error, strict=True)
    ]
