"""Beam search against exhaustive search, an argmax loop and a plain one-clip beam search."""

import itertools

import numpy as np
import pytest
import torch
from toy_models import EOS, SOS, UNK, Markov, NotAutoregressive, PrefixTable

from captioner.decoding.beam import beam_search
from captioner.decoding.options import DecodingOptions
from captioner.errors import InputError

BANNED = (SOS, UNK)
MODELS = [PrefixTable, Markov, NotAutoregressive]


def search(model, clips, banned=BANNED, prefix=(SOS,), **options):
    rows = torch.tensor([prefix] * len(clips))
    settings = DecodingOptions(**{"n_best": options.get("beam_size", 1), **options})
    return beam_search(model, clips, rows, settings, EOS, banned)


def score_of(model, clip, words, length_penalty, prefix=(SOS,)):
    total = 0.0
    for position, token in enumerate([*words, EOS]):
        total += model.log_p(clip, (*prefix, *words[:position]))[token]
    return total / (len(words) + 1) ** length_penalty


def exhaustive(model, clip, words, min_length, max_length, length_penalty, prefix=(SOS,)):
    """All allowed captions with their scores, best first."""
    captions = [
        caption
        for length in range(min_length, max_length + 1)
        for caption in itertools.product(words, repeat=length)
    ]
    scored = [(score_of(model, clip, c, length_penalty, prefix), c) for c in captions]
    return sorted(scored, reverse=True)


def plain_beam_search(model, clip, beam_size, min_length, max_length, length_penalty):
    """The definition, for one clip, written with lists."""
    live, finished = [((), 0.0)], []
    for length in range(max_length + 1):
        candidates = []
        for words, total in live:
            log_p = model.log_p(clip, (SOS, *words))
            for token in range(model.n_tokens):
                allowed = token == EOS if length == max_length else token not in BANNED
                if allowed and not (token == EOS and length < min_length):
                    candidates.append(((*words, token), total + log_p[token]))
        candidates.sort(key=lambda candidate: -candidate[1])
        for words, total in candidates[:beam_size]:
            if words[-1] == EOS:
                finished.append((total / len(words) ** length_penalty, words[:-1]))
        live = [candidate for candidate in candidates if candidate[0][-1] != EOS][:beam_size]
        if len(finished) >= beam_size:
            break
    return sorted(finished, reverse=True)[:beam_size]


def assert_equal(found, expected):
    """The same captions with the same scores in the same order; equal scores in any order."""
    scores = [hypothesis.score for hypothesis in found]
    np.testing.assert_allclose(scores, [score for score, _ in expected], atol=1e-5)
    score_of_words = {words: score for score, words in expected}
    assert len({tuple(hypothesis.tokens) for hypothesis in found}) == len(expected)
    for hypothesis in found:
        assert hypothesis.score == pytest.approx(score_of_words[tuple(hypothesis.tokens)], abs=1e-5)


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0, 2.0, -0.5])
@pytest.mark.parametrize(("min_length", "max_length"), [(0, 4), (2, 4), (3, 3), (0, 0), (1, 2)])
def test_a_beam_as_wide_as_the_search_space_is_exhaustive(
    family, length_penalty, min_length, max_length
):
    model = family(6)  # three words beside <sos>, <eos> and <unk>
    clips = [3, 1, 4]
    found = search(
        model,
        clips,
        beam_size=121,  # 1 + 3 + 9 + 27 + 81 captions of 0 to 4 words
        min_length=min_length,
        max_length=max_length,
        length_penalty=length_penalty,
    )
    for clip, hypotheses in zip(clips, found, strict=True):
        limits = (min_length, max_length, length_penalty)
        assert_equal(hypotheses, exhaustive(model, clip, [3, 4, 5], *limits))


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("min_length", [0, 3])
def test_greedy_is_the_argmax_loop(family, min_length):
    model = family(30, end_bonus=3.0)
    clips = list(range(20))
    lengths = set()
    for clip, found in zip(
        clips, search(model, clips, min_length=min_length, max_length=9), strict=True
    ):
        words = []
        while len(words) < 9:
            log_p = model.log_p(clip, (SOS, *words)).copy()
            log_p[[SOS, UNK]] = -np.inf
            if len(words) < min_length:
                log_p[EOS] = -np.inf
            token = int(log_p.argmax())
            if token == EOS:
                break
            words.append(token)
        assert_equal(found, [(score_of(model, clip, tuple(words), 1.0), tuple(words))])
        lengths.add(len(words))
    assert min(lengths) >= min_length
    assert len(lengths) > 1 or family is Markov  # both ends, chosen and forced, were seen


@pytest.mark.parametrize("family", [PrefixTable, NotAutoregressive])  # without ties to be cut
@pytest.mark.parametrize("beam_size", [1, 2, 3, 7])
@pytest.mark.parametrize("min_length", [0, 2])
def test_a_narrow_beam_is_the_plain_search(family, beam_size, min_length):
    model = family(12, end_bonus=1.0)
    clips = list(range(15))
    limits = {"min_length": min_length, "max_length": 6, "length_penalty": 0.8}
    found = search(model, clips, beam_size=beam_size, **limits)
    for clip, hypotheses in zip(clips, found, strict=True):
        assert_equal(hypotheses, plain_beam_search(model, clip, beam_size, **limits))


