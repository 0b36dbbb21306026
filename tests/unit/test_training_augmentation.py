import numpy as np
import pytest
from scipy.stats import beta

from captioner.training.augmentation import Augmentation, SpecAugment, draw_partners

MEAN = np.arange(20.0, dtype=np.float32)


def hidden(augment: SpecAugment, seed: int, n_frames: int = 50) -> np.ndarray:
    """Say which values of a clip whose values are all 1000 were replaced; check by what."""
    features = np.full((n_frames, 20), 1000, dtype=np.float32)
    augment.draw(n_frames, 20, np.random.default_rng(seed)).hide(features, MEAN)
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


@pytest.mark.parametrize("alpha", [0.4, 2.0])
def test_lambda_is_a_folded_beta(alpha):
    generator = np.random.default_rng(0)
    drawn = np.sort([draw_partners(alpha, 2, generator).own for _ in range(4000)])
    assert drawn[0] >= 0.5 and drawn[-1] <= 1
    levels = np.linspace(0.05, 0.95, 19)
    # P(fold(X) <= x) = P(1 - x <= X <= x)
    quantiles = np.quantile(drawn, levels)
    expected = beta(alpha, alpha).cdf(quantiles) - beta(alpha, alpha).cdf(1 - quantiles)
    assert abs(expected - levels).max() < 0.03


def test_partners_are_others_each_equally_likely():
    generator = np.random.default_rng(0)
    counts = np.zeros((5, 5))
    for _ in range(4000):
        partner = draw_partners(1.0, 5, generator).partner
        assert sorted(partner) == list(range(5))
        counts[np.arange(5), partner] += 1
    assert (np.diag(counts) == 0).all()
    assert abs(counts[~np.eye(5, dtype=bool)] / 4000 - 1 / 4).max() < 0.03
    assert draw_partners(1.0, 1, generator).partner.tolist() == [0]


def settings(**changed):
    return {"specaugment": None, "mixup": None, "word_dropout": 0.0} | changed


def test_words_are_hidden_but_for_the_start():
    augmentation = Augmentation.from_settings(settings(word_dropout=0.3), {})
    drawn = augmentation.draw(np.random.default_rng(0), {"logmel": [5]}, (2000, 6))
    assert drawn.hidden_words.shape == (2000, 6) and drawn.partners is None
    rates = drawn.hidden_words.mean(axis=0)
    assert rates[0] == 0 and rates[1:] == pytest.approx([0.3] * 5, abs=0.04)


def test_nothing_asked_nothing_drawn():
    assert Augmentation.from_settings(settings(), {}) is None


def test_each_clip_and_front_end_has_its_own_stripes():
    given = {"time_stripes": 1, "time_width": 0.5, "frequency_stripes": 1, "frequency_width": 0.5}
    means = {"a": np.zeros(8), "b": np.ones(30)}
    augmentation = Augmentation.from_settings(settings(specaugment=given), means)
    drawn = augmentation.draw(np.random.default_rng(1), {"a": [40, 60], "b": [20, 30]}, (2, 3))
    found = {}
    for frontend, lengths in {"a": [40, 60], "b": [20, 30]}.items():
        for clip, n_frames in enumerate(lengths):
            features = np.full((n_frames, len(means[frontend])), 7.0, np.float16)
            drawn.hide(frontend, clip, features)
            hidden = features != 7
            assert (features[hidden] == means[frontend][0]).all()
            found[frontend, clip] = tuple(map(tuple, np.argwhere(hidden)))
    assert len(set(found.values())) == 4
