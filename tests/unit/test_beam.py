"""Beam search against exhaustive search, an argmax loop and a plain one-clip beam search."""

import itertools

import numpy as np
import pytest
import torch
from toy_models import EOS, SOS, UNK, Markov, NotAutoregressive, PrefixTable

from captioner.decoding.beam import beam_search, close_gaps
from captioner.decoding.constraints import Constraints
from captioner.decoding.options import DecodingOptions
from captioner.errors import InputError

BANNED = (SOS, UNK)
MODELS = [PrefixTable, Markov, NotAutoregressive]


def search(model, clips, banned=BANNED, prefix=(SOS,), content=(), forced=(), **options):
    rows = torch.tensor([prefix] * len(clips))
    settings = DecodingOptions(**{"n_best": options.get("beam_size", 1), **options})
    limits = (settings.min_length, settings.max_length, settings.no_repeat_ngram)
    constraints = Constraints(EOS, *limits, tuple(banned), content, forced)
    return beam_search(model, clips, rows, settings, constraints)


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


def has_repeated_ngram(words, n):
    ngrams = [words[start : start + n] for start in range(len(words) - n + 1)]
    return len(set(ngrams)) < len(ngrams)


def plain_beam_search(
    model,
    clip,
    beam_size,
    min_length,
    max_length,
    length_penalty,
    no_repeat_ngram=0,
    content=(),
    forced=(),
    beam_groups=1,
    diversity=0.5,
):
    """The definition, for one clip, written with lists."""
    size = beam_size // beam_groups
    groups = [([((), 0.0)], []) for _ in range(beam_groups)]  # unfinished and finished

    def allowed(words):
        *before, token = words
        missing = [word for word in forced if word not in before]
        if token == EOS:
            return len(before) >= min_length and not missing
        room = max_length - len(before)
        return (
            room > 0
            and token not in BANNED
            and not (no_repeat_ngram and has_repeated_ngram(words, no_repeat_ngram))
            and not (token in content and token in before)
            and (token in missing or room > len(missing))
        )

    for _ in range(max_length + 1):
        taken = []
        for group, (live, finished) in enumerate(groups):
            candidates = []  # words, sum, rank, forced words said
            for words, total in live:
                log_p = model.log_p(clip, (SOS, *words))
                for token in filter(lambda t: allowed((*words, t)), range(model.n_tokens)):
                    new, total_of_new = (*words, token), total + log_p[token]
                    rank = total_of_new - diversity * taken.count(token)
                    candidates.append((new, total_of_new, rank, len(set(forced) & set(new))))
            candidates.sort(key=lambda candidate: -candidate[2])
            complete = [c for c in candidates if c[3] == len(forced)]
            for words, total, *_ in complete[:size]:
                if words[-1] == EOS:
                    finished.append((total / len(words) ** length_penalty, words[:-1]))
            going = [c for c in candidates if c[0][-1] != EOS]
            chosen = []
            for said in range(len(forced) + 1):
                share = size // (len(forced) + 1)
                share += said > len(forced) - size % (len(forced) + 1)
                chosen += [c for c in going if c[3] == said][:share]
            chosen += [c for c in going if c not in chosen][: size - len(chosen)]
            live = [] if len(finished) >= size else [c[:2] for c in chosen]
            taken += [words[-1] for words, _ in live]
            groups[group] = live, finished
    hypotheses = {hypothesis for _, finished in groups for hypothesis in finished}
    unique = {words: score for score, words in hypotheses}
    return sorted(((s, w) for w, s in unique.items()), reverse=True)[:beam_size]


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