@pytest.mark.parametrize("family", MODELS)
def test_a_batch_gives_what_single_clips_give(family):
    model = family(40, end_bonus=2.0)
    clips = list(range(64))
    together = search(model, clips, beam_size=4, max_length=10)
    for clip, hypotheses in zip(clips, together, strict=True):
        (alone,) = search(model, [clip], beam_size=4, max_length=10)
        assert_equal(hypotheses, [(each.score, tuple(each.tokens)) for each in alone])


@pytest.mark.parametrize("beam_size", [1, 3, 5])
def test_hypotheses_differ_are_sorted_and_keep_to_the_limits(beam_size):
    model = PrefixTable(9, end_bonus=1.0)
    for hypotheses in search(
        model, list(range(50)), beam_size=beam_size, min_length=2, max_length=5
    ):
        captions = [tuple(hypothesis.tokens) for hypothesis in hypotheses]
        assert len(set(captions)) == len(captions) == beam_size
        scores = [hypothesis.score for hypothesis in hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert all(2 <= len(caption) <= 5 for caption in captions)
        assert not {SOS, UNK, EOS} & {token for caption in captions for token in caption}


def test_banned_tokens_would_have_been_produced():
    """The ban is what keeps <sos> and <unk> out, not luck."""
    free = search(PrefixTable(6), list(range(20)), banned=(), max_length=5)
    assert {SOS, UNK} <= {token for (best,) in free for token in best.tokens}


def test_n_best_cuts_the_list():
    model = PrefixTable(9)
    all_five = search(model, [1, 2], beam_size=5)
    two = search(model, [1, 2], beam_size=5, n_best=2)
    assert two == [hypotheses[:2] for hypotheses in all_five]


def test_a_longer_prefix_is_consumed_and_not_part_of_the_caption():
    model = PrefixTable(6)
    (found,) = search(model, [1], prefix=(SOS, 4), beam_size=40, max_length=3)
    assert_equal(found, exhaustive(model, 1, [3, 4, 5], 0, 3, 1.0, prefix=(SOS, 4)))


def test_finished_clips_leave_the_batch():
    class Countdown(PrefixTable):
        """Clip n says word 3 n times, surely, then ends."""

        def logits(self, clip, prefix):
            logits = np.full(self.n_tokens, -100.0)
            logits[3 if len(prefix) <= clip else EOS] = 0.0
            return logits

    model = Countdown(5)
    found = search(model, [0, 5, 2, 2])
    assert [len(best.tokens) for (best,) in found] == [0, 5, 2, 2]
    assert model.rows_per_step == [4, 3, 3, 1, 1, 1]


def test_a_search_stops_when_nothing_can_go_on():
    class TwoWords(PrefixTable):
        """After two words nothing but the end is possible, as after a baseline's last step."""

        def logits(self, clip, prefix):
            logits = super().logits(clip, prefix).copy()
            if len(prefix) > 2:
                logits[:EOS], logits[EOS + 1 :] = -np.inf, -np.inf
            return logits

    model = TwoWords(6)
    (found,) = search(model, [0], beam_size=20, max_length=30)
    assert_equal(found, exhaustive(model, 0, [3, 4, 5], 0, 2, 1.0))
    assert model.rows_per_step == [20, 20, 20]


def test_nan_is_an_error_that_says_so():
    class Diverged(PrefixTable):
        def logits(self, clip, prefix):
            return np.full(self.n_tokens, np.nan if len(prefix) == 3 else 0.0)

    with pytest.raises(InputError, match=r"found NaN .* at word 3.*training may have diverged"):
        search(Diverged(6), [0], min_length=5)


def test_extreme_logits_stay_finite():
    class Extreme(PrefixTable):
        def logits(self, clip, prefix):
            return np.array([-np.inf, -1e37, 1e37, 9e36, -np.inf])

    (found,) = search(Extreme(5), [0], beam_size=3, max_length=2, banned=(SOS,))
    assert found
    assert all(np.isfinite(hypothesis.score) for hypothesis in found)


def test_half_precision_logits_are_summed_in_single():
    half = PrefixTable(50, dtype=torch.float16)
    (found,) = search(half, [7], beam_size=2, max_length=20, min_length=20)

    def rounded(clip, prefix):
        logits = PrefixTable.logits(half, clip, prefix).astype(np.float16).astype(np.float64)
        return logits

    half.logits = rounded
    for hypothesis in found:
        expected = score_of(half, 7, tuple(hypothesis.tokens), 1.0)
        assert hypothesis.score == pytest.approx(expected, abs=1e-5)


def test_no_caption_is_possible():
    class Endless(PrefixTable):
        def logits(self, clip, prefix):
            return np.array([0.0, -np.inf, 0.0, 0.0])

    assert search(Endless(4), [0, 1], beam_size=2, max_length=3) == [[], []]
    assert search(PrefixTable(3), [0], beam_size=2, min_length=1) == [[]]  # no word exists
