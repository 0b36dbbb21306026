"""Training steps: caption pairs per second, against the released baseline's arithmetic.

    PYTHONPATH=src python benchmarks/bench_training.py

Three parts; all steps have forward and backward passes, gradient clipping and Adam.

The baseline's model on a CPU, batches of 16 pairs of log-mel clips and captions, in four processes
that take turns: the released code's arithmetic, reimplemented plainly (PyTorch's GRUs, all steps of
all three, memory handled as the system does); PyTorch's GRUs as well as they can be used (with the
shortcut at the last layer, and freed memory kept); our model with `batching: pairs`; and with
`batching: clips`, where each of the 16 clips has its five captions. All have the same weights, and
their outputs and gradients are compared first.

A Transformer decoder on stored embeddings (`config/systems/convnext_transformer.yaml`) on a CPU,
without and with its dropout, against the bare products of matrices of the same step: those that
PyTorch's linear layers call in both passes, recorded and repeated on random numbers. Products
inside attention are left out of that floor.

On a GPU, if there is one: both systems in float32 and bfloat16, from batches in pinned memory.
"""

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from captioner.memory import keep_freed_memory
from captioner.training.batches import Batch
from captioner.training.losses import batch_logits
from training_on_gpu import systems_on_gpu
from training_steps import (
    CAPTIONS_PER_CLIP,
    N_TOKENS,
    baseline_batch,
    build_system,
    embeddings_batch,
    stepper,
)

Times = tuple[float, float]  # wall and CPU seconds of a step


class Plain(nn.Module):
    """The baseline in PyTorch's GRUs; weights have their published names."""

    def __init__(self, n_features: int, *, shortcut: bool):
        super().__init__()
        both: dict[str, Any] = {"batch_first": True, "bidirectional": True}
        self.encoder = nn.Module()
        self.encoder.gru_1 = nn.GRU(n_features, 256, **both)
        self.encoder.gru_2 = nn.GRU(512, 256, **both)
        self.encoder.gru_3 = nn.GRU(512, 256, **both)
        self.decoder = nn.Module()
        self.decoder.rnn = nn.GRU(512, 256, batch_first=True)
        self.decoder.classifier = nn.Linear(256, N_TOKENS)
        self.shortcut = shortcut

    def forward(self, features: Tensor, n_steps: int) -> Tensor:
        """Map (B, T, F) to logits (B, n_steps, V)."""
        encoder: Any = self.encoder
        decoder: Any = self.decoder
        h = encoder.gru_1(features)[0]
        h = h + encoder.gru_2(h)[0]
        third = self.last_step(h) if self.shortcut else encoder.gru_3(h)[0][:, -1]
        repeated = (h[:, -1] + third)[:, None].expand(-1, n_steps, -1)
        return decoder.classifier(decoder.rnn(repeated)[0])

    def last_step(self, h: Tensor) -> Tensor:
        """Give the last step of the third GRU: one step of its reverse direction suffices."""
        weights = list(self.encoder.gru_3.parameters())  # type: ignore[union-attr]
        zeros = h.new_zeros(1, len(h), 256)
        ends = [
            torch.gru(x, zeros, own, True, 1, 0.0, True, False, True)[1][0]
            for x, own in ((h, weights[:4]), (h[:, -1:], weights[4:]))
        ]
        return torch.cat(ends, dim=-1)


# The baseline on a CPU

RELEASED = "released arithmetic, plainly, pairs"
PYTORCH = "PyTorch's GRUs, shortcut, memory kept, pairs"
PAIRS = "ours, pairs"
CLIPS = f"ours, clips with {CAPTIONS_PER_CLIP} captions"


