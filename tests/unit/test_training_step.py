"""One step: parts of a batch together, precision, and what is done about overflows."""

import math

import pytest
import torch
from plain_tokens import use_plain_tokens
from training_corpus import MODELS, TRAINING, make_corpus

from captioner.errors import InputError
from captioner.models.registry import FAMILIES, build_model
from captioner.text.vocabulary import Vocabulary
from captioner.training.batches import make_batch, split_pairs
from captioner.training.losses import CrossEntropy, Loss
from captioner.training.optimisation import build_optimizer
from captioner.training.precision import Precision
from captioner.training.self_critical import SelfCritical
from captioner.training.sources import load_source
from captioner.training.step import Step, Stepper

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    corpus = make_corpus(tmp_path_factory.mktemp("corpus"))
    vocabulary = Vocabulary.load(corpus["vocabulary"])
    return load_source(corpus["sources"][0], vocabulary, "refuse"), vocabulary


def build(family, vocabulary):
    torch.manual_seed(0)
    dims = MODELS[family] | {"dropout": 0.0}
    return build_model(family, dims, {"logmel": 6}, len(vocabulary), vocabulary.sos, vocabulary.eos)


def stepper_of(model, objective, precision="float32", clip=1e9, scale=2.0**10):
    held = Precision(precision, CPU)
    # A scale at which no model here overflows: at PyTorch's first, 2**16, a first step may.
    held.scaler = torch.amp.GradScaler("cpu", init_scale=scale, enabled=held.scales)
    optimizer = build_optimizer(model, TRAINING | {"learning_rate": 0.01})
    return Stepper(Step(model, objective, held), optimizer, held, clip, CPU)


def take(stepper, parts):
    return stepper.take(parts, [torch.Generator().manual_seed(k) for k in range(len(parts))])


def gradients(model):
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("padding_in_loss", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_gradient_of_parts_is_that_of_the_whole_batch(
    corpus, family, padding_in_loss, precision
):
    """Parts of unequal numbers of clips and words; with padding before and behind."""
    clips, vocabulary = corpus
    pairs = clips.pairs([3, 0, 5, 1, 2])[:-2]
    found = []
    for n_parts in (1, 2, 4):
        model = build(family, vocabulary).eval()  # no statistics of batches, which parts change
        stepper = stepper_of(model, CrossEntropy(padding_in_loss, label_smoothing=0.1), precision)
        parts = [
            make_batch(clips, pairs, vocabulary, model.padding, encode_once=True, part=part)
            for part in split_pairs(pairs, n_parts)
        ]
        assert len(parts) == n_parts
        taken = take(stepper, parts)
        found.append((taken, gradients(model)))
        assert taken.n_clips == 5
    (whole, expected), *others = found
    rounding = 1e-6 if precision == "float32" else 2e-3
    for taken, summed in others:
        assert taken.loss.item() == pytest.approx(whole.loss.item(), rel=rounding)
        assert taken.weight == pytest.approx(whole.weight)
        norm = whole.gradient_norm.item()
        assert taken.gradient_norm.item() == pytest.approx(norm, rel=rounding)
        assert summed.keys() == expected.keys()
        for name, gradient in summed.items():
            assert torch.allclose(gradient, expected[name], atol=rounding * norm), name


class Objective:
    """Losses made up: the mean of a part's values times the weight, and a fact."""

    def __init__(self, values):
        self.values = values

    def __call__(self, model, batch, generator):
        value, weight = self.values.pop(0)
        return Loss(model.weight.sum() * value, weight, {"reward": value})


class Part:
    n_clips = 2

    def to(self, device):
        return self


def made_up(values, precision="float32", clip=1e9):
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(model.weight)
    stepper = stepper_of(model, Objective(list(values)), precision, clip, scale=2.0**16)
    taken = take(stepper, [Part()] * len(values))
    return model, stepper, taken


def test_losses_and_facts_are_means_by_weight():
    model, _, taken = made_up([(2.0, 3.0), (5.0, 1.0), (-1.0, 4.0)])
    mean = (2 * 3 + 5 * 1 - 1 * 4) / 8
    assert (taken.loss.item(), taken.weight, taken.n_clips) == (pytest.approx(mean), 8, 6)
    assert taken.facts == {"reward": pytest.approx(mean)}
    assert model.weight.grad.item() == pytest.approx(mean)
    assert taken.gradient_norm.item() == pytest.approx(mean)


def test_the_norm_is_that_before_clipping():
    for precision in ("float32", "float16"):
        model, _, taken = made_up([(3.0, 1.0)], precision, clip=0.5)
        assert taken.gradient_norm.item() == pytest.approx(3.0)
        assert abs(model.weight.grad.item()) == pytest.approx(0.5, rel=1e-4)


def test_an_overflow_leaves_the_step_out_and_lowers_the_scale():
    model, stepper, taken = made_up([(math.inf, 1.0)], "float16")
    assert model.weight.item() == 1 and not math.isfinite(taken.gradient_norm.item())
    assert stepper.precision.scaler.get_scale() == 2.0**15  # half of PyTorch's first
    stepper.precision.check(1)
    for _ in range(16):
        stepper.step.objective.values.append((math.inf, 1.0))
        take(stepper, [Part()])
    with pytest.raises(InputError, match=r"diverged by epoch 3: .*bfloat16"):
        stepper.precision.check(3)
    assert model.weight.item() == 1


def types_of_linear_outputs(model):
    types = set()
    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.register_forward_hook(lambda layer, given, out: types.add(out.dtype))
    return types


@pytest.mark.parametrize("reinforced", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_is_used_and_reaches_every_weight(corpus, family, reinforced, monkeypatch):
    """Also after captions were sampled without gradients, by the same weights."""
    use_plain_tokens(monkeypatch.setattr)
    clips, vocabulary = corpus
    found = {}
    for precision in ("float32", "bfloat16", "float16"):
        model = build(family, vocabulary)
        types = types_of_linear_outputs(model)
        objective = (
            SelfCritical(clips, vocabulary, TRAINING | {"self_critical": {"max_length": 8}})
            if reinforced
            else CrossEntropy(padding_in_loss=False)
        )
        batch = make_batch(clips, clips.pairs(), vocabulary, model.padding, encode_once=True)
        taken = take(stepper_of(model, objective, precision), [batch])
        expected = {"float32": torch.float32, "bfloat16": torch.bfloat16}
        assert types == {expected.get(precision, torch.float16)}
        assert taken.loss.dtype == torch.float32
        assert all(weights.dtype == torch.float32 for weights in model.parameters())
        found[precision] = taken, gradients(model)
    full, every = found.pop("float32")
    for precision, (half, reached) in found.items():
        assert reached.keys() == every.keys(), precision
        if not reinforced:  # samples of other logits are others
            assert half.loss.item() == pytest.approx(full.loss.item(), rel=0.01)
            assert half.loss.item() != full.loss.item()
            norm = full.gradient_norm.item()
            assert half.gradient_norm.item() == pytest.approx(norm, rel=0.05)
            for name, gradient in reached.items():
                assert torch.allclose(gradient, every[name], atol=0.05 * norm), (precision, name)
        else:
            assert [n for n, g in every.items() if g.any()] == [
                n for n, g in reached.items() if g.any()
            ]
