"""The splits of a corpus, and a seeded split of one that has none."""

import hashlib
from collections.abc import Iterable

from captioner.errors import InputError

# DCASE: development-training, development-validation, development-testing, evaluation; and 2022's.
SPLITS = ("development", "validation", "evaluation", "test", "analysis")
UNCAPTIONED = ("test", "analysis")  # decoded and packaged, never scored


def seeded_split(
    file_names: Iterable[str], seed: int, validation: float, evaluation: float
) -> dict[str, list[str]]:
    """Split clips at random into development, validation and evaluation, in sorted order.

    `validation` and `evaluation` are shares of the clips; each gets one clip at least unless its
    share is 0. The outcome depends on the seed and the set of names, not on their order. Raises
    `InputError` if nothing is left for development.
    """

    def rank(file_name: str) -> bytes:
        key = f"{seed}/{file_name}".encode("utf-8", "surrogateescape")
        return hashlib.blake2b(key, digest_size=16).digest()

    shuffled = sorted(set(file_names), key=rank)
    n_validation = _count(validation, len(shuffled))
    n_held_out = n_validation + _count(evaluation, len(shuffled))
    if n_held_out >= len(shuffled):
        raise InputError(
            f"{len(shuffled)} clips cannot be split into {validation:.0%} validation and "
            f"{evaluation:.0%} evaluation with some left for development: add clips, lower the "
            "shares, or say each clip's split in a column `split` of the captions CSV"
        )
    return {
        "development": sorted(shuffled[n_held_out:]),
        "validation": sorted(shuffled[:n_validation]),
        "evaluation": sorted(shuffled[n_validation:n_held_out]),
    }


def _count(share: float, n_clips: int) -> int:
    return max(1, round(share * n_clips)) if share else 0
