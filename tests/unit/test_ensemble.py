"""Ensembles: one model with itself, means worked out by hand, mixtures of families."""

import itertools

import numpy as np
import pytest
import torch

from captioner.decoding.decode import decode_clips
from captioner.decoding.ensemble import Ensemble, ensemble
from captioner.decoding.options import DecodingOptions
from captioner.errors import InputError
from captioner.models.checkpoint import LoadedModel
from captioner.models.registry import build_model
from captioner.text.vocabulary import Vocabulary
from small_models import FRONTEND, random_features, small_model

FAMILIES = ["conv_transformer", "dcase_baseline"]
AVERAGES = ["probability", "log_probability"]
OPTIONS = DecodingOptions(beam_size=4, n_best=4, max_length=7, batch_size=8)
FEATURES = {
    FRONTEND: random_features({f"{n}.wav": 5 + n % 7 for n in range(24)}),
    "other": random_features({f"{n}.wav": 3 + n % 4 for n in range(24)}, n_features=6, seed=3),
}
NAMES = list(FEATURES[FRONTEND])


def with_frontend(loaded, frontend, n_features, seed):
    """The same family on another front-end."""
    torch.manual_seed(seed)
    model = loaded.model
    settings = {
        key: value
        for key, value in vars(model.dims).items()
        if key not in ("n_features", "n_tokens", "sos", "eos")
    }
    dims = model.dims
    other = build_model(
        model.family, settings, {frontend: n_features}, dims.n_tokens, dims.sos, dims.eos
    )
    return LoadedModel(other.eval(), loaded.vocabulary, {"frontends": {frontend: {}}})


