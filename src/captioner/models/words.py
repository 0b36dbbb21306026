"""Words as vectors: learned, or begun from the values of another model and tuned or frozen."""

import torch
from torch import Tensor, nn

from captioner.errors import InputError


class WordEmbedding(nn.Embedding):
    """An embedding of `n_values`, mapped linearly to `n_hidden` where the two differ.

    Embedded words have about unit variance: weights start with a variance of 1 / n_values and are
    multiplied by its root when they are looked up (Vaswani et al., 2017, section 3.4), so that the
    same weights can serve as a classifier's. All tokens, specials too, have a row like any other.
    """

    def __init__(self, n_tokens: int, n_values: int, n_hidden: int):
        super().__init__(n_tokens, n_values)
        nn.init.normal_(self.weight, std=n_values**-0.5)
        self.projection: nn.Linear | None = None
        if n_values != n_hidden:
            self.projection = nn.Linear(n_values, n_hidden, bias=False)
            nn.init.normal_(self.projection.weight, std=n_values**-0.5)  # keeps the variance

    def forward(self, tokens: Tensor) -> Tensor:
        """Embed tokens (N, L) int64 as (N, L, n_hidden)."""
        embedded = super().forward(tokens) * self.embedding_dim**0.5
        return embedded if self.projection is None else self.projection(embedded)

    def set(self, values: Tensor, known: Tensor, frozen: bool) -> None:
        """Take the rows of `values` (V, n_values) that are `known` (V,) bool; the others stay.

        One factor brings the known rows to the mean square of the random ones: sources differ
        tenfold in scale, and nothing else of the model should have to. `frozen`: the matrix is not
        trained; the map to `n_hidden` is.

        Raises `InputError` for another shape, and where the known rows are none, zero or not
        finite.
        """
        if values.shape != self.weight.shape or known.shape != values.shape[:1]:
            raise InputError(
                f"word embeddings: found {tuple(values.shape)} values, {tuple(known.shape)} of "
                f"them known, expected {tuple(self.weight.shape)} (tokens, values per token). Make "
                "them for this vocabulary, and give the model as many values per word: in `model:` "
                "of the system, by `n_word_values`, or by `n_hidden` where the family has no such"
            )
        taken = values[known].double()
        scale = taken.square().mean().sqrt().item() if len(taken) else 0.0
        if not 0 < scale < torch.inf:
            raise InputError(
                f"word embeddings: found {len(taken)} known words with a root mean square of "
                f"{scale}, expected one or more with finite values. Make the embeddings again"
            )
        taken = taken / (scale * self.embedding_dim**0.5)
        with torch.no_grad():
            self.weight[known.to(self.weight.device)] = taken.to(self.weight)
        self.weight.requires_grad_(not frozen)
