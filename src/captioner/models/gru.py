"""GRU layers (Cho et al., 2014) that train on a CPU in about half of PyTorch's time.

On a CPU, PyTorch's recurrence leaves a graph of small operations for every step and adds up the
weights' gradients step by step. Here the backward pass is written out: the directions are scanned
together, a step backwards takes four operations, and the gradient of each weight is one product
over all steps. Equations, weights and their initial values are those of `torch.nn.GRU`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import custom_bwd, custom_fwd
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
FORWARD, REVERSE = "", "_reverse"  # what the names of a direction's weights end with
BLOCK = 64  # steps


class GRU(nn.GRU):
    """One layer of `nn.GRU` in one or both directions, from a zero state; `GRU(F, hidden, ...)`.

    On a CPU it is computed here, elsewhere by PyTorch (on a GPU by cuDNN), and by it where a graph
    is exported.
    """

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """Map (T, B, F) to (T, B, hidden), or in both directions to (T, B, 2 * hidden).

        With `batch_first`, (B, T, F) to (B, T, ...). With `n_frames` (B,) int64, what stands behind
        a clip's own frames changes nothing in them: the reverse direction begins at its last frame.
        The output behind them means nothing.
        """
        if n_frames is None and not x.is_cpu:
            return super().forward(x)[0]
        if self.batch_first:
            x = x.transpose(0, 1)
        if self.bidirectional:
            onwards, back = self.scan({FORWARD: x, REVERSE: reverse(x, n_frames)})
            output = torch.cat([onwards, reverse(back, n_frames)], dim=-1)
        else:
            (output,) = self.scan({FORWARD: x})
        return output.transpose(0, 1) if self.batch_first else output

    def scan(self, inputs: dict[str, Tensor]) -> Sequence[Tensor]:
        """Run some directions, each from the first to the last step of its (T, B, F)."""
        weights = [[getattr(self, name + direction) for name in WEIGHTS] for direction in inputs]
        directions = list(zip(inputs.values(), weights, strict=True))
        if directions[0][0].is_cpu and not torch.compiler.is_compiling():
            return Scan.apply(*(tensor for x, own in directions for tensor in (x, *own))).unbind()
        outputs = []
        for x, own in directions:
            zeros = x.new_zeros(1, x.shape[1], self.hidden_size)
            outputs.append(torch.gru(x, zeros, own, True, 1, 0.0, self.training, False, False)[0])
        return outputs


class LastStepGRU(GRU):
    """The last time step of a bidirectional layer's output, exactly, at little over half the work.

    At the last step, the reverse direction has read one frame: only that is computed.
    """

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Map (T, B, F), or with `batch_first` (B, T, F), to (B, 2 * hidden)."""
        if self.batch_first:
            x = x.transpose(0, 1)
        (onwards,), (back,) = self.scan({FORWARD: x}), self.scan({REVERSE: x[-1:]})
        return torch.cat([onwards[-1], back[0]], dim=-1)


def reverse(x: Tensor, n_frames: Tensor | None = None) -> Tensor:
    """Reverse (T, B, F) in time: within each clip's `n_frames` (B,), and likewise behind them."""
    if n_frames is None:
        return x.flip(0)
    n_steps = x.shape[0]
    places = n_frames - 1 - torch.arange(n_steps, device=x.device)[:, None]  # (T, B)
    places = torch.where(places < 0, places + n_steps, places)
    return x.gather(0, places[..., None].expand_as(x))


