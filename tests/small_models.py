"""Small real systems with random weights, as `load_model` gives them."""

import numpy as np
import torch

from captioner.models.checkpoint import LoadedModel
from captioner.models.registry import build_model
from captioner.text.vocabulary import build_vocabulary

FRONTEND = "logmel-dcase"
SETTINGS = {  # one family for each kind of decoding state
    "dcase_baseline": {"n_hidden": 12, "n_steps": 9},
    "conv_transformer": {"n_channels": [4, 8], "n_hidden": 16, "n_heads": 2, "n_feedforward": 32},
    "crnn_attention": {"n_channels": [4, 8], "n_hidden": 12, "n_heads": 2, "n_encoder_layers": 1},
}
VOCABULARY_SETTINGS = {
    "text_rule": "task",
    "order": "frequency",
    "specials": "first",
    "minimum_count": 2,
    "unknown": True,
}
# Given twice, so that all words are kept beside <unk>.
WORDS = "a dog barks while rain falls on the tin roof and wind blows through tall dry grass"


def small_model(family, n_features=8, frontend_settings=None, seed=0) -> LoadedModel:
    """Give a system whose captions differ from clip to clip."""
    vocabulary = build_vocabulary([WORDS, WORDS], VOCABULARY_SETTINGS, ["toy"])
    torch.manual_seed(seed)
    model = build_model(
        family,
        SETTINGS[family],
        {FRONTEND: n_features},
        len(vocabulary),
        vocabulary.sos,
        vocabulary.eos,
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter + 0.5 * torch.randn_like(parameter))
    return LoadedModel(model.eval(), vocabulary, {"frontends": {FRONTEND: frontend_settings or {}}})


def random_features(lengths, n_features=8, seed=0):
    """Give file name -> (n_frames, n_features) float32."""
    random = np.random.default_rng(seed)
    return {
        file_name: random.standard_normal((n_frames, n_features)).astype(np.float32)
        for file_name, n_frames in lengths.items()
    }