CONSTRAINTS = [
    {"no_repeat_ngram": 1},
    {"no_repeat_ngram": 2},
    {"no_repeat_ngram": 3},
    {"content": (3, 5)},
    {"forced": (4,)},
    {"forced": (5, 3)},
    {"forced": (3, 4, 5), "min_length": 2},
    {"forced": (4,), "no_repeat_ngram": 2, "content": (4,), "min_length": 3},
    {"beam_groups": 2, "diversity": 0.7},
    {"beam_groups": 2, "diversity": 2.0, "forced": (4,), "no_repeat_ngram": 2},
]


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("constraints", CONSTRAINTS, ids=str)
def test_a_wide_beam_finds_all_that_the_constraints_leave(family, constraints):
    model = family(6)
    limits = {"min_length": 0, "max_length": 4, "length_penalty": 0.7, **constraints}
    clips = [2, 7]
    found = search(model, clips, beam_size=2 * 121, **limits)
    for clip, hypotheses in zip(clips, found, strict=True):
        everything = exhaustive(model, clip, [3, 4, 5], limits["min_length"], 4, 0.7)
        expected = [
            (score, words)
            for score, words in everything
            if set(constraints.get("forced", ())) <= set(words)
            and not has_repeated_ngram(words, constraints.get("no_repeat_ngram", 5))
            and all(words.count(word) < 2 for word in constraints.get("content", ()))
        ]
        assert 0 < len(expected) < len(everything) or "beam_groups" in constraints
        assert_equal(hypotheses, expected)


@pytest.mark.parametrize("family", [PrefixTable, NotAutoregressive])
@pytest.mark.parametrize("beam_size", [4, 6, 8])
@pytest.mark.parametrize("constraints", CONSTRAINTS, ids=str)
def test_a_narrow_beam_with_constraints_is_the_plain_search(family, beam_size, constraints):
    model = family(9, end_bonus=1.0)
    limits = {"min_length": 0, "max_length": 6, "length_penalty": 0.8, **constraints}
    clips = list(range(8))
    for clip, hypotheses in zip(
        clips, search(model, clips, beam_size=beam_size, **limits), strict=True
    ):
        assert_equal(hypotheses, plain_beam_search(model, clip, beam_size, **limits))


def test_a_forced_word_is_said_where_it_fits_not_last():
    """With a share of the beam for each number of words said, it need not wait for the limit."""
    places = []
    for best, *_ in search(
        PrefixTable(30, end_bonus=2.0), list(range(30)), forced=(9,), beam_size=4, max_length=12
    ):
        assert best.tokens.count(9) >= 1
        places.append(best.tokens.index(9))
    assert np.mean(places) < 4


def test_groups_differ_more_with_more_diversity():
    def first_words(diversity):
        found = search(
            PrefixTable(30, end_bonus=1.0),
            list(range(30)),
            beam_size=6,
            beam_groups=3,
            diversity=diversity,
            max_length=8,
        )
        return np.mean([len({tuple(each.tokens[:1]) for each in of_clip}) for of_clip in found])

    assert first_words(0.0) < first_words(1.0) < first_words(8.0)


def test_one_group_is_no_groups():
    model = PrefixTable(12, end_bonus=1.0)
    one, none = (search(model, [1, 2], beam_size=4, **each) for each in ({"beam_groups": 1}, {}))
    assert one == none


def test_how_often_a_wider_beam_scores_lower_is_counted(record_property):
    """Beam search is no exact search: it happens, and is counted (`pytest -rP`), not judged."""
    model, clips = PrefixTable(20, end_bonus=2.0), list(range(100))
    best = {
        beam_size: [found[0].score for found in search(model, clips, beam_size=beam_size)]
        for beam_size in (1, 2, 4, 8)
    }
    for narrow, wide in itertools.pairwise(best):
        lower = sum(w < n - 1e-6 for n, w in zip(best[narrow], best[wide], strict=True))
        record_property(f"beam {wide} lower than {narrow}", lower)
        print(f"beam {wide}: lower than beam {narrow} for {lower} of {len(clips)} clips")
    assert np.mean(best[8]) > np.mean(best[1])


def test_the_last_clips_take_the_places_of_those_that_left():
    assert close_gaps([True, False, True, False, True, True]) == [0, 5, 2, 4]
    assert close_gaps([False, False, True]) == [2]
    assert close_gaps([True, True, False]) == [0, 1]
    assert close_gaps([False, False]) == []


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
    assert model.rows_per_step == [1, 6, 20]  # one beginning; 6 tokens may follow it, then 36


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
