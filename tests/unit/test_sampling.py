"""Sampling against the distribution that it draws from."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from toy_models import EOS, SOS, UNK, Markov, NotAutoregressive, PrefixTable

from captioner.decoding.constraints import Constraints
from captioner.decoding.decode import decode_clips
from captioner.decoding.options import DecodingOptions
from captioner.decoding.sampling import sample
from small_models import FRONTEND, random_features, small_model

BANNED = (SOS, UNK)


def draw(model, clips, n_best=None, **options):
    settings = DecodingOptions(**{"n_best": n_best or options["samples"], **options})
    limits = (settings.min_length, settings.max_length, settings.no_repeat_ngram)
    prefix = torch.full((len(clips), 1), SOS)
    constraints = Constraints(EOS, *limits, BANNED)
    return sample(model, clips, prefix, settings, constraints, [f"{clip}.wav" for clip in clips])


def next_word(log_p, temperature=1.0, top_k=0, top_p=1.0):
    """The distribution of one word, written with lists: {token: probability}."""
    p = {t: np.exp(log_p[t] / temperature) for t in range(len(log_p)) if t not in BANNED}
    p = {token: value / sum(p.values()) for token, value in p.items()}
    best = sorted(p, key=lambda token: -p[token])[: top_k or None]
    mass = sum(p[token] for token in best)
    kept = []
    for token in best:
        if sum(p[each] for each in kept) < top_p * mass:
            kept.append(token)
    return {token: p[token] / sum(p[each] for each in kept) for token in kept}


def distribution(model, clip, max_length, **how):
    """The probability of every caption."""
    captions = {}
    unfinished = {(): 1.0}
    for length in range(max_length + 1):
        longer = {}
        for words, p in unfinished.items():
            if length == max_length:
                captions[words] = p
                continue
            for token, q in next_word(model.log_p(clip, (SOS, *words)), **how).items():
                if token == EOS:
                    captions[words] = p * q
                else:
                    longer[(*words, token)] = p * q
        unfinished = longer
    return captions


@pytest.mark.parametrize("family", [PrefixTable, Markov, NotAutoregressive])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"temperature": 0.6},
        {"temperature": 2.0},
        {"top_k": 2},
        {"top_p": 0.7},
        {"temperature": 1.5, "top_k": 3, "top_p": 0.8},
    ],
    ids=str,
)
def test_frequencies_are_the_distributions(family, how):
    model = family(6, scale=1.0)
    (found,) = draw(model, [4], samples=4000, max_length=3, seed=1, **how)
    expected = distribution(model, 4, 3, **how)
    assert sum(expected.values()) == pytest.approx(1)
    counts = Counter(tuple(each.tokens) for each in found)
    assert set(counts) <= set(expected)
    often = [words for words, p in expected.items() if 4000 * p >= 5]  # chi-square's rule of thumb
    rest = 4000 - sum(counts[words] for words in often)
    observed = [*(counts[words] for words in often), rest]
    wanted = [*(4000 * expected[words] for words in often)]
    wanted.append(4000 - sum(wanted))
    if wanted[-1] < 1:
        observed, wanted = observed[:-1], wanted[:-1]
        wanted = [each * sum(observed) / sum(wanted) for each in wanted]
    assert len(wanted) > 1
    assert chisquare(observed, wanted).pvalue > 0.001


def test_a_wrong_distribution_would_be_seen():
    model = PrefixTable(6, scale=1.0)
    (found,) = draw(model, [4], samples=4000, max_length=3, seed=1, temperature=1.3)
    counts = Counter(tuple(each.tokens) for each in found)
    expected = distribution(model, 4, 3)
    often = [words for words, p in expected.items() if 4000 * p >= 5]
    observed = np.array([counts[words] for words in often])
    wanted = np.array([expected[words] for words in often])
    assert chisquare(observed, wanted * observed.sum() / wanted.sum()).pvalue < 1e-3


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_scores_are_the_models_own_and_sorted(length_penalty):
    model = PrefixTable(8, end_bonus=1.0)
    clips = [1, 2, 3]
    for clip, found in zip(
        clips,
        draw(
            model,
            clips,
            samples=20,
            max_length=6,
            temperature=1.7,
            top_k=4,
            length_penalty=length_penalty,
        ),
        strict=True,
    ):
        assert len(found) == 20
        for each in found:
            words = (*each.tokens, EOS)
            total = sum(
                model.log_p(clip, (SOS, *words[:place]))[token] for place, token in enumerate(words)
            )
            assert each.score == pytest.approx(total / len(words) ** length_penalty, abs=1e-5)
        assert [each.score for each in found] == sorted((e.score for e in found), reverse=True)


def test_a_clips_samples_do_not_depend_on_its_neighbours():
    model, clips = PrefixTable(40, end_bonus=2.0), list(range(64))
    options = {"samples": 3, "max_length": 12, "seed": 5}
    together = draw(model, clips, **options)
    backwards = draw(model, clips[::-1], **options)[::-1]
    alone = [draw(model, [clip], **options)[0] for clip in clips]
    assert together == backwards == alone
    assert len({tuple(each.tokens) for of_clip in together for each in of_clip}) > 150


@pytest.mark.parametrize("family", ["conv_transformer", "dcase_baseline"])
def test_batches_of_a_real_family_do_not_matter(family):
    loaded = small_model(family)
    features = {FRONTEND: random_features({f"{n}.wav": 5 + n % 7 for n in range(40)})}
    names = list(features[FRONTEND])
    found = [
        decode_clips(
            loaded,
            features,
            order,
            DecodingOptions(samples=4, n_best=4, max_length=8, batch_size=batch_size, seed=2),
        )
        for batch_size, order in itertools.product([1, 32], [names, names[::-1]])
    ]
    for name in names:
        for other in found[1:]:
            assert [each.tokens for each in other[name]] == [e.tokens for e in found[0][name]]
            scores = [each.score for each in found[0][name]]
            np.testing.assert_allclose([each.score for each in other[name]], scores, atol=1e-5)


def test_seeds_and_file_names_give_other_samples():
    model = NotAutoregressive(40)  # the same for all clips

    def tokens(clips, seed):
        found = draw(model, clips, samples=4, max_length=12, seed=seed)
        return [[each.tokens for each in of_clip] for of_clip in found]

    assert tokens([1, 2], 1) == tokens([1, 2], 1)
    assert tokens([1], 1) != tokens([1], 2)
    model.draw = lambda entry, draw=model.draw: draw((0, entry[1]))
    assert tokens([1], 1) != tokens([2], 1)


def test_limits_hold_and_n_best_cuts():
    model = PrefixTable(9, end_bonus=1.0)
    options = {"samples": 30, "min_length": 2, "max_length": 5, "no_repeat_ngram": 1}
    everything = draw(model, [1, 2], **options)
    for of_clip in everything:
        for each in of_clip:
            assert 2 <= len(each.tokens) <= 5
            assert len(set(each.tokens)) == len(each.tokens)
            assert not {SOS, UNK, EOS} & set(each.tokens)
    assert draw(model, [1, 2], n_best=3, **options) == [of_clip[:3] for of_clip in everything]


def test_finished_clips_leave_the_batch_and_nothing_possible_ends_a_draw():
    class Countdown(PrefixTable):
        def logits(self, clip, prefix):
            logits = np.full(self.n_tokens, -np.inf)
            logits[3 if len(prefix) <= clip else EOS] = 0.0
            return logits

    model = Countdown(5)
    found = draw(model, [0, 5, 2], samples=2)
    assert [[len(each.tokens) for each in of_clip] for of_clip in found] == [
        [0] * 2,
        [5] * 2,
        [2] * 2,
    ]
    assert model.rows_per_step == [6, 4, 4, 2, 2, 2]
    nothing, three = draw(Countdown(5), [0, 3], samples=2, min_length=1)
    assert nothing == []
    assert [each.tokens for each in three] == [[3, 3, 3]] * 2
