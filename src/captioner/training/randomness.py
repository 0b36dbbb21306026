"""Random generators of a training: each made anew from the seed and the place it is for.

So a training that resumes draws what an uninterrupted one would, without any state kept.
"""

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What a random generator is for."""

    ORDER = 0
    AUGMENTATION = 1
    VALIDATION = 2
    SAMPLING = 3  # of captions, by reinforcement
    DROPOUT = 4  # where several processes train together


def numpy_generator(seed: int, purpose: Purpose, *place: int) -> np.random.Generator:
    """Give the generator of a place (epoch, batch, ...) in a training with this seed."""
    return np.random.default_rng((seed, purpose, *place))


def torch_seed(seed: int, purpose: Purpose, *place: int) -> int:
    """Give the seed of torch's generator of a place (epoch, batch, ...), 63 bits."""
    sequence = np.random.SeedSequence((seed, purpose, *place))
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def torch_generator(
    device: torch.device, seed: int, purpose: Purpose, *place: int
) -> torch.Generator:
    """Give the generator of a place (epoch, batch, ...), on a device."""
    generator = torch.Generator(device)
    generator.manual_seed(torch_seed(seed, purpose, *place))
    return generator