def assert_same_captions(found, expected):
    for name in NAMES:
        assert [each.tokens for each in found[name]] == [each.tokens for each in expected[name]]
        scores = [each.score for each in expected[name]]
        np.testing.assert_allclose([each.score for each in found[name]], scores, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("n", [1, 3])
def test_one_model_with_itself_changes_nothing(family, average, n):
    loaded = small_model(family)
    expected = decode_clips(loaded, FEATURES, NAMES, OPTIONS)
    assert_same_captions(
        decode_clips(ensemble([loaded] * n, average), FEATURES, NAMES, OPTIONS), expected
    )


def mixture():
    return [
        small_model("conv_transformer", seed=1),
        small_model("dcase_baseline", seed=2),
        with_frontend(small_model("conv_transformer"), "other", 6, seed=3),
    ]


@pytest.mark.parametrize("average", AVERAGES)
def test_every_word_is_averaged_over_families_and_frontends(average):
    """Exhaustive search with each member's `forward`: all captions of up to two words."""
    members = mixture()
    joined = ensemble(members, average)
    vocabulary = joined.vocabulary
    name = "9.wav"
    clip = {key: torch.tensor(values[name])[None] for key, values in FEATURES.items()}
    n_frames = {key: torch.tensor([values.shape[1]]) for key, values in clip.items()}
    words = [t for t in range(len(vocabulary)) if t not in vocabulary.unspoken]
    words.remove(vocabulary.eos)
    scores = {}
    for n in range(3):
        captions = list(itertools.product(words, repeat=n))
        tokens = torch.tensor([[vocabulary.sos, *each, vocabulary.eos] for each in captions])
        with torch.inference_mode():
            p = [
                loaded.model(
                    loaded.model.encode(clip, n_frames), loaded.model.embed(tokens[:, :-1])
                ).softmax(2)
                for loaded in members
            ]
            p = torch.stack(p)
            mean = p.mean(0).log() if average == "probability" else p.log().mean(0).log_softmax(2)
            own = joined.model(
                joined.model.encode(clip, n_frames), joined.model.embed(tokens[:, :-1])
            )
        torch.testing.assert_close(own.log_softmax(2), mean, atol=1e-5, rtol=0)
        sums = mean.gather(2, tokens[:, 1:, None]).sum((1, 2)) / (n + 1)
        scores.update(zip(captions, sums.tolist(), strict=True))
    best = sorted(scores.values(), reverse=True)[:30]
    options = DecodingOptions(beam_size=300, n_best=30, max_length=2)
    found = decode_clips(joined, FEATURES, [name], options)[name]
    np.testing.assert_allclose([each.score for each in found], best, atol=1e-5)
    for each in found:
        assert each.score == pytest.approx(scores[tuple(each.tokens)], abs=1e-5)


def test_batches_of_an_ensemble_are_clips_alone():
    joined = ensemble(mixture())
    assert joined.model.equal_lengths  # the baseline's padding is part of its input
    found = decode_clips(joined, FEATURES, NAMES, OPTIONS)
    alone = {
        name: each
        for name in NAMES
        for each in decode_clips(joined, FEATURES, [name], OPTIONS).values()
    }
    assert_same_captions(found, alone)
    assert_same_captions(decode_clips(joined, FEATURES, NAMES[::-1], OPTIONS), alone)
    padded = ensemble([small_model("conv_transformer", seed=seed) for seed in (1, 2)])
    assert not padded.model.equal_lengths
    assert padded.model.padding == "back"


def test_a_memory_is_selected_and_repeated_member_by_member():
    joined = ensemble(mixture()).model
    names = NAMES[:1] * 3
    clip = {
        key: torch.tensor(np.stack([values[name] for name in names]))
        for key, values in FEATURES.items()
    }
    clip = {key: values + torch.arange(3)[:, None, None] for key, values in clip.items()}
    n_frames = {key: torch.full((3,), values.shape[1]) for key, values in clip.items()}
    memory = joined.encode(clip, n_frames)
    index = torch.tensor([2, 0])
    for own, whole in zip(memory.select(index).members, memory.members, strict=True):
        assert torch.equal(own.values, whole.values[index])
    for own, whole in zip(memory.repeat(2).members, memory.members, strict=True):
        assert torch.equal(own.mask, whole.repeat(2).mask)
        assert torch.equal(own.values, whole.repeat(2).values)


def test_what_an_ensemble_says_of_itself():
    members = mixture()
    description = ensemble(members).description
    assert description["frontends"] == {FRONTEND: {}, "other": {}}
    assert description["members"] == [member.description for member in members]
    assert ensemble(members).model.n_parameters() == sum(m.model.n_parameters() for m in members)
    assert not any(module.training for module in ensemble(members).model.modules())


def renamed(loaded):
    vocabulary = loaded.vocabulary
    tokens = [*vocabulary.tokens[:-1], "unicorn"]
    other = Vocabulary(tokens, vocabulary.counts, vocabulary.settings, vocabulary.corpora)
    return LoadedModel(loaded.model, other, loaded.description)


def described(loaded, **changes):
    return LoadedModel(loaded.model, loaded.vocabulary, {**loaded.description, **changes})


def larger(loaded):
    model = build_model("dcase_baseline", {}, {FRONTEND: 8}, len(loaded.vocabulary) + 1, 0, 1)
    return LoadedModel(model, loaded.vocabulary, loaded.description)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (renamed, "ensemble: found members with different vocabularies"),
        (larger, r"ensemble: found members of 2 vocabularies \(tokens, <sos>, <eos>: \("),
        (lambda m: described(m, task_token="macs"), "task tokens None and 'macs', expected the"),
        (lambda m: described(m, frontends={FRONTEND: {"n": 1}}), "different front-ends 'logmel-dc"),
    ],
)
def test_members_that_do_not_fit_are_refused(change, message):
    loaded = small_model("dcase_baseline")
    with pytest.raises(InputError, match=message):
        ensemble([loaded, change(loaded)])


def test_an_empty_ensemble_or_an_unknown_average_is_refused():
    with pytest.raises(InputError, match="found 0 members averaged by 'probability', expected one"):
        Ensemble([])
    with pytest.raises(InputError, match=r"averaged by 'median', expected .* log_probability"):
        Ensemble([small_model("dcase_baseline").model], "median")
