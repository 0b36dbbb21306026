"""Rewards against the official metrics of the same captions."""

import numpy as np
import pytest
from training_corpus import NAMES, VOCABULARY, captions_of

from captioner.errors import InputError
from captioner.evaluation.metrics import bleu, cider
from captioner.evaluation.tokenizer import tokenize_all
from captioner.text.vocabulary import build_vocabulary
from captioner.training.rewards import CaptionReward

TEXTS = [list(captions_of(name)) for name in NAMES]
WORDS = build_vocabulary([text for of_clip in TEXTS for text in of_clip], VOCABULARY, [])
# Of clips 0, 0, 2, 5: a reference, nearly one, one of another clip, nothing.
CLIPS = [0, 0, 2, 5]
CAPTIONS = [TEXTS[0][4], TEXTS[0][3] + " wind wind", TEXTS[1][0], ""]


def rewards(**weights):
    encoded = [WORDS.encode(caption) for caption in CAPTIONS]
    return CaptionReward(TEXTS, WORDS, weights)(CLIPS, encoded)


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """CIDEr-D by the frequencies of all clips, and BLEU-4 of each caption alone."""
    flat = [text for of_clip in TEXTS for text in of_clip]
    decoded = [WORDS.decode(WORDS.encode(caption)) for caption in CAPTIONS]
    tokens, said = tokenize_all([flat, decoded], tmp_path_factory.mktemp("tokens"), 100)
    plain = [tokens[start : start + 5] for start in range(0, len(tokens), 5)]
    of_cider = []
    for clip, caption in zip(CLIPS, said, strict=True):
        candidates = ["x"] * len(plain)
        candidates[clip] = caption
        of_cider.append(cider(candidates, plain)[1][clip])
    of_bleu = [
        bleu([caption], [plain[clip]])[3][1][0] for clip, caption in zip(CLIPS, said, strict=True)
    ]
    return np.array(of_cider), np.array(of_bleu)


def test_rewards_are_weighted_official_scores(official):
    of_cider, of_bleu = official
    assert of_cider[0] > of_cider[1] > of_cider[2] > of_cider[3] == 0
    assert of_bleu[0] == pytest.approx(1)
    for weights, expected in (
        ({"cider": 1.0}, of_cider),
        ({"cider": 1, "bleu_4": 0}, of_cider),
        ({"bleu_4": 1.0}, of_bleu),
        ({"cider": 0.5, "bleu_4": 2.0}, 0.5 * of_cider + 2 * of_bleu),
    ):
        np.testing.assert_allclose(rewards(**weights), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("weights", [{}, {"cider": 0, "bleu_4": 0}, {"cider": 1, "meteor": 1}])
def test_a_reward_must_be_known_and_count(weights):
    with pytest.raises(InputError, match=r"reward: found.*cider and bleu_4, one of them not 0"):
        CaptionReward(TEXTS, WORDS, weights)
