"""Scores of an epoch: the captions of decoding, scored as the official tools score them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from training_corpus import MODELS, make_corpus, make_settings, make_source

from captioner.decoding.decode import decode_clips
from captioner.decoding.options import DecodingOptions
from captioner.errors import InputError
from captioner.evaluation.java import missing_jars
from captioner.evaluation.metrics import cider
from captioner.evaluation.score import score_captions, tokenize_clips
from captioner.models.checkpoint import LoadedModel
from captioner.models.interface import Captioner, Memory
from captioner.models.registry import build_model
from captioner.text.vocabulary import Vocabulary
from captioner.training.batches import make_batch, plan_validation
from captioner.training.sources import load_source
from captioner.training.validation import CaptionScorer

NAMES = [f"clip {number}.wav" for number in range(9)]


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """A vocabulary and a split of nine clips of several lengths."""
    folder = tmp_path_factory.mktemp("corpus")
    vocabulary = Vocabulary.load(make_corpus(folder)["vocabulary"])
    return vocabulary, load_source(
        make_source(folder / "v", "validation", NAMES), vocabulary, "refuse"
    )


@pytest.fixture(scope="module")
def scorers(split):
    """Two scorers of the split, alike."""
    vocabulary, clips = split
    return [CaptionScorer(clips, vocabulary, monitor) for monitor in ("loss", "cider")]


@pytest.fixture(params=MODELS)
def model(request, split) -> Captioner:
    """A system with random weights, whose captions differ from clip to clip."""
    for seed in range(50):
        system = random_system(request.param, split, seed)
        if len(set(decoded(system, split).values())) > 3:
            return system
    raise AssertionError(f"no seed makes {request.param} say different things")


def random_system(family, split, seed=0):
    vocabulary, _ = split
    torch.manual_seed(seed)
    settings = make_settings(family)["model"]
    size = len(vocabulary), vocabulary.sos, vocabulary.eos
    system = build_model(family, settings, {"logmel": 6}, *size)
    randomise(system)
    return system.eval()


@torch.no_grad()
def randomise(system):
    for parameter in system.parameters():
        parameter.copy_(parameter + 0.7 * torch.randn_like(parameter))


@torch.no_grad()
def scores_of(scorer, model, split, plan):
    vocabulary, clips = split
    for pairs in plan:
        batch = make_batch(clips, pairs, vocabulary, model.padding, encode_once=True)
        scorer.add(model, model.encode(batch.features, batch.n_frames), batch.clips)
    return scorer.result()


def decoded(model, split):
    """File name -> caption, as decoding says it."""
    vocabulary, clips = split
    loaded = LoadedModel(model, vocabulary, {"frontends": {"logmel": {}}})
    found = decode_clips(loaded, clips.stores[0], clips.names, DecodingOptions())
    return {name: vocabulary.decode(best[0].tokens) for name, best in found.items()}


def test_cider_is_the_official_one_of_the_greedy_captions(model, split, scorers, tmp_path):
    _, clips = split
    predictions = decoded(model, split)
    references = dict(zip(clips.names, clips.texts, strict=True))
    tokens = tokenize_clips(predictions, references, tmp_path, 100)
    expected, _ = cider(*tokens)
    plans = {
        "whole": plan_validation(clips, 9),
        "batches": plan_validation(clips, 4),
        # As the released baseline validates: clips that come again, and clips that never come.
        "pairs": plan_validation(clips, 20, np.random.default_rng(3)),
        "none but one": [clips.pairs([5])],
    }
    for name, plan in plans.items():
        found = scores_of(scorers[0], model, split, plan)
        assert found == {"cider": pytest.approx(expected, abs=1e-10)}, name


def test_epochs_begin_anew(model, split, scorers):
    """Nothing of an epoch's captions is left for the next one's other weights."""
    plan = plan_validation(split[1], 4)
    first = scores_of(scorers[0], model, split, plan)
    randomise(model)
    second = scores_of(scorers[0], model, split, plan)
    assert second == scores_of(scorers[1], model, split, plan)
    assert first != second


def test_captions_start_with_the_task_token(split):
    """The prefix is the clip's own: a system that says what it was told at the start."""
    vocabulary, clips = split
    starts = [*range(2, 2 + len(clips))]
    heard = []

    class Echo:
        equal_lengths = False

        def start(self, memory, prefix, n_beams):
            heard.extend(prefix[:, 0].tolist())
            return SimpleNamespace(select=lambda index: None)

        def step(self, state, tokens):
            logits = torch.zeros(len(tokens), len(vocabulary))
            logits[:, vocabulary.eos] = 9.0
            return logits, state

    scorer = CaptionScorer(replace(clips, starts=starts), vocabulary, "cider")
    memory = Memory(torch.zeros(len(clips), 1, 1), torch.ones(len(clips), 1, dtype=torch.bool))
    scorer.add(Echo(), memory, range(len(clips)))
    assert scorer.result() == {"cider": 0.0}
    assert heard == starts


def test_spider_needs_spices_jars(split):
    vocabulary, clips = split
    with pytest.raises(InputError, match=r"monitor: found spider without SPICE's jars"):
        CaptionScorer(clips, vocabulary, "spider")


def test_spider_takes_spice_of_the_same_captions(split, tmp_path, monkeypatch):
    """A stand-in for SPICE sees tokenised captions and references; its mean is taken."""
    vocabulary, clips = split
    seen = {}

    def fake(candidates, references, folder, **options):
        seen.update(candidates=candidates, references=references, **options)
        return [0.5] * len(candidates)

    monkeypatch.setattr("captioner.training.validation.spice_scores", fake)
    model = random_system("conv_transformer", split)
    scorer = CaptionScorer(
        clips, vocabulary, "spider", java_folder=tmp_path, cache_folder=tmp_path / "parses"
    )
    found = scores_of(scorer, model, split, plan_validation(clips, 4))
    assert found["spider"] == pytest.approx((found["cider"] + 0.5) / 2)
    assert seen["candidates"] == list(decoded(model, split).values())
    assert seen["java_folder"] == tmp_path
    assert seen["cache"].path.parent == tmp_path / "parses"
    assert [len(of_clip) for of_clip in seen["references"]] == [5] * len(clips)


@pytest.mark.slow
def test_spider_is_the_official_one(split, repository, tmp_path):
    java_folder = repository / "resources" / "java"
    if missing_jars(java_folder):
        pytest.skip("SPICE's jars are not there")
    vocabulary, clips = split
    model = random_system("conv_transformer", split)
    options = {"java_folder": java_folder, "cache_folder": tmp_path}
    scorer = CaptionScorer(clips, vocabulary, "spider", **options)
    found = scores_of(scorer, model, split, plan_validation(clips, 4))
    references = dict(zip(clips.names, clips.texts, strict=True))
    expected = score_captions(decoded(model, split), references, allow_empty=True, **options)
    assert found["spider"] == pytest.approx(expected.corpus["spider"], abs=1e-10)
