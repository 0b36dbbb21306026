"""The part of `bench_training.py` that needs a GPU: speed of steps, and what limits them."""

import argparse
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any

import torch

from captioner.training.batches import Batch
from captioner.training.step import Stepper
from training_steps import (
    N_CAPTIONS,
    N_CLIPS,
    baseline_batch,
    build_system,
    embeddings_batch,
    stepper,
    system_settings,
)


def systems_on_gpu(arguments: argparse.Namespace, device: torch.device) -> None:
    """Print rates, seconds of an epoch of Clotho's size, and how busy the GPU is."""
    n_clips = system_settings("convnext_transformer")["training"]["batch_size"]
    batches = {
        "baseline": (baseline_batch(arguments, 1), ("logmel", 64), N_CAPTIONS),
        "convnext_transformer": (embeddings_batch(n_clips), ("embeddings", 768), N_CLIPS),
    }
    print(f"on {torch.cuda.get_device_name(device)}, median of {arguments.rounds} rounds:")
    for system, (batch, frontend, n_epoch) in batches.items():
        for precision in ("float32", "bfloat16"):
            torch.manual_seed(1)
            ours = stepper(build_system(system, *frontend).to(device), system, precision, device)
            generator, pinned = torch.Generator(device), batch.pin_memory()

            def steps(
                ours: Stepper = ours, pinned: Batch = pinned, generator: Any = generator
            ) -> float:
                started = time.perf_counter()
                for _ in range(arguments.gpu_steps):
                    ours.take([pinned], [generator])
                torch.cuda.synchronize(device)
                return (time.perf_counter() - started) / arguments.gpu_steps

            steps()
            with Utilisation() as utilisation:
                seconds = statistics.median(steps() for _ in range(arguments.rounds))
            rate = len(batch.tokens) / seconds
            print(
                f"  {system}, {precision}: {1000 * seconds:.2f} ms a step of {batch.n_clips} clips "
                f"and {len(batch.tokens)} pairs; clips/s {batch.n_clips / seconds:.0f}, pairs/s "
                f"{rate:.0f}; an epoch {n_epoch / rate:.1f} s; nvidia-smi: {utilisation}"
            )
            print(limits(steps, arguments.gpu_steps))


class Utilisation:
    """What nvidia-smi says meanwhile: how much of the time a kernel ran, memory, power."""

    def __enter__(self) -> "Utilisation":
        query = ["--query-gpu=utilization.gpu,memory.used,power.draw", "--format=csv,noheader"]
        self.process = subprocess.Popen(
            ["nvidia-smi", *query, "-lms", "200"], stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        lines = self.process.communicate()[0].splitlines()
        self.text = lines[len(lines) // 2] if lines else "nothing"

    def __str__(self) -> str:
        return self.text


def limits(steps: Callable[[], float], n_steps: int) -> str:
    """Say what a step's time goes to: kernels, and the longest of them, or gaps between them."""
    from torch.profiler import ProfilerActivity, profile

    seconds = steps()
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        steps()
    events = sorted(profiled.key_averages(), key=lambda event: -event.self_device_time_total)
    busy = sum(event.self_device_time_total for event in events) / 1e6 / n_steps
    n_kernels = sum(event.count for event in events) / n_steps
    longest = "; ".join(
        f"{event.self_device_time_total / 1e4 / n_steps / busy:.0f} % {event.key[:60]}"
        for event in events[:4]
    )
    return (
        f"    kernels run {100 * busy / seconds:.0f} % of the time, {n_kernels:.0f} of "
        f"{1e6 * busy / n_kernels:.1f} us a step: {longest}"
    )
