import numpy as np
import pytest

from captioner.training.augmentation import SpecAugment

MEAN = np.arange(20.0, dtype=np.float32)


def hidden(augment: SpecAugment, seed: int, n_frames: int = 50) -> np.ndarray:
    """Say which values of a clip whose values are all 1000 were replaced; check by what."""
    features = np.full((n_frames, 20), 1000, dtype=np.float32)
    augment(features, MEAN, np.random.default_rng(seed))
    changed = features != 1000
    assert np.array_equal(features[changed], np.broadcast_to(MEAN, features.shape)[changed])
    return changed


def test_stripes_cover_whole_frames_up_to_the_width():
    augment = SpecAugment(1, 0.2, 0, 0.0)
    widths = []
    for seed in range(300):
        changed = hidden(augment, seed)
        frames = changed.any(axis=1)
        assert np.array_equal(changed.all(axis=1), frames)  # the mean is nowhere 1000
        places = np.flatnonzero(frames)
        assert len(places) == 0 or places[-1] - places[0] + 1 == len(places)
        widths.append(len(places))
    assert set(widths) == set(range(11))  # 0 to 20 % of 50 frames, each width seen


def test_stripes_of_frequency_and_their_places():
    augment = SpecAugment(0, 0.0, 2, 0.25)
    seen = np.zeros(20, dtype=int)
    for seed in range(300):
        changed = hidden(augment, seed)
        columns = changed.any(axis=0)
        assert np.array_equal(changed.all(axis=0), columns)
        assert columns.sum() <= 10
        seen += columns
    assert seen.min() > 0


def test_same_generator_same_stripes():
    augment = SpecAugment(2, 0.3, 2, 0.3)
    assert np.array_equal(hidden(augment, 5), hidden(augment, 5))
    assert not np.array_equal(hidden(augment, 5), hidden(augment, 6))


@pytest.mark.parametrize("n_frames", [1, 2, 3])
def test_short_clips(n_frames):
    hidden(SpecAugment(2, 1.0, 2, 1.0), 0, n_frames)
