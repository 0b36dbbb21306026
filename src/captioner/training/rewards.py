"""What a sampled caption is worth: its scores against the references of its clip."""

from collections.abc import Mapping, Sequence

import numpy as np

from captioner.errors import InputError
from captioner.evaluation.aggregation import bleu_of_sums
from captioner.evaluation.cider import CiderD
from captioner.evaluation.metrics import bleu_statistics
from captioner.evaluation.spoken import tokenize_once
from captioner.text.vocabulary import Vocabulary

REWARDS = ("cider", "bleu_4")


class CaptionReward:
    """A weighted sum of CIDEr-D and of BLEU-4 of the caption alone.

    References and captions are tokenised as the official tools do it; the document frequencies of
    CIDEr-D are those of all clips that are learned from. A sentence's BLEU-4 is that of the COCO
    caption tools, not smoothed: next to nothing without a common 4-gram, as in the published code
    that adds it to the reward (Luo 2020, "A better variant of self-critical sequence training").

    Raises `InputError` for a reward that is not known or counts nothing.
    """

    def __init__(
        self, texts: Sequence[Sequence[str]], vocabulary: Vocabulary, weights: Mapping[str, float]
    ):
        unknown = [name for name in weights if name not in REWARDS]
        if unknown or not any(weights.values()):
            raise InputError(
                f"training: self_critical: reward: found {dict(weights)}, expected weights of "
                f"{' and '.join(REWARDS)}, one of them not 0."
            )
        self._weights = weights
        self._spoken = tokenize_once(texts, vocabulary)
        self._cider = CiderD(self._spoken.references)

    def __call__(self, clips: Sequence[int], captions: Sequence[Sequence[int]]) -> np.ndarray:
        """Give the reward (n,) of each caption, in token indices, for the clip that it is of."""
        said = [self._spoken.tokenize(caption) for caption in captions]
        rewards = np.zeros(len(said))
        if weight := self._weights.get("cider"):
            rewards += weight * self._cider.scores(clips, said)
        if weight := self._weights.get("bleu_4"):
            references = [self._spoken.references[clip] for clip in clips]
            sums = np.array(bleu_statistics(said, references), dtype=np.float64)
            rewards += weight * bleu_of_sums(sums)[:, 3]
        return rewards
