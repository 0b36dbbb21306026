"""Minimum Bayes risk against pycocoevalcap's CIDEr-D and the definition written with loops."""

import numpy as np
import pytest
from pycocoevalcap.cider.cider_scorer import CiderScorer

from captioner.decoding.decode import decode_batches, decode_clips
from captioner.decoding.options import DecodingOptions, Hypothesis
from captioner.decoding.reranking import rerank
from captioner.errors import InputError
from small_models import FRONTEND, random_features, small_model

SEARCH = DecodingOptions(beam_size=9, n_best=9, rerank="mbr")


def n_best_lists(n_clips=12, seed=0):
    """Captions with words and lengths in common; one empty, one of one word."""
    random = np.random.default_rng(seed)
    lists = {}
    for clip in range(n_clips):
        theme = random.integers(3, 40, 12)
        captions = [
            [int(token) for token in theme[: random.integers(2, 13)] if random.random() < 0.8]
            for _ in range(random.integers(1, 8))
        ]
        scores = -np.sort(random.random(len(captions)))
        lists[f"{clip}.wav"] = [
            Hypothesis(words, float(score)) for words, score in zip(captions, scores, strict=True)
        ]
    lists["empty.wav"] = [Hypothesis([], -0.3), Hypothesis([5], -0.4), Hypothesis([5, 6, 7], -0.5)]
    return lists


def official(lists, file_name, candidate, reference):
    """CIDEr-D of one caption against one, with the document frequencies of all hypotheses."""

    def text(hypothesis):
        return " ".join(map(str, hypothesis.tokens))

    frequencies = CiderScorer(n=4, sigma=6.0)
    for of_clip in lists.values():
        frequencies += (text(of_clip[0]), [text(each) for each in of_clip])
    frequencies.compute_doc_freq()
    one = CiderScorer(n=4, sigma=6.0)
    one += (text(candidate), [text(reference)])
    one.crefs = one.crefs * len(lists)  # the tools' idf counts these
    one.ctest = one.ctest * len(lists)
    one.document_frequency = frequencies.document_frequency
    return one.compute_cider()[0]


@pytest.mark.parametrize("options", [SEARCH, DecodingOptions(samples=9, n_best=9, rerank="mbr")])
def test_the_expectation_is_the_official_scores_weighted(options):
    lists = n_best_lists()
    for file_name, found in rerank(lists, options).items():
        of_clip = lists[file_name]
        weights = [np.exp(each.score * (len(each.tokens) + 1)) for each in of_clip]
        if options.samples:
            weights = [1.0] * len(of_clip)
        expected = {}
        for candidate in of_clip:
            against = [official(lists, file_name, candidate, each) for each in of_clip]
            value = np.dot(against, weights) / sum(weights)
            expected[tuple(candidate.tokens), candidate.score] = value
        for each in found:
            value = expected[tuple(each.tokens), each.score]
            assert each.expected_cider_d == pytest.approx(value, abs=1e-9)
        values = [each.expected_cider_d for each in found]
        assert values == sorted(values, reverse=True)
        assert len(found) == len(of_clip)


def test_the_caption_most_like_the_others_wins():
    common = [[3, 4, 5, 6], [3, 4, 5, 7], [3, 4, 5, 6, 7]]
    lists = {
        "a.wav": [Hypothesis([9, 8, 9, 8], -0.50), *(Hypothesis(each, -0.51) for each in common)],
        "b.wav": [Hypothesis([10, 11], -0.1)],
    }
    found = rerank(lists, SEARCH)
    assert found["a.wav"][0].tokens in common
    assert found["a.wav"][-1].tokens == [9, 8, 9, 8]
    assert lists["a.wav"][0].tokens == [9, 8, 9, 8]  # what was given stays


def test_a_caption_that_is_nearly_certain_stays_first():
    lists = {
        "a.wav": [Hypothesis([3, 4, 5, 6], -0.01), Hypothesis([3, 4, 5, 7], -3.0)],
        "b.wav": [Hypothesis([10, 11], -0.1)],
    }
    assert rerank(lists, SEARCH)["a.wav"][0].tokens == [3, 4, 5, 6]


def test_without_other_clips_no_word_tells_anything_and_the_order_stays():
    lists = {"a.wav": [Hypothesis([3, 4], -0.1), Hypothesis([3, 5], -0.2)]}
    found = rerank(lists, SEARCH)["a.wav"]
    assert [each.tokens for each in found] == [[3, 4], [3, 5]]
    assert rerank({"b.wav": [], **lists}, SEARCH)["b.wav"] == []
    assert rerank({}, SEARCH) == {}


def test_decoding_reranks_all_clips_together():
    loaded = small_model("conv_transformer")
    features = {FRONTEND: random_features({f"{n}.wav": 5 + n for n in range(20)})}
    names = list(features[FRONTEND])
    settings = {"beam_size": 6, "max_length": 8, "batch_size": 4}
    plain = decode_clips(loaded, features, names, DecodingOptions.from_settings(settings))
    options = DecodingOptions.from_settings({**settings, "rerank": "mbr"})
    found = decode_clips(loaded, features, names, options)
    assert found == rerank(plain, options)
    assert list(found) == names
    assert any(found[name][0].tokens != plain[name][0].tokens for name in names)
    with pytest.raises(InputError, match=r"rerank: found 'mbr' .* needs all clips of a split"):
        next(decode_batches(loaded, features, names, options))
