"""Decoding of clips with the real families: batches, padding, order, errors."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from captioner.audio.frontends import Heard, build_frontend
from captioner.decoding.beam import beam_search
from captioner.decoding.constraints import Constraints
from captioner.decoding.decode import decode_clips
from captioner.decoding.options import DecodingOptions
from captioner.decoding.sampling import sample
from captioner.errors import InputError
from captioner.models.interface import Memory
from captioner.settings import read_yaml
from captioner.store.schema import ShardMetadata
from captioner.store.shards import FeatureStore
from captioner.store.writing import open_shard
from small_models import FRONTEND, SETTINGS, random_features, small_model

OPTIONS = DecodingOptions(beam_size=3, max_length=8, n_best=2, batch_size=4)
# Names that differ only after the first dot, and lengths out of order; some clips of one frame.
LENGTHS = {
    f"clip.{n}.wav": n_frames
    for n, n_frames in enumerate([40, 3, 17, 17, 1, 64, 17, 5, 40, 17, 17, 1, 33, 8])
}


@pytest.fixture(params=list(SETTINGS))
def loaded(request):
    return small_model(request.param)


def one_by_one(loaded, features, options):
    """The oracle: every clip alone, unpadded, in the order given."""
    vocabulary = loaded.vocabulary
    found = {}
    for file_name, values in features.items():
        with torch.inference_mode():
            memory = loaded.model.encode(
                {FRONTEND: torch.tensor(values)[None]}, {FRONTEND: torch.tensor([len(values)])}
            )
        prefix = torch.tensor([[vocabulary.sos]])
        constraints = Constraints.of(options, vocabulary)
        (found[file_name],) = beam_search(loaded.model, memory, prefix, options, constraints)
    return found


def test_batches_give_what_clips_alone_give(loaded):
    features = random_features(LENGTHS)
    found = decode_clips(loaded, {FRONTEND: features}, list(LENGTHS), OPTIONS)
    expected = one_by_one(loaded, features, OPTIONS)
    assert list(found) == list(LENGTHS)
    for file_name, hypotheses in found.items():
        assert [h.tokens for h in hypotheses] == [h.tokens for h in expected[file_name]]
        scores = [h.score for h in expected[file_name]]
        np.testing.assert_allclose([h.score for h in hypotheses], scores, atol=1e-5)
    scores = {round(hypotheses[0].score, 4) for hypotheses in found.values()}
    assert len(scores) == len(LENGTHS)  # a swap of two clips would be seen


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_a_wide_beam_finds_what_scoring_every_caption_finds(loaded, length_penalty):
    """Exhaustive search with `forward`: all captions of up to two words, clip by clip."""
    features = random_features({"a.wav": 7, "b.wav": 4, "c.wav": 7})
    vocabulary = loaded.vocabulary
    words = [
        t
        for t in range(len(vocabulary))
        if t not in (vocabulary.sos, vocabulary.eos, vocabulary.unk)
    ]
    captions = [c for n in range(3) for c in itertools.product(words, repeat=n)]
    options = DecodingOptions(
        beam_size=len(captions), n_best=50, max_length=2, length_penalty=length_penalty
    )
    found = decode_clips(loaded, {FRONTEND: features}, list(features), options)
    for file_name, values in features.items():
        scores = {}
        for n in range(3):
            chosen = [c for c in captions if len(c) == n]
            tokens = torch.tensor([[vocabulary.sos, *c, vocabulary.eos] for c in chosen])
            with torch.inference_mode():
                memory = loaded.model.encode(
                    {FRONTEND: torch.tensor(values)[None]}, {FRONTEND: torch.tensor([len(values)])}
                )
                log_p = loaded.model(memory, loaded.model.embed(tokens[:, :-1])).log_softmax(2)
            sums = log_p.gather(2, tokens[:, 1:, None]).sum((1, 2)) / (n + 1) ** length_penalty
            scores.update(zip(chosen, sums.tolist(), strict=True))
        best = sorted(scores.values(), reverse=True)[:50]
        np.testing.assert_allclose([h.score for h in found[file_name]], best, rtol=2e-6, atol=1e-5)
        for hypothesis in found[file_name]:
            assert hypothesis.score == pytest.approx(
                scores[tuple(hypothesis.tokens)], rel=2e-6, abs=1e-5
            )


@pytest.mark.parametrize(
    "options",
    [
        {"beam_size": 1},
        {"beam_size": 4},
        {"beam_size": 4, "no_repeat_ngram": 2, "no_repeat_content": True, "min_length": 3},
        {"beam_size": 4, "forced_words": ["tin", "dog"], "banned_words": ["rain"]},
        {"beam_size": 6, "beam_groups": 3, "diversity": 1.0},
    ],
    ids=str,
)
def test_a_batch_of_64_is_64_batches_of_one(loaded, options):
    features = random_features({f"{n}.wav": 5 + n % 9 for n in range(64)}, seed=1)
    together, alone = (
        decode_clips(
            loaded,
            {FRONTEND: features},
            list(features),
            DecodingOptions.from_settings({**options, "max_length": 8, "batch_size": batch_size}),
        )
        for batch_size in (64, 1)
    )
    for file_name, hypotheses in together.items():
        assert [h.tokens for h in hypotheses] == [h.tokens for h in alone[file_name]]
        scores = [h.score for h in alone[file_name]]
        np.testing.assert_allclose([h.score for h in hypotheses], scores, atol=1e-5)


class WithoutCache:
    """A family's `forward` on all words at every step, each row with a memory of its own."""

    def __init__(self, model):
        self.model = model
        self.rows_per_step = []

    def start(self, memory, prefix, n_beams):
        words = prefix[:, :-1].repeat_interleave(n_beams, dim=0)
        return WithoutCacheState(memory.repeat(n_beams), words)

    def step(self, state, tokens):
        self.rows_per_step.append(len(tokens))
        words = torch.cat([state.words, tokens[:, None]], dim=1)
        logits = self.model(state.memory, self.model.embed(words))[:, -1]
        return logits, WithoutCacheState(state.memory, words)


