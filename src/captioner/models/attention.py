"""Multi-head attention (Vaswani et al., 2017), and what it looks at, where someone asks."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KeysValues = tuple[Tensor, Tensor]  # each (B, heads, positions, D / heads)


def additive(mask: Tensor, like: Tensor) -> Tensor:
    """Turn a bool mask, True where valid, into what attention adds: 0 or -inf, of `like`'s type."""
    return like.new_zeros(mask.shape).masked_fill_(~mask, -torch.inf)


class Attention(nn.Module):
    """Multi-head attention over keys and values that are projected once and may be kept.

    `dropout` acts on the weights of the attended positions.
    """

    def __init__(self, n_hidden: int, n_heads: int, dropout: float = 0.0):
        super().__init__()
        self.n_heads = n_heads
        self.dropout = dropout
        self.query = nn.Linear(n_hidden, n_hidden)
        self.key_value = nn.Linear(n_hidden, 2 * n_hidden)
        self.output = nn.Linear(n_hidden, n_hidden)

    def keys_values(self, x: Tensor) -> KeysValues:
        """Project what is attended to, (B, M, D)."""
        both, n_hidden = self.key_value(x), x.shape[-1]
        return self._split(both[..., :n_hidden]), self._split(both[..., n_hidden:])

    def forward(
        self,
        x: Tensor,
        attended: KeysValues,
        mask: Tensor | None = None,
        causal: bool = False,
    ) -> Tensor:
        """Map queries (N, L, D) to (N, L, D).

        N may be a multiple n of the attended B rows: rows b * n to b * n + n - 1 attend to row b.
        `mask` (B, M), or (B, n * L, M) for each query its own, is bool and True where valid, or is
        added to the products, as `additive` makes it.
        `causal`: position t attends to positions up to t.
        """
        queries = self._split(self.query(x).reshape(attended[0].shape[0], -1, x.shape[-1]))
        if mask is not None:
            mask = mask[:, None, None] if mask.dim() == 2 else mask[:, None]  # one for all heads
        heads = F.scaled_dot_product_attention(
            queries,
            *attended,
            attn_mask=mask,
            is_causal=causal,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.output(heads.transpose(1, 2).reshape(x.shape))

    def weights(self, x: Tensor, attended: KeysValues, mask: Tensor) -> Tensor:
        """Give what each query (N, L, D) weighs the attended by, the mean over heads: (N, L, M).

        The arguments are those of `forward` with a bool mask (B, M), which never makes these
        weights: fused attention does without. Rows sum to one over the valid positions.
        """
        keys, _ = attended
        queries = self._split(self.query(x).reshape(keys.shape[0], -1, x.shape[-1]))
        products = queries @ keys.transpose(2, 3) * queries.shape[-1] ** -0.5
        valid = mask[:, None, None]
        mean = products.masked_fill(~valid, -torch.inf).softmax(dim=-1).mean(dim=1)
        return mean.view(*x.shape[:2], -1)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


@contextmanager
def watched(layers: Iterable[Attention]) -> Iterator[list[Tensor]]:
    """Collect the weights (N, L, M) of each forward pass of `layers`, in the order of the passes.

    They are made of what the pass itself is given, beside it: the pass stays as it is.
    """
    found: list[Tensor] = []

    def keep(layer: Attention, inputs: tuple[Tensor, KeysValues, Tensor], _output: Tensor) -> None:
        found.append(layer.weights(*inputs))

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
