"""Words as vectors: their scale, the map to the model's width, values from elsewhere."""

import pytest
import torch
from torch import nn

from captioner.errors import InputError
from captioner.models.words import WordEmbedding

TOKENS = torch.arange(2000)


@pytest.mark.parametrize("n_hidden", [64, 48, 128])
def test_words_have_unit_variance(n_hidden):
    torch.manual_seed(0)
    words = WordEmbedding(2000, 64, n_hidden)
    embedded = words(TOKENS[None])
    assert embedded.shape == (1, 2000, n_hidden)
    assert embedded.var().item() == pytest.approx(1, abs=0.05)
    assert (words.projection is None) == (n_hidden == 64)


def test_without_a_map_it_is_the_plain_scaled_embedding():
    """The draws too: a model that had an `nn.Embedding` of this start keeps its weights."""
    torch.manual_seed(3)
    plain = nn.Embedding(7, 16)
    nn.init.normal_(plain.weight, std=16**-0.5)
    torch.manual_seed(3)
    words = WordEmbedding(7, 16, 16)
    assert list(words.state_dict()) == ["weight"]
    tokens = torch.tensor([[0, 6, 2], [1, 1, 5]])
    assert torch.equal(words(tokens), plain(tokens) * 16**0.5)


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("frozen", [True, False])
def test_known_rows_are_taken_at_the_scale_of_the_random_ones(scale, frozen):
    torch.manual_seed(1)
    words = WordEmbedding(300, 8, 12)
    before = words.weight.detach().clone()
    values = scale * (torch.randn(300, 8) + 0.3)
    known = torch.rand(300) < 0.7
    values[~known] = torch.nan  # never looked at
    words.set(values, known, frozen)
    after = words.weight.detach()
    assert torch.equal(after[~known], before[~known])
    torch.testing.assert_close(
        after[known], values[known] / values[known].square().mean().sqrt() / 8**0.5
    )
    words(TOKENS[None, :300]).sum().backward()
    assert (words.weight.grad is None) == frozen
    assert words.projection is not None and words.projection.weight.grad is not None


@pytest.mark.parametrize(
    ("values", "known", "found"),
    [
        (torch.ones(5, 3), torch.ones(5, dtype=torch.bool), r"found \(5, 3\) values.*\(5, 4\)"),
        (torch.ones(6, 4), torch.ones(6, dtype=torch.bool), r"found \(6, 4\) values.*\(5, 4\)"),
        (torch.ones(5, 4), torch.ones(4, dtype=torch.bool), r"\(4,\) of them known"),
        (torch.ones(5, 4), torch.zeros(5, dtype=torch.bool), "found 0 known words"),
        (torch.zeros(5, 4), torch.ones(5, dtype=torch.bool), "root mean square of 0"),
        (torch.full((5, 4), torch.inf), torch.ones(5, dtype=torch.bool), "square of inf"),
        (torch.full((5, 4), torch.nan), torch.ones(5, dtype=torch.bool), "square of nan"),
    ],
)
def test_values_that_do_not_fit_change_nothing(values, known, found):
    words = WordEmbedding(5, 4, 4)
    before = words.weight.detach().clone()
    with pytest.raises(InputError, match=found):
        words.set(values, known, frozen=True)
    assert torch.equal(words.weight, before) and words.weight.requires_grad