@dataclass
class WithoutCacheState:
    memory: Memory
    words: torch.Tensor

    def select(self, index):
        return WithoutCacheState(self.memory.select(index), self.words[index])


@pytest.mark.parametrize(
    "options", [{"beam_size": 5}, {"samples": 5, "seed": 3}, {"beam_size": 6, "beam_groups": 2}]
)
def test_the_cache_equals_no_cache(loaded, options):
    options = DecodingOptions.from_settings(
        {"max_length": 8, **options}
    )  # the baseline has 9 steps
    vocabulary = loaded.vocabulary
    constraints = Constraints.of(options, vocabulary)
    for name, parameter in loaded.model.named_parameters():
        if name.endswith(("classifier_bias", "classifier.bias")):
            parameter.data[vocabulary.eos] += 6  # clips end at different times, and leave
    features = torch.randn(20, 17, 8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        memory = loaded.model.encode({FRONTEND: features}, {FRONTEND: torch.full((20,), 17)})
    prefix = torch.full((20, 1), vocabulary.sos)
    without_cache = WithoutCache(loaded.model)
    cached, plain = (
        sample(model, memory, prefix, options, constraints, [str(n) for n in range(20)])
        if options.samples
        else beam_search(model, memory, prefix, options, constraints)
        for model in (loaded.model, without_cache)
    )
    for found, expected in zip(cached, plain, strict=True):
        assert [each.tokens for each in found] == [each.tokens for each in expected]
        scores = [each.score for each in expected]
        np.testing.assert_allclose([each.score for each in found], scores, atol=1e-5)
    if loaded.model.autoregressive:
        assert len(set(without_cache.rows_per_step[1:])) > 1  # clips have left


@pytest.mark.parametrize("family", list(SETTINGS))
@pytest.mark.parametrize("equal_lengths", [True, False])
@pytest.mark.parametrize("padding", ["front", "back"])
def test_batches_are_small_sorted_and_padded_on_the_right_side(
    family, equal_lengths, padding, monkeypatch
):
    loaded = small_model(family)
    monkeypatch.setattr(type(loaded.model), "equal_lengths", equal_lengths)
    monkeypatch.setattr(type(loaded.model), "padding", padding)
    features = {name: values + 9 for name, values in random_features(LENGTHS).items()}
    batches = []
    encode = loaded.model.encode

    def spy(values, n_frames):
        batches.append((values[FRONTEND], n_frames[FRONTEND]))
        return encode(values, n_frames)

    monkeypatch.setattr(loaded.model, "encode", spy)
    decode_clips(loaded, {FRONTEND: features}, list(LENGTHS), OPTIONS)
    lengths = [n for _, n_frames in batches for n in n_frames.tolist()]
    assert lengths == sorted(LENGTHS.values())
    by_length = {length: lengths.count(length) for length in lengths}
    groups = by_length.values() if equal_lengths else [len(LENGTHS)]
    assert len(batches) == sum(-(-size // OPTIONS.batch_size) for size in groups)
    for values, n_frames in batches:
        assert len(values) <= OPTIONS.batch_size
        assert not equal_lengths or n_frames.unique().numel() == 1
        longest = int(n_frames.max())
        assert values.shape == (len(n_frames), longest, 8)
        for row, length in zip(values, n_frames.tolist(), strict=True):
            own = torch.arange(longest) < length
            assert torch.equal((row != 0).all(1), own.flip(0) if padding == "front" else own)


def test_the_families_differ_in_what_decoding_must_do():
    models = [small_model(family).model for family in SETTINGS]
    assert {(model.equal_lengths, model.padding) for model in models} == {
        (True, "front"),
        (False, "back"),
    }


def test_file_names_may_be_a_part_in_another_order(loaded):
    features = random_features(LENGTHS)
    chosen = list(reversed(LENGTHS))[::2]
    found = decode_clips(loaded, {FRONTEND: features}, chosen, OPTIONS)
    everything = decode_clips(loaded, {FRONTEND: features}, list(LENGTHS), OPTIONS)
    assert list(found) == chosen
    assert {name: found[name][0].tokens for name in chosen} == {
        name: everything[name][0].tokens for name in chosen
    }


def test_features_come_from_a_store(loaded, tmp_path, repository):
    frontend = build_frontend(
        {**read_yaml(repository / "config/frontends/logmel-dcase.yaml"), "n_mels": 8}
    )
    features = random_features(LENGTHS)
    with open_shard(tmp_path / "0.parquet", ShardMetadata.from_frontend(frontend)) as shard:
        for file_name, values in features.items():
            shard.write(file_name, Heard(values, None))
    store = FeatureStore([tmp_path / "0.parquet"])
    found = decode_clips(loaded, {FRONTEND: store}, list(LENGTHS), OPTIONS)
    assert found == decode_clips(loaded, {FRONTEND: features}, list(LENGTHS), OPTIONS)


def test_no_clips(loaded):
    assert decode_clips(loaded, {FRONTEND: {}}, [], OPTIONS) == {}


@pytest.mark.parametrize(
    ("features", "file_names", "message"),
    [
        ({"other": {}}, ["a.wav"], "found the front-ends other, expected also logmel-dcase"),
        ({FRONTEND: {}}, ["a.wav"], "features logmel-dcase: found none for 'a.wav'"),
        ({FRONTEND: random_features({"a.wav": 3})}, ["a.wav", "a.wav"], "found 'a.wav' twice"),
    ],
)
def test_what_is_missing_or_double_is_named(features, file_names, message):
    with pytest.raises(InputError, match=message):
        decode_clips(small_model("conv_transformer"), features, file_names, OPTIONS)