def baseline_step(way: str, arguments: argparse.Namespace) -> tuple[Callable[[], None], Any]:
    """Give one way's training step, and what gives its logits and gradients."""
    torch.manual_seed(1)
    plain = Plain(64, shortcut=way == PYTORCH)
    batch = baseline_batch(arguments, CAPTIONS_PER_CLIP if way == CLIPS else 1)
    if way in (RELEASED, PYTORCH):
        optimizer = torch.optim.Adam(plain.parameters(), lr=1e-4)

        def logits() -> Tensor:
            return plain(batch.features["logmel"], batch.targets.shape[1])

        def step() -> None:
            loss = functional.cross_entropy(logits().flatten(0, 1), batch.targets.flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
            optimizer.step()

        return step, (plain, logits, batch)
    model = build_system("baseline", "logmel", 64)
    model.load_state_dict(plain.state_dict())
    ours = stepper(model, "baseline", "float32", torch.device("cpu"))
    generator = torch.Generator()

    def own_step() -> None:
        ours.take([batch], [generator])

    return own_step, (model, lambda: batch_logits(model, batch), batch)


def gradients(model: nn.Module, logits: Callable[[], Tensor], batch: Batch) -> dict[str, Tensor]:
    """Give the logits, and the gradients of the cross entropy, by name."""
    found = logits()
    functional.cross_entropy(found.flatten(0, 1), batch.targets.flatten()).backward()
    of_weights = {name: weights.grad for name, weights in model.named_parameters()}
    return {"logits": found.detach(), **{k: v for k, v in of_weights.items() if v is not None}}


def work(way: str, arguments: argparse.Namespace, connection: Connection) -> None:
    """Take a step whenever asked, in a process of this way's own, and send its times."""
    torch.set_num_threads(arguments.threads)
    if way != RELEASED:
        keep_freed_memory()
    step, compared = baseline_step(way, arguments)
    connection.send({k: v.numpy() for k, v in gradients(*compared).items()})
    while connection.recv():
        connection.send(timed(step))


def timed(step: Callable[[], Any]) -> Times:
    """Take the wall and CPU seconds of a step."""
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - wall, time.process_time() - cpu


def baseline_on_cpu(arguments: argparse.Namespace) -> None:
    """Print pairs per second of the four ways, and how far their results differ."""
    ways = (RELEASED, PYTORCH, PAIRS, CLIPS)
    context = multiprocessing.get_context("spawn")
    connections, found = {}, {}
    for way in ways:
        connections[way], theirs = context.Pipe()
        context.Process(target=work, args=(way, arguments, theirs), daemon=True).start()
        results = connections[way].recv()
        found[way] = {name: torch.from_numpy(values) for name, values in results.items()}
    times: dict[str, list[Times]] = {way: [] for way in ways}
    for turn in range(arguments.rounds + 1):
        for way in ways:
            connections[way].send(True)
            taken = connections[way].recv()
            times[way] += [taken] if turn else []  # the first is for caches and threads
    for connection in connections.values():
        connection.send(False)

    print(
        f"baseline, batches of {arguments.batch_size} clips of {arguments.frames} frames, "
        f"{arguments.threads} threads, medians of {arguments.rounds} rounds:\n"
        "pairs/s, times the first; pairs per CPU second, times the first; seconds a step"
    )
    first: list[float] = []
    for way in ways:
        n_pairs = arguments.batch_size * (CAPTIONS_PER_CLIP if way == CLIPS else 1)
        rates = [n_pairs / statistics.median(column) for column in zip(*times[way], strict=True)]
        first = first or rates
        ratios = [rate / other for rate, other in zip(rates, first, strict=True)]
        print(
            f"  {way:46} {rates[0]:7.2f} {ratios[0]:6.2f}  {rates[1]:7.2f} {ratios[1]:6.2f}"
            f"  {n_pairs / rates[0]:6.2f}"
        )
    for way in (PYTORCH, PAIRS):
        logits, weights = difference(found[way], found[RELEASED])
        print(f"  {way}: logits differ by {logits:.0e}, gradients by {weights:.0e} of the largest")


def difference(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> tuple[float, float]:
    """Give the greatest differences of logits, and of any weight's gradient by its greatest."""
    assert ours.keys() == theirs.keys()
    apart = {name: (ours[name] - theirs[name]).abs().max().item() for name in ours}
    logits = apart.pop("logits")
    return logits, max(apart[name] / (theirs[name].abs().max().item() or 1) for name in apart)


# A Transformer on stored embeddings, on a CPU


class Products(TorchDispatchMode):
    """Records the products of matrices that are called within."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, list[Tensor]]] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Keep the call with random numbers laid out as its arguments are."""
        if function in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
            like = [torch.empty_strided(x.shape, x.stride()).normal_() for x in args]
            self.calls.append((function, like))
        return function(*args, **(kwargs or {}))

    def repeat(self) -> None:
        """Call them all again."""
        for function, tensors in self.calls:
            function(*tensors)

    @property
    def n_operations(self) -> int:
        """Count multiplications and additions."""
        return sum(2 * a.shape[0] * a.shape[1] * b.shape[1] for _, (*_, a, b) in self.calls)


def transformer_on_cpu(arguments: argparse.Namespace) -> None:
    """Print the seconds of a step, and how many times the products' those are."""
    system, cpu = "convnext_transformer", torch.device("cpu")
    batch = embeddings_batch(arguments.clips)
    generator = torch.Generator()
    steps: dict[str, Callable[[], Any]] = {}
    for way, changes in {
        "dropout off": {"dropout": 0.0, "input_dropout": 0.0},
        "dropout on": {},
    }.items():
        model = build_system(system, "embeddings", 768, **changes)
        ours = stepper(model, system, "float32", cpu)
        steps[way] = lambda ours=ours: ours.take([batch], [generator])  # type: ignore[misc]
    with Products() as products:
        steps["dropout off"]()
    steps = {"bare products": products.repeat, **steps}
    times: dict[str, list[Times]] = {way: [] for way in steps}
    for turn in range(arguments.rounds + 1):
        for way, step in steps.items():
            taken = timed(step)
            times[way] += [taken] if turn else []
    print(
        f"{system}, {len(batch.clips)} clips of up to {max(batch.n_frames['embeddings'])} frames "
        f"with a caption of up to {batch.tokens.shape[1]} tokens, {arguments.threads} threads, "
        f"{products.n_operations / 1e9:.0f} GFLOP in products, medians of {arguments.rounds} "
        "rounds:\nseconds, times the first; CPU seconds, times the first; clips/s"
    )
    first: list[float] = []
    for way in steps:
        medians = [statistics.median(column) for column in zip(*times[way], strict=True)]
        first = first or medians
        ratios = [value / other for value, other in zip(medians, first, strict=True)]
        rate = len(batch.clips) / medians[0]
        print(
            f"  {way:46} {medians[0]:7.3f} {ratios[0]:6.2f}  {medians[1]:7.3f} {ratios[1]:6.2f}"
            f"  {rate:6.1f}"
        )


def main() -> None:
    """Print the three parts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="of which medians are taken (5)")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch (2)")
    parser.add_argument(
        "--frames", type=int, default=970, help="of a clip (970: 22.5 s at 46 ms, half overlapping)"
    )
    parser.add_argument("--batch-size", type=int, default=16, help="clips of the baseline (16)")
    parser.add_argument("--clips", type=int, default=64, help="of the Transformer on a CPU (64)")
    parser.add_argument("--gpu-steps", type=int, default=20, help="of a round on a GPU (20)")
    parser.add_argument("--only", choices=("baseline", "transformer", "gpu"), help="one part")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"PyTorch {torch.__version__}, load average {load}")
    if arguments.only in (None, "baseline"):
        baseline_on_cpu(arguments)
    keep_freed_memory()
    if arguments.only in (None, "transformer"):
        transformer_on_cpu(arguments)
    if arguments.only in (None, "gpu"):
        if torch.cuda.is_available():
            systems_on_gpu(arguments, torch.device("cuda"))
        else:
            print("no GPU here")


if __name__ == "__main__":
    main()