class Scan(torch.autograd.Function):
    """D directions of equal dims, each over its own input: all states (D, T, B, H).

    Of each direction the arguments are x (T, B, F), W (3 * H, F), U (3 * H, H), b (3 * H,) and
    c (3 * H,), with parts of the weights and biases for r, z and n in this order:

        r, z = sigmoid(W x + b + U h + c)
        n = tanh(W x + b + r * (U h + c))
        h <- (1 - z) * n + z * h
    """

    @staticmethod
    @custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(ctx: Any, *arguments: Tensor) -> Tensor:
        """Give all states; kept are r, z and n, U h + c of n, and the states."""
        xs, ws, us, bs, cs = (arguments[kind::5] for kind in range(5))
        n_directions, (n_steps, n_rows, _), n_hidden = len(xs), xs[0].shape, us[0].shape[1]
        gates = xs[0].new_empty(n_directions, n_steps, n_rows, 3 * n_hidden)
        of_n = xs[0].new_empty(n_directions, n_steps, n_rows, n_hidden)
        states = xs[0].new_empty(n_directions, n_steps + 1, n_rows, n_hidden)
        states[:, 0] = 0
        biases = [b + pad(c[: 2 * n_hidden], (0, n_hidden)) for b, c in zip(bs, cs, strict=True)]
        c_n = torch.stack(cs)[:, None, 2 * n_hidden :]
        u = torch.stack(us).transpose(1, 2)
        product = xs[0].new_empty(n_directions, n_rows, 3 * n_hidden)
        product_rz, product_n = product.split([2 * n_hidden, n_hidden], dim=-1)
        rz_at = gates[..., : 2 * n_hidden].unbind(1)
        r_at, z_at, n_at = (gate.unbind(1) for gate in gates.chunk(3, dim=-1))
        of_n_at, state_at = of_n.unbind(1), states.unbind(1)
        for block in blocks(n_steps):
            for own, x, w, bias in zip(gates, xs, ws, biases, strict=True):
                out = own[block.start : block.stop].flatten(0, 1)
                torch.addmm(bias, x[block.start : block.stop].flatten(0, 1), w.t(), out=out)
            for t in block:
                torch.bmm(state_at[t], u, out=product)
                rz_at[t].add_(product_rz).sigmoid_()
                torch.add(product_n, c_n, out=of_n_at[t])
                n_at[t].addcmul_(r_at[t], of_n_at[t]).tanh_()
                torch.lerp(n_at[t], state_at[t], z_at[t], out=state_at[t + 1])
        ctx.save_for_backward(*xs, *ws, *us, gates, of_n, states)
        return states[:, 1:]

    @staticmethod
    @once_differentiable
    @custom_bwd(device_type="cpu")
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Give the gradients of all arguments from that of the states."""
        *saved, gates, of_n, states = ctx.saved_tensors
        k, n_steps, n_rows, n_hidden = of_n.shape
        xs, ws, us = saved[:k], saved[k : 2 * k], saved[2 * k :]
        d_xs = [x.new_empty(x.shape) if ctx.needs_input_grad[0] else None for x in xs]
        d_ws, d_us = ([torch.zeros_like(each) for each in kind] for kind in (ws, us))
        d_bs, d_cs = (gates.new_zeros(k, 3 * n_hidden) for _ in range(2))
        u = torch.stack(us)
        carried = gates.new_zeros(k, n_rows, n_hidden)
        for block in reversed(blocks(n_steps)):
            steps = slice(block.start, block.stop)
            r, z, n = gates[:, steps].chunk(3, dim=-1)
            slope_n = (1 - z) * (1 - n * n)
            # What the gradient of a state is multiplied by for those of U h + c.
            slopes = gates.new_empty(k, len(block), n_rows, 3, n_hidden)
            torch.mul(slope_n, r, out=slopes[..., 2, :])
            torch.mul(slopes[..., 2, :] * of_n[:, steps], 1 - r, out=slopes[..., 0, :])
            torch.mul((states[:, steps] - n) * z, 1 - z, out=slopes[..., 1, :])
            d_products = torch.empty_like(slopes)
            d_states = gradient[:, steps].clone(memory_format=torch.contiguous_format)
            for t in reversed(range(len(block))):
                d_state = d_states[:, t].add_(carried)
                d_product = torch.mul(slopes[:, t], d_state[:, :, None], out=d_products[:, t])
                torch.mul(d_state, z[:, t], out=carried)
                carried.baddbmm_(d_product.flatten(2), u)
            flat = d_products.view(k, -1, 3 * n_hidden)  # (D, steps * B, 3 * H)
            for own, d_u, h in zip(flat, d_us, states, strict=True):
                d_u.addmm_(own.t(), h[steps].flatten(0, 1))
            d_cs += flat.sum(1)
            torch.mul(slope_n, d_states, out=d_products[..., 2, :])  # of W x + b, equal but in n
            d_bs += flat.sum(1)
            for own, x, w, d_x, d_w in zip(flat, xs, ws, d_xs, d_ws, strict=True):
                d_w.addmm_(own.t(), x[steps].flatten(0, 1))
                if d_x is not None:
                    torch.mm(own, w, out=d_x[steps].flatten(0, 1))
        return tuple(each for own in zip(d_xs, d_ws, d_us, d_bs, d_cs, strict=True) for each in own)


def blocks(n_steps: int) -> list[range]:
    """Cut the steps where what is computed of a block still fits a processor's cache."""
    return [range(n_steps)[first : first + BLOCK] for first in range(0, n_steps, BLOCK)]
